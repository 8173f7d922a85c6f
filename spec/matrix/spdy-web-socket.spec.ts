import { conformance } from 'rxmux/conformance';
import { spdy } from 'rxmux/spdy';
import { pairsOver } from '../support/pairs.js';

conformance('spdy over a WebSocket', pairsOver(spdy).webSocket);
