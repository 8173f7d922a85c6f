import { join } from 'node:path';
import type { Protocol } from 'rxmux';
import { framer } from 'rxmux/framer';
import { http2 } from 'rxmux/http2';
import { spdy } from 'rxmux/spdy';
import { sshBetween } from './ssh.js';
import type { Identity } from './tls.js';

/** What the bytes of a connection go through. */
export type TransportName = 'tcp' | 'tls' | 'unix';

/** One row of the table: a protocol on a transport. */
export interface Scenario {
  readonly protocol: string;
  readonly transport: TransportName;
  readonly speak: Speak;
}

/** Both ends have the same identity: TLS needs it below the protocol, SSH within. */
type Speak = (identity: Identity) => Protocol;

interface Row {
  readonly speak: Speak;
  readonly transports: readonly TransportName[];
}

/** A further protocol is a further line here; nothing else of the job knows them apart. */
const protocols: Readonly<Record<string, Row>> = {
  framer: { speak: () => framer, transports: ['tcp', 'tls', 'unix'] },
  spdy: { speak: () => spdy, transports: ['tcp', 'tls', 'unix'] },
  http2: { speak: () => http2, transports: ['tcp', 'tls', 'unix'] },
  ssh: { speak: sshBetween, transports: ['tcp', 'unix'] },
};

export const scenarios: readonly Scenario[] = Object.entries(protocols).flatMap(
  ([protocol, { speak, transports }]) => transports.map((transport) => ({ protocol, transport, speak })),
);

/** The protocol of that name, on the other side of a process boundary. */
export function protocolNamed(name: string, identity: Identity): Protocol {
  const row = protocols[name];
  if (row === undefined) throw new Error(`there is no protocol "${name}"`);
  return row.speak(identity);
}

/** Where to listen: a port that the system chooses, or a socket in `folder`. */
export function addressIn(folder: string, transport: TransportName): string {
  return transport === 'unix' ? `unix:${join(folder, 'server.sock')}` : `${transport}://127.0.0.1:0`;
}
