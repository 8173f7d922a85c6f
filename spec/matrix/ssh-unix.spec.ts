import { conformance } from 'rxmux/conformance';
import { pairsOver } from '../support/pairs.js';
import { trustedSsh } from '../support/ssh.js';

conformance('ssh over a unix socket', pairsOver(trustedSsh()).unix);
