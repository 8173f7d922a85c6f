import type { EventEmitter } from 'node:events';

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
