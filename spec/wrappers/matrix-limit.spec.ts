import { stackedOn } from './stacks.js';

stackedOn('limit');
