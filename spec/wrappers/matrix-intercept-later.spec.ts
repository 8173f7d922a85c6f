import { stackedOn } from './stacks.js';

stackedOn('intercept later');
