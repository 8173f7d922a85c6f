import { conformance } from 'rxmux/conformance';
import { http2 } from 'rxmux/http2';
import { pairsOver } from '../support/pairs.js';

conformance('http2 over TLS', pairsOver(http2).tls, { openerTrailers: false });
