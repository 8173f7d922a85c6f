import { stackedOn } from './stacks.js';

stackedOn('debug');
