import { stackedOn } from './stacks.js';

stackedOn('handle');
