import type { Limits, Provider, Stream } from '../../lib/api.js';
import { StreamError } from '../../lib/core/errors.js';
import type { SessionOptions } from '../../lib/core/session.js';
import { framer } from '../../lib/framer/index.js';
import { trackProvider } from '../support/leaks.js';
import { ManualClock } from '../support/manual-clock.js';
import { ScriptedTransport } from '../support/scripted-transport.js';
import { accept, code, type Frame, framesIn, hello, join, numberIn, ping, preface, toHex } from './bytes.js';

/** What a scripted peer can be told to be like. */
export interface PeerOptions {
  readonly limits?: Partial<Limits>;
  /** What it says first. Default: preface and SETTINGS with 256 KiB windows. Empty: nothing by itself. */
  readonly says?: Uint8Array;
}

const made: Peer[] = [];

/** Ends what a test has left; for `afterEach`. */
export async function endPeers(): Promise<void> {
  for (const peer of made.splice(0)) {
    peer.provider.abort();
    peer.transport.close();
    await turns();
    expect(peer.clock.pending).toBe(0);
  }
}

/** Lets everything happen that is due without time passing. */
export async function turns(count = 5): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
}

/** One end of a connection, in raw bytes; the other end is a provider. */
export class Peer {
  readonly transport: ScriptedTransport = new ScriptedTransport();
  readonly clock: ManualClock = new ManualClock();
  readonly provider: Provider;
  readonly accepted: Stream[] = [];
  #seen = 0;

  constructor(plays: 'client' | 'server', { limits = {}, says = hello(plays) }: PeerOptions = {}) {
    const options: SessionOptions = {
      role: plays === 'client' ? 'server' : 'client',
      limits,
      clock: this.clock,
    };
    this.provider = trackProvider(framer(this.transport, options));
    this.provider.accept$.subscribe({ next: (stream) => this.accepted.push(stream), error: () => {} });
    made.push(this);
    if (says.byteLength > 0) this.send(says);
  }

  send(...frames: readonly Uint8Array[]): void {
    this.transport.feed(join(...frames));
  }

  /** A stream that the provider opens, so that the peer can answer it. */
  async opened(headers?: Record<string, string>): Promise<Stream> {
    const stream = this.provider.newStream(headers);
    await turns();
    await this.frames();
    return stream;
  }

  /** The same, answered. */
  async answered(): Promise<Stream> {
    const stream = await this.opened();
    this.send(accept(stream.id));
    return stream;
  }

  /** What the provider has sent since this was asked last, without preface and SETTINGS. */
  async frames(): Promise<Frame[]> {
    await turns();
    const { written } = this.transport;
    // It has not even said its preface if it failed before its first turn was over.
    if (written.byteLength === 0) return [];
    expect(toHex(written.subarray(0, preface.byteLength))).toBe(toHex(preface));
    const [settings, ...frames] = framesIn(written, preface.byteLength);
    expect(settings?.name).toBe('SETTINGS');
    const fresh = frames.slice(this.#seen);
    this.#seen = frames.length;
    return fresh;
  }

  /** Frames as `NAME id` or `NAME id number`, for comparing. */
  async said(): Promise<string[]> {
    return (await this.frames()).map((frame) => {
      const hasNumber = ['CREDIT', 'REFUSE', 'STOP', 'RESET', 'GOAWAY'].includes(frame.name);
      return `${frame.name} ${frame.id}${hasNumber ? ` ${numberIn(frame)}` : ''}`;
    });
  }

  /** The connection ends with this code; null: without a GOAWAY. */
  async expectEnd(word: keyof typeof code | null): Promise<StreamError> {
    const frames = await this.frames();
    const last = frames.at(-1);
    const goAways = frames.filter(({ name }) => name === 'GOAWAY').map(numberIn);
    expect(goAways).toEqual(word === null ? [] : [code[word]]);
    if (word !== null) expect(last?.name).toBe('GOAWAY');
    expect(this.transport.ended || this.transport.destroyed).toBe(true);
    const error = await this.provider.closed.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (!StreamError.is(error)) throw new Error(`closed with ${String(error)}`);
    expect(this.provider.streams.size).toBe(0);
    // Whatever comes now is too late.
    this.send(ping());
    expect(await this.frames()).toEqual([]);
    return error;
  }

  /** The connection is still there: it answers a ping. What was sent before that counts as seen. */
  async expectAlive(): Promise<void> {
    await this.frames();
    this.send(ping(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)));
    const answers = (await this.frames()).map(({ name, payload }) => `${name} ${toHex(payload)}`);
    expect(answers).toContain('PONG 0102030405060708');
    expect(this.transport.ended).toBe(false);
  }
}

/** How a stream ended: `resolved`, or its error. */
export async function endOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'resolved',
    (error: unknown) => error,
  );
}

/** A row of a table: what it is about, and the frames. */
export type Row = [what: string, ...frames: Uint8Array[]];

/** Sends as a client to a server, and expects the connection to end. */
export async function clientIsThrownOut(
  word: keyof typeof code | null,
  ...frames: readonly Uint8Array[]
): Promise<StreamError> {
  const peer = new Peer('client');
  peer.send(...frames);
  return peer.expectEnd(word);
}
