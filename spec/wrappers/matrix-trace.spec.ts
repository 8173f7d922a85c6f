import { stackedOn } from './stacks.js';

stackedOn('trace');
