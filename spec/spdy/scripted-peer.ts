/** A SPDY provider under test whose peer is the spec itself: frames by hand, time by hand. */
import type { Provider, Transport } from 'rxmux';
import { type SpdyOptions, spdy } from 'rxmux/spdy';
import type { Clock } from '../../lib/core/clock.js';
import {
  SpdyParser,
  settingsBytes,
  writeDataHeader,
  writeGoAway,
  writeHeadersHead,
  writePing,
  writeRstStream,
  writeSettings,
  writeSynReplyHead,
  writeSynStreamHead,
  writeWindowUpdate,
  writeWord,
} from '../../lib/spdy/codec.js';
import type { SpdySetting } from '../../lib/spdy/frames.js';
import { HeaderBlockDecoder, HeaderBlockEncoder } from '../../lib/spdy/header-block.js';
import { trackProvider } from '../support/leaks.js';

/** One frame that was heard. */
export interface Heard {
  readonly name: string;
  readonly id: number;
  /** Status, delta, last good id, priority: the number that the frame is about. */
  readonly value: number;
  readonly flags: number;
  readonly headers: readonly string[];
  readonly bytes: number;
}

export type Pairs = readonly (readonly [string, string])[];

/** Time that stands still, except for the turns of the event loop. */
class StillClock implements Clock {
  readonly #tasks: Map<() => void, number> = new Map();
  #now = 1_000_000;

  now(): number {
    return this.#now;
  }

  after(ms: number, task: () => void): () => void {
    const run = (): void => task();
    this.#tasks.set(run, this.#now + ms);
    return () => this.#tasks.delete(run);
  }

  soon(task: () => void): void {
    setImmediate(task);
  }

  async pass(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      const next = [...this.#tasks].filter(([, at]) => at <= until).sort(([, a], [, b]) => a - b)[0];
      if (next === undefined) break;
      this.#tasks.delete(next[0]);
      this.#now = Math.max(this.#now, next[1]);
      next[0]();
      await settled();
    }
    this.#now = until;
    await settled();
  }
}

/** Everything that was due in this turn and the next has happened. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}

export class ScriptedPeer implements Transport {
  readonly provider: Provider;
  readonly clock: StillClock = new StillClock();
  readonly heard: Heard[] = [];
  paused = false;
  ended = false;
  destroyed = false;
  /** Says that it is full after each write, and keeps saying so. */
  blocked = false;
  readonly #encoder: HeaderBlockEncoder = new HeaderBlockEncoder();
  readonly #decoder: HeaderBlockDecoder = new HeaderBlockDecoder();
  readonly #parser: SpdyParser;
  #handlers: Parameters<Transport['start']>[0] | null = null;

  /** `role` is that of the provider under test. */
  constructor(role: 'client' | 'server', options: SpdyOptions = {}) {
    const hear = (name: string, id: number, value = 0, rest: Partial<Heard> = {}): void => {
      this.heard.push({ name, id, value, flags: 0, headers: [], bytes: 0, ...rest });
    };
    const unpack = (block: Uint8Array, id: number): readonly string[] => {
      const list = this.#decoder.decode(block, id);
      if (!Array.isArray(list)) throw list;
      return list;
    };
    this.#parser = new SpdyParser({
      synStream: (id, associated, priority, flags, block) =>
        hear('SYN_STREAM', id, priority, { flags, headers: unpack(block, id), bytes: associated }),
      synReply: (id, flags, block) => hear('SYN_REPLY', id, 0, { flags, headers: unpack(block, id) }),
      headers: (id, flags, block) => hear('HEADERS', id, 0, { flags, headers: unpack(block, id) }),
      dataStart: () => {},
      data: (id, chunk, fin) => {
        hear('DATA', id, 0, { bytes: chunk.byteLength, flags: fin ? 1 : 0 });
      },
      rstStream: (id, status) => hear('RST_STREAM', id, status),
      settings: (entries) => hear('SETTINGS', 0, entries.length),
      ping: (id) => hear('PING', 0, id),
      goAway: (last, status) => hear('GOAWAY', last, status),
      windowUpdate: (id, delta) => hear('WINDOW_UPDATE', id, delta),
      unknown: (type) => hear(`type ${type}`, 0),
    });
    this.provider = trackProvider(spdy(this, { role, clock: this.clock, ...options } as SpdyOptions));
    peers.push(this);
  }

  // ------------------------------------------------------------------ a transport

  start(handlers: Parameters<Transport['start']>[0]): void {
    this.#handlers = handlers;
  }

  write(chunks: readonly Uint8Array[]): boolean {
    for (const chunk of chunks) this.#parser.parse(chunk);
    return !this.blocked;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  end(): void {
    this.ended = true;
  }

  destroy(error?: unknown): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#handlers?.onClose(error);
  }

  // ------------------------------------------------------------------ what the spec does

  /** Says something after what the provider has to say, and waits for the answer. */
  async say(...frames: readonly Uint8Array[]): Promise<void> {
    await settled();
    for (const frame of frames) this.#handlers?.onData(frame.slice());
    await settled();
  }

  async drain(): Promise<void> {
    this.blocked = false;
    this.#handlers?.onDrain();
    await settled();
  }

  all(name: string, id?: number): Heard[] {
    return this.heard.filter((one) => one.name === name && (id === undefined || one.id === id));
  }

  /** How many bytes of data were heard. */
  bytes(id: number): number {
    return this.all('DATA', id).reduce((sum, { bytes }) => sum + bytes, 0);
  }

  names(): string[] {
    return this.heard.map(({ name }) => name);
  }

  synStream(id: number, headers: Pairs = [], flags = 0, associatedTo = 0): Uint8Array {
    const frame = this.#encoder.encode(headers, 18);
    writeSynStreamHead(frame, 0, id, associatedTo, 0, flags, frame.byteLength - 18);
    return frame;
  }

  synReply(id: number, headers: Pairs = [], flags = 0): Uint8Array {
    const frame = this.#encoder.encode(headers, 12);
    writeSynReplyHead(frame, 0, id, flags, frame.byteLength - 12);
    return frame;
  }

  headers(id: number, headers: Pairs = [], flags = 0): Uint8Array {
    const frame = this.#encoder.encode(headers, 12);
    writeHeadersHead(frame, 0, id, flags, frame.byteLength - 12);
    return frame;
  }
}

