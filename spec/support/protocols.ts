import { framer, type Protocol } from 'rxmux';
import { http2 } from 'rxmux/http2';
import { spdy } from 'rxmux/spdy';
import { ssh } from 'rxmux/ssh';
import { trusting } from './ssh.js';

/** Every protocol, for what must be the same on each. */
export const protocols: Readonly<Record<string, () => Protocol>> = {
  framer: () => framer,
  http2: () => http2,
  spdy: () => spdy,
  ssh: () => ssh(trusting()),
};
