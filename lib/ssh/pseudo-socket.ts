import { EventEmitter } from 'node:events';

/** Whom the socket tells. */
export interface SocketOwner {
  /** Bytes for the wire. */
  wrote(bytes: Uint8Array): void;
  /** Somebody listens to `data` now. */
  started(): void;
  /** It is to be closed. */
  givenUp(): void;
}

/** What a library takes for its socket, where there is a transport of ours. Emit `data` and `close` on it. */
export class PseudoSocket extends EventEmitter {
  writable = true;
  /** Asked of a socket before it is written to. */
  readonly _readableState: { ended: boolean } = { ended: false };
  readonly #owner: SocketOwner;

  constructor(owner: SocketOwner) {
    super();
    this.#owner = owner;
    this.setMaxListeners(0);
  }

  write(bytes: Uint8Array): boolean {
    this.#owner.wrote(bytes);
    return true;
  }

  resume(): this {
    this.#owner.started();
    return this;
  }

  pause(): this {
    return this;
  }

  end(): void {
    this.#owner.givenUp();
  }

  destroy(): void {
    this.#owner.givenUp();
  }
}
