import { type Limits, memoryPair, type Provider, type StreamError } from 'rxmux';
import { http2 } from 'rxmux/http2';
import {
  type Setting,
  writeFrameHeader,
  writeHeaders,
  writePing,
  writePreface,
  writeRstStream,
  writeSettings,
  writeWindowUpdate,
} from '../../lib/http2/codec.js';
import { errorCode, frameFlag, frameType, settingId, uint24, uint32 } from '../../lib/http2/frames.js';
import { HpackEncoder } from '../../lib/http2/hpack.js';
import { trackProvider } from '../support/leaks.js';

type Write = (out: Uint8Array, at: number) => number;

function bytes(write: Write, size = 128 * 1024): Uint8Array {
  const out = new Uint8Array(size);
  return out.slice(0, write(out, 0));
}

const request = [':method', 'POST', ':scheme', 'http', ':authority', 'victim', ':path', '/'];

/** A client that writes what it likes, to a server of ours over memory. */
class Attacker {
  readonly server: Provider;
  readonly goAways: number[] = [];
  readonly resets: number[] = [];
  closed = false;
  readonly #near;
  readonly #encoder: HpackEncoder = new HpackEncoder({ tableBytes: 0 });
  #pending: Uint8Array = new Uint8Array(0);

  constructor(limits: Partial<Limits> = {}, settings: readonly Setting[] = []) {
    const [near, far] = memoryPair();
    this.#near = near;
    near.start({
      onData: (chunk) => this.#read(chunk),
      onEnd: () => near.end(),
      onDrain: () => {},
      onClose: () => {
        this.closed = true;
      },
    });
    this.server = trackProvider(http2(far, { role: 'server', limits }));
    this.send((out, at) => writeSettings(out, writePreface(out, at), settings));
  }

  send(write: Write): void {
    if (!this.closed) this.#near.write([bytes(write)]);
  }

  frame(type: number, flags: number, id: number, payload: Uint8Array): void {
    this.send((out, at) => {
      const end = writeFrameHeader(out, at, payload.byteLength, type, flags, id);
      out.set(payload, end);
      return end + payload.byteLength;
    });
  }

  open(id: number, end = false, more: readonly string[] = []): void {
    const block = this.#encoder.encode([...request, ...more]);
    this.send((out, at) => writeHeaders(out, at, id, block, end, 16384));
  }

  reset(id: number, code: number = errorCode.CANCEL): void {
    this.send((out, at) => writeRstStream(out, at, id, code));
  }

  credit(id: number, increment: number): void {
    this.send((out, at) => writeWindowUpdate(out, at, id, increment));
  }

  /** How the server ended. */
  async fate(): Promise<StreamError> {
    return (await this.server.closed.then(
      () => new Error('a clean close'),
      (error) => error,
    )) as StreamError;
  }

