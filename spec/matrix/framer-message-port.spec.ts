import { conformance } from 'rxmux/conformance';
import { framer } from 'rxmux/framer';
import { pairsOver } from '../support/pairs.js';

conformance('framer over a MessagePort', pairsOver(framer).messagePort);
