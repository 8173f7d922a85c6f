import { conformance } from 'rxmux/conformance';
import { http2 } from 'rxmux/http2';
import { pairsOver } from '../support/pairs.js';

conformance('http2 over a unix socket', pairsOver(http2).unix, { openerTrailers: false });