  /** Waits until the transport is gone. */
  async gone(): Promise<void> {
    for (let turns = 0; !this.closed; turns++) {
      if (turns > 200) throw new Error('the transport is still open');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Acts until the server has had enough; gives how many it took. */
  async until(act: (count: number) => void, most: number): Promise<number> {
    let over = false;
    this.server.closed
      .catch(() => {})
      .finally(() => {
        over = true;
      });
    for (let count = 0; count < most; count++) {
      if (over) return count;
      act(count);
      if (count % 16 === 15) await new Promise((resolve) => setImmediate(resolve));
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
    return most;
  }

  #read(chunk: Uint8Array): void {
    const all = new Uint8Array(this.#pending.byteLength + chunk.byteLength);
    all.set(this.#pending);
    all.set(chunk, this.#pending.byteLength);
    let at = 0;
    while (all.byteLength - at >= 9) {
      const length = uint24(all, at);
      if (all.byteLength - at < 9 + length) break;
      const type = all[at + 3];
      if (type === frameType.GOAWAY) this.goAways.push(uint32(all, at + 13));
      if (type === frameType.RST_STREAM) this.resets.push(uint32(all, at + 9));
      at += 9 + length;
    }
    this.#pending = all.slice(at);
  }
}

interface Attack {
  readonly limits?: Partial<Limits>;
  /** More acts than the server is to bear. */
  readonly most: number;
  readonly code: number;
  act(attacker: Attacker, count: number): void;
}

const calm = errorCode.ENHANCE_YOUR_CALM;
const nothing = new Uint8Array(0);

const attacks: Readonly<Record<string, Attack>> = {
  'rapid reset': {
    most: 1000,
    code: calm,
    act: (attacker, count) => {
      attacker.open(2 * count + 1);
      attacker.reset(2 * count + 1);
    },
  },
  'rapid reset of whole requests, in the words of a server': {
    most: 1000,
    code: calm,
    act: (attacker, count) => {
      attacker.open(2 * count + 1, true);
      attacker.reset(2 * count + 1, errorCode.NO_ERROR);
    },
  },
  'made-you-reset by a credit of 0': {
    most: 400,
    code: calm,
    act: (attacker, count) => {
      attacker.open(2 * count + 1);
      attacker.credit(2 * count + 1, 0);
    },
  },
  'made-you-reset by an overflowing credit': {
    most: 400,
    code: calm,
    act: (attacker, count) => {
      attacker.open(2 * count + 1);
      attacker.credit(2 * count + 1, 2 ** 31 - 1);
    },
  },
  'made-you-reset by a false content-length': {
    most: 400,
    code: calm,
    act: (attacker, count) => attacker.open(2 * count + 1, true, ['content-length', '5']),
  },
  'made-you-reset by DATA after the end': {
    most: 400,
    code: calm,
    act: (attacker, count) => {
      attacker.open(2 * count + 1, true);
      attacker.frame(frameType.DATA, 0, 2 * count + 1, Uint8Array.of(1));
    },
  },
  'made-you-reset by bad headers': {
    most: 400,
    code: calm,
    act: (attacker, count) => attacker.open(2 * count + 1, true, ['connection', 'close']),
  },
  'more streams than were allowed, without end': {
    most: 6000,
    code: calm,
    act: (attacker, count) => attacker.open(2 * count + 1),
  },
  'a flood of empty CONTINUATION': {
    most: 100,
    code: calm,
    act: (attacker, count) =>
      attacker.frame(count === 0 ? frameType.HEADERS : frameType.CONTINUATION, 0, 1, nothing),
  },
  'a flood of full CONTINUATION': {
    most: 100,
    code: calm,
    act: (attacker, count) =>
      attacker.frame(count === 0 ? frameType.HEADERS : frameType.CONTINUATION, 0, 1, new Uint8Array(16384)),
  },
  'an HPACK bomb': {
    most: 10,
    code: calm,
    act: (attacker, count) => {
      const value = 'x'.repeat(3000);
      // A literal that enters the table, and then its index as often as a block has room for.
      const literal = new HpackEncoder().encode([...request, 'x', value]);
      const block = new Uint8Array(literal.byteLength + 10_000).fill(0x80 | 62);
      block.set(literal);
      attacker.send((out, at) => writeHeaders(out, at, 2 * count + 1, block, true, 16384));
    },
  },
  'a flood of SETTINGS': {
    most: 200,
    code: calm,
    act: (attacker) =>
      attacker.send((out, at) => writeSettings(out, at, [[settingId.INITIAL_WINDOW_SIZE, 0]])),
  },
  'a flood of PING': {
    most: 200,
    code: calm,
    act: (attacker) => attacker.send((out, at) => writePing(out, at, new Uint8Array(8), false)),
  },
  'a flood of answers to no PING': {
    most: 1000,
    code: calm,
    act: (attacker) => attacker.send((out, at) => writePing(out, at, new Uint8Array(8), true)),
  },
  'a flood of empty DATA': {
    most: 1000,
    code: calm,
    act: (attacker, count) =>
      count === 0 ? attacker.open(1) : attacker.frame(frameType.DATA, 0, 1, nothing),
  },
  'a flood of PRIORITY': {
    most: 1000,
    code: calm,
    act: (attacker, count) => attacker.frame(frameType.PRIORITY, 0, 2 * count + 1, new Uint8Array(5)),
  },
  'a flood of unknown frames': {
    most: 1000,
    code: calm,
    act: (attacker) => attacker.frame(0xfa, 0, 0, nothing),
  },
  'a flood of credit by the byte': {
    most: 1000,
    code: calm,
    act: (attacker) => attacker.credit(0, 1),
  },
  'credit for the connection beyond 2^31-1': {
    most: 10,
    code: errorCode.FLOW_CONTROL_ERROR,
    act: (attacker) => attacker.credit(0, 2 ** 31 - 1),
  },
  'windows that SETTINGS make overflow': {
    most: 10,
    code: errorCode.FLOW_CONTROL_ERROR,
    act: (attacker, count) => {
      if (count === 0) attacker.open(1);
      if (count === 1) attacker.credit(1, 2 ** 31 - 1 - 65_535);
      if (count === 2)
        attacker.send((out, at) => writeSettings(out, at, [[settingId.INITIAL_WINDOW_SIZE, 2 ** 31 - 1]]));
    },
  },
  'more data than the connection allows': {
    limits: { receiveBudgetBytes: 65_535, windowBytes: 65_535 },
    most: 100,
    code: errorCode.FLOW_CONTROL_ERROR,
    act: (attacker, count) => {
      if (count < 2) attacker.open(2 * count + 1);
      else attacker.frame(frameType.DATA, 0, count % 2 === 0 ? 1 : 3, new Uint8Array(16_384));
    },
  },
  'an id that is the server’s': {
    most: 10,
    code: errorCode.PROTOCOL_ERROR,
    act: (attacker) => attacker.open(2),
  },
  'an id that was passed over': {
    most: 10,
    code: errorCode.PROTOCOL_ERROR,
    act: (attacker, count) => attacker.open(count === 0 ? 5 : 3),
  },
  'HEADERS after the peer’s own reset': {
    most: 10,
    code: errorCode.STREAM_CLOSED,
    act: (attacker, count) => {
      if (count === 1) attacker.reset(1);
      else attacker.open(1);
    },
  },
  'data for a stream that never was': {
    most: 10,
    code: errorCode.PROTOCOL_ERROR,
    act: (attacker) => attacker.frame(frameType.DATA, 0, 7, Uint8Array.of(1)),
  },
  'a frame beyond the limit': {
    most: 10,
    code: errorCode.FRAME_SIZE_ERROR,
    act: (attacker) => attacker.frame(frameType.DATA, 0, 1, new Uint8Array(16_385)),
  },
  'garbage where header blocks should be': {
    most: 10,
    code: errorCode.COMPRESSION_ERROR,
    act: (attacker) =>
      attacker.frame(frameType.HEADERS, frameFlag.END_HEADERS, 1, new Uint8Array(100).fill(0xff)),
  },
  'a push': {
    most: 10,
    code: errorCode.PROTOCOL_ERROR,
    act: (attacker) => attacker.frame(frameType.PUSH_PROMISE, frameFlag.END_HEADERS, 1, new Uint8Array(4)),
  },
};

describe('a server of HTTP/2 throws out', () => {
  it.each(Object.entries(attacks))('%s', async (_name, { limits, most, code, act }) => {
    const attacker = new Attacker(limits);
    const taken = await attacker.until((count) => act(attacker, count), most);
    expect(taken).toBeLessThanOrEqual(most);
    expect(await attacker.fate()).toMatchObject({ remote: true });
    expect(attacker.server.streams.size).toBe(0);
    await attacker.gone();
    expect(attacker.goAways.at(-1)).toBe(code);
  });
});

describe('a server of HTTP/2 bears', () => {
  it('an overrun of one stream’s window, which costs that stream only', async () => {
    const attacker = new Attacker({ windowBytes: 65_535 });
    attacker.open(1);
    for (let count = 0; count < 5; count++) {
      attacker.frame(frameType.DATA, 0, 1, new Uint8Array(16_384));
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(attacker.resets).toEqual([errorCode.FLOW_CONTROL_ERROR]);
    expect(attacker.goAways).toEqual([]);
    attacker.server.abort();
    await attacker.gone();
  });

  it('a client that never gives credit: it keeps little for it', async () => {
    const attacker = new Attacker({}, [[settingId.INITIAL_WINDOW_SIZE, 0]]);
    attacker.open(1);
    const stream = await attacker.server.accept();
    let pulled = 0;
    const endless = (function* () {
      for (;;) {
        pulled += 1024;
        yield new Uint8Array(1024);
      }
    })();
    void stream?.accept().send(endless);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(pulled).toBeLessThanOrEqual(64 * 1024);
    attacker.server.abort();
    await attacker.gone();
  });
});
