/** Frames of the Simple Framer, made by hand: also those that no honest peer sends. */
import { FrameParser } from '../../lib/framer/codec.js';
import { encodeBlock, encodeReason, encodeSettings, writeHeader } from '../../lib/framer/encode.js';
import {
  FLAG_END,
  FRAME_ACCEPT,
  FRAME_CREDIT,
  FRAME_DATA,
  FRAME_GOAWAY,
  FRAME_OPEN,
  FRAME_PING,
  FRAME_PONG,
  FRAME_REFUSE,
  FRAME_RESET,
  FRAME_STOP,
  FRAME_TRAILERS,
  frameName,
  headerBytes,
  preface,
  type Settings,
} from '../../lib/framer/frames.js';

export type Headers = readonly (readonly [string, string])[];

const nothing: Uint8Array = new Uint8Array(0);

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  return joinAll(parts);
}

export function joinAll(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}

/** `count` frames made one after the other, as one piece. */
export function many(count: number, make: (index: number) => Uint8Array): Uint8Array {
  return joinAll(Array.from({ length: count }, (_, index) => make(index)));
}

/** The same bytes `count` times. */
export function repeat(bytes: Uint8Array, count: number): Uint8Array {
  const all = new Uint8Array(bytes.byteLength * count);
  for (let at = 0; at < all.byteLength; at += bytes.byteLength) all.set(bytes, at);
  return all;
}

export function uint32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

export function frame(type: number, flags: number, id: number, payload: Uint8Array = nothing): Uint8Array {
  const bytes = new Uint8Array(headerBytes + payload.byteLength);
  bytes.set(payload, writeHeader(bytes, 0, type, flags, id, payload.byteLength));
  return bytes;
}

/** SETTINGS as a peer with room for everything would send them. */
export function settings(own: Partial<Settings> = {}): Uint8Array {
  const payload = encodeSettings({
    role: 'client',
    initialWindow: 1 << 30,
    connectionWindow: 1 << 30,
    maxFrame: 65_536,
    ...own,
  });
  return frame(0, 0, 0, payload);
}

/** What a connection begins with. */
export function hello(own: Partial<Settings> = {}): Uint8Array {
  return join(preface, settings(own));
}

/** The nth stream that a client opens, from 0. */
export function clientId(index: number): number {
  return 2 * index + 1;
}

export interface OpenParts {
  readonly headers?: Headers;
  /** Instead of `headers`: the block as it is on the wire, with its length. */
  readonly block?: Uint8Array;
  readonly data?: Uint8Array;
  readonly end?: boolean;
  readonly urgency?: number;
}

export function open(id: number, parts: OpenParts = {}): Uint8Array {
  const {
    headers = [],
    block = encodeBlock(headers),
    data: bytes = nothing,
    end = false,
    urgency = 3,
  } = parts;
  return frame(FRAME_OPEN, end ? FLAG_END : 0, id, join(Uint8Array.of(urgency), block, bytes));
}

export function accept(id: number, headers: Headers = []): Uint8Array {
  return frame(FRAME_ACCEPT, 0, id, encodeBlock(headers));
}

export function refuse(id: number, code: number): Uint8Array {
  return frame(FRAME_REFUSE, 0, id, join(uint32(code), encodeReason(''), encodeBlock([])));
}

/** Data, given as it is or as a number of zeros. */
export function data(id: number, bytes: Uint8Array | number, end: boolean = false): Uint8Array {
  return frame(FRAME_DATA, end ? FLAG_END : 0, id, typeof bytes === 'number' ? new Uint8Array(bytes) : bytes);
}

/** As many frames of data as `bytes` zeros take. */
export function dataFrames(id: number, bytes: number, frameBytes: number = 16_384): Uint8Array {
  const frames: Uint8Array[] = [];
  for (let left = bytes; left > 0; left -= frameBytes) frames.push(data(id, Math.min(left, frameBytes)));
  return joinAll(frames);
}

export function credit(id: number, bytes: number): Uint8Array {
  return frame(FRAME_CREDIT, 0, id, uint32(bytes));
}

