import { type EventEmitter, once } from 'node:events';
import { keys } from './ssh.js';

/** What there is of stock ssh2, which is a peer then; `C` is what its user needs of a connection. */
export interface Stock<C extends EventEmitter> {
  readonly Client: new () => C & { connect(config: object): void };
  readonly Server: new (config: object, take: (connection: C) => void) => StockServer;
  readonly utils: { parseKey(key: string): unknown };
}

export interface StockServer extends EventEmitter {
  listen(port: number, host: string): void;
  address(): { port: number };
  close(): void;
}

/** A server of stock ssh2 that has our host's key, and where it listens. */
export async function stockServer<C extends EventEmitter>(
  take: (connection: C) => void,
): Promise<{ server: StockServer; address: string }> {
  const ssh2 = (await import('ssh2' as string)).default as Stock<C>;
  const server = new ssh2.Server({ hostKeys: [keys().host.privateKey] }, take);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, address: `tcp://127.0.0.1:${server.address().port}` };
}
