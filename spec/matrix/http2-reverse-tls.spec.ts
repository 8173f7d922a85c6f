import { conformance } from 'rxmux/conformance';
import { pairsOver } from '../support/pairs.js';
import { reversed, standing } from './reversed.js';

conformance(
  'http2 over TLS, its server opening through a reverse session',
  standing(pairsOver(reversed).tls),
  { openerTrailers: false },
);
