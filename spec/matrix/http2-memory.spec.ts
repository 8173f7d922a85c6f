import { conformance } from 'rxmux/conformance';
import { http2 } from 'rxmux/http2';
import { pairsOver } from '../support/pairs.js';

conformance('http2 over memory', pairsOver(http2).memory, { openerTrailers: false });
