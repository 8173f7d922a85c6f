import { conformance } from 'rxmux/conformance';
import { spdy } from 'rxmux/spdy';
import { pairsOver } from '../support/pairs.js';

conformance('spdy over TCP', pairsOver(spdy).tcp);