/** A frame around a header block that is given as it is. */
export function rawSynStream(id: number, block: Uint8Array): Uint8Array {
  const frame = new Uint8Array(18 + block.byteLength);
  writeSynStreamHead(frame, 0, id, 0, 0, 0, block.byteLength);
  frame.set(block, 18);
  return frame;
}

function fixed(size: number, write: (target: Uint8Array) => void): Uint8Array {
  const frame = new Uint8Array(size);
  write(frame);
  return frame;
}

/** Data, given as it is or as a number of zeros. */
export function data(id: number, bytes: Uint8Array | number, fin: boolean = false): Uint8Array {
  const content = typeof bytes === 'number' ? new Uint8Array(bytes) : bytes;
  const frame = new Uint8Array(8 + content.byteLength);
  writeDataHeader(frame, 0, id, content.byteLength, fin ? 1 : 0);
  frame.set(content, 8);
  return frame;
}

export function rst(id: number, status: number = 5): Uint8Array {
  return fixed(16, (frame) => writeRstStream(frame, 0, id, status));
}

export function ping(id: number): Uint8Array {
  return fixed(12, (frame) => writePing(frame, 0, id));
}

export function goAway(lastGoodId: number, status: number = 0): Uint8Array {
  return fixed(16, (frame) => writeGoAway(frame, 0, lastGoodId, status));
}

export function windowUpdate(id: number, delta: number): Uint8Array {
  return fixed(16, (frame) => writeWindowUpdate(frame, 0, id, delta));
}

export function settings(...entries: readonly SpdySetting[]): Uint8Array {
  return fixed(settingsBytes(entries.length), (frame) => writeSettings(frame, 0, entries, 0));
}

/** SETTINGS with a window for streams. */
export function initialWindow(bytes: number): Uint8Array {
  return settings({ id: 7, flags: 0, value: bytes });
}

/** A control frame with any content. */
export function control(type: number, content: Uint8Array = new Uint8Array(0), flags = 0): Uint8Array {
  const frame = new Uint8Array(8 + content.byteLength);
  writeWord(frame, 0, 0x80030000 | type);
  writeWord(frame, 4, (flags << 24) | content.byteLength);
  frame.set(content, 8);
  return frame;
}

const peers: ScriptedPeer[] = [];

/** Ends what is left: for an `afterEach`. */
export async function clearPeers(): Promise<void> {
  for (const peer of peers.splice(0)) {
    peer.provider.abort(new Error('the test is over'));
    peer.destroy();
    await settled();
    expect(peer.provider.streams.size).toBe(0);
  }
}
