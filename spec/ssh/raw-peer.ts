import { type Limits, memoryPair, type Provider, type StreamError } from 'rxmux';
import { type Clock, systemClock } from '../../lib/core/clock.js';
import type { SessionOptions } from '../../lib/core/session.js';
import { encodeMessage, type Field, PayloadReader, writeUint32 } from '../../lib/ssh/codec.js';
import * as wire from '../../lib/ssh/frames.js';
import { ssh } from '../../lib/ssh/index.js';
import { readPrivateKey } from '../../lib/ssh/library.js';
import { SshLink } from '../../lib/ssh/link.js';
import { ClientSide, defaultAlgorithms } from '../../lib/ssh/login.js';
import { type SshOptions, sshLimitsWith } from '../../lib/ssh/options.js';
import { trackProvider } from '../support/leaks.js';
import { trusting } from '../support/ssh.js';

const KiB = 1024;
const MiB = 1024 * KiB;

/** A client that is logged in, and then sends what messages it likes; a server of ours is at the other end. */
export class RawPeer {
  readonly server: Provider;
  readonly link: SshLink;
  /** Payloads that came, and were not asked for yet. */
  readonly received: Uint8Array[] = [];
  closed = false;
  #loggedIn!: () => void;
  readonly #ready: Promise<void>;
  #waiting: (() => void)[] = [];

  constructor(
    limits: Partial<Limits> = {},
    options: SshOptions = {},
    own: Partial<Limits> = {},
    clock: Clock = systemClock,
  ) {
    const [near, far] = memoryPair();
    const both = trusting(options);
    const serving: SessionOptions = { role: 'server', limits, clock };
    this.server = trackProvider(ssh(both)(far, serving));
    const key = readPrivateKey('privateKey', both.privateKey as string);
    const client = new ClientSide(both, key, defaultAlgorithms, []);
    const unauthenticated = { count: 0 };
    const login = { client, server: null, authenticate: () => false, unauthenticated };
    this.link = new SshLink(near, sshLimitsWith({ loginBytes: 1e9, ...own }), login);
    this.#ready = new Promise((resolve) => {
      this.#loggedIn = resolve;
    });
    this.link.tell({
      loggedIn: () => this.#loggedIn(),
      failed: () => this.link.end(),
      fault: () => {},
      isOver: () => false,
    });
    this.link.start({
      onData: (payload) => {
        // The link tells so that it has heard something.
        if (payload.length === 0) return;
        this.received.push(payload);
        this.#wake();
      },
      onEnd: () => this.link.end(),
      onDrain: () => {},
      onClose: () => {
        this.closed = true;
        this.#wake();
      },
    });
  }

  /** Logs in. */
  async begin(): Promise<this> {
    await this.#ready;
    return this;
  }

  send(type: number, ...fields: readonly Field[]): void {
    const message = encodeMessage(type, ...fields);
    const framed = new Uint8Array(4 + message.byteLength);
    framed.set(message, writeUint32(framed, 0, message.byteLength));
    this.link.write([framed]);
  }

  /** The next message of a type, other than those of keepalive. */
  async next(type: number): Promise<PayloadReader> {
    return new PayloadReader(await this.nextPayload(type), 1);
  }

  async nextPayload(type: number): Promise<Uint8Array> {
    for (;;) {
      const at = this.received.findIndex((payload) => payload[0] === type);
      if (at >= 0) return this.received.splice(at, 1)[0] as Uint8Array;
      if (this.closed) throw new Error(`the connection closed before message ${type} came`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Opens a stream of ours, and has it accepted; gives the number that the server gave it, and its window. */
  async open(
    number = 0,
    window: number = MiB,
    headers: Field = 0,
  ): Promise<{ recipient: number; window: number }> {
    this.send(wire.MSG_CHANNEL_OPEN, wire.TYPE_STREAM, number, window, 32 * KiB, headers);
    const stream = await this.server.accept();
    stream?.accept();
    const answer = await this.next(wire.MSG_CHANNEL_OPEN_CONFIRMATION);
    answer.uint32();
    return { recipient: answer.uint32(), window: answer.uint32() };
  }

  /** The server has read all that was sent so far. */
  async settled(): Promise<void> {
    this.send(wire.MSG_GLOBAL_REQUEST, wire.REQUEST_KEEPALIVE, true);
    await this.next(wire.MSG_REQUEST_FAILURE);
  }

  data(recipient: number, bytes: number): void {
    this.send(wire.MSG_CHANNEL_DATA, recipient, { string: new Uint8Array(bytes) });
  }

  /** How the server ended. */
  fate(): Promise<StreamError> {
    return this.server.closed.then(
      () => {
        throw new Error('a clean close');
      },
      (error) => error as StreamError,
    );
  }

  /** The reason that the server gave with its DISCONNECT. */
  async disconnected(): Promise<number> {
    return (await this.next(wire.MSG_DISCONNECT)).uint32();
  }

  /** Acts until the server has had enough; gives how often. */
  async until(act: (count: number) => void, most: number): Promise<number> {
    let over = false;
    const end = (): void => {
      over = true;
    };
    this.server.closed.then(end, end);
    for (let count = 0; count < most; count++) {
      if (over) return count;
      act(count);
      if (count % 16 === 15) await new Promise((resolve) => setImmediate(resolve));
    }
    for (let turns = 0; turns < 20 && !over; turns++) await new Promise((resolve) => setTimeout(resolve, 5));
    return over ? most - 1 : most;
  }

  end(): void {
    this.server.abort(new Error('the test is over'));
    this.link.destroy();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
