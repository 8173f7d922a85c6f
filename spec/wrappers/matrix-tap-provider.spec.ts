import { stackedOn } from './stacks.js';

stackedOn('tapProvider');
