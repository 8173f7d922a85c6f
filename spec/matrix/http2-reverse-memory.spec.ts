import { conformance } from 'rxmux/conformance';
import { pairsOver } from '../support/pairs.js';
import { reversed, standing } from './reversed.js';

conformance(
  'http2 in memory, its server opening through a reverse session',
  standing(pairsOver(reversed).memory),
  { openerTrailers: false },
);