export function trailers(id: number, headers: Headers = []): Uint8Array {
  return frame(FRAME_TRAILERS, 0, id, encodeBlock(headers));
}

export function stop(id: number, code: number = 5): Uint8Array {
  return frame(FRAME_STOP, 0, id, uint32(code));
}

export function reset(id: number, code: number = 5): Uint8Array {
  return frame(FRAME_RESET, 0, id, join(uint32(code), encodeReason('')));
}

export function ping(): Uint8Array {
  return frame(FRAME_PING, 0, 0, new Uint8Array(8));
}

export function pong(payload: Uint8Array = new Uint8Array(8)): Uint8Array {
  return frame(FRAME_PONG, 0, 0, payload);
}

export function goAway(lastId: number = 0, code: number = 0): Uint8Array {
  return frame(FRAME_GOAWAY, 0, 0, join(uint32(lastId), uint32(code), encodeReason('')));
}

/** One frame that was received, with what the specs look at. */
export interface Heard {
  readonly name: string;
  readonly id: number;
  /** The code of REFUSE, STOP, RESET and GOAWAY, the bytes of CREDIT. */
  readonly value: number;
  readonly reason: string;
  /** Bytes of data in it. */
  readonly bytes: number;
  readonly end: boolean;
  readonly payload: Uint8Array;
  readonly headers: readonly string[];
  readonly settings: Settings | null;
}

/** Reads what the end under test sends. */
export class Hearing {
  readonly heard: Heard[] = [];
  readonly #parser: FrameParser;
  #length = 0;

  constructor() {
    const tell = (name: string, id: number, rest: Partial<Heard> = {}): void => {
      const silent = {
        value: 0,
        reason: '',
        bytes: 0,
        end: false,
        payload: nothing,
        headers: [],
        settings: null,
      };
      this.heard.push({ name, id, ...silent, ...rest });
    };
    this.#parser = new FrameParser(
      {
        frame: (_type, _flags, _id, length) => {
          this.#length = length;
        },
        settings: (said) => tell('SETTINGS', 0, { settings: said }),
        open: (id, _urgency, block, bytes, end) =>
          tell('OPEN', id, { headers: flat(block), bytes: bytes.byteLength, end }),
        accept: (id, block, bytes, end) =>
          tell('ACCEPT', id, { headers: flat(block), bytes: bytes.byteLength, end }),
        refuse: (id, value, reason, block) => tell('REFUSE', id, { value, reason, headers: flat(block) }),
        data: (id, _chunk, last, end) => {
          if (last) tell('DATA', id, { bytes: this.#length, end });
        },
        credit: (id, value) => tell('CREDIT', id, { value }),
        trailers: (id, block) => tell('TRAILERS', id, { headers: flat(block) }),
        stop: (id, value) => tell('STOP', id, { value }),
        reset: (id, value, reason) => tell('RESET', id, { value, reason }),
        ping: (payload) => tell('PING', 0, { payload }),
        pong: (payload) => tell('PONG', 0, { payload }),
        goAway: (id, value, reason) => tell('GOAWAY', id, { value, reason }),
        skip: (type) => tell(frameName(type), 0),
      },
      2 ** 24 - 1,
    );
  }

  hear(bytes: Uint8Array): void {
    this.#parser.parse(bytes, 0, Number.POSITIVE_INFINITY);
  }

  /** The frames of one name, on one stream if `id` is given. */
  all(name: string, id?: number): Heard[] {
    return this.heard.filter((one) => one.name === name && (id === undefined || one.id === id));
  }

  /** The last frame of a name; an error if there is none. */
  last(name: string, id?: number): Heard {
    const found = this.all(name, id).at(-1);
    if (found === undefined) {
      const names = this.heard.map((one) => `${one.name}#${one.id}`).join(' ');
      throw new Error(`no ${name} was heard, only ${names}`);
    }
    return found;
  }
}

function flat(block: { readonly flat: readonly string[] }): readonly string[] {
  return block.flat;
}
