import { stackedOn } from './stacks.js';

stackedOn('span');
