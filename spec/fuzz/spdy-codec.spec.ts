import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { constants, createDeflate, inflateSync, type ZlibOptions } from 'node:zlib';
import { StreamError } from '../../lib/core/errors.js';
import * as codec from '../../lib/spdy/codec.js';
import { spdyDictionary } from '../../lib/spdy/dictionary.js';
import {
  FRAME_HEADER_BYTES,
  type SpdyHandler,
  type SpdySetting,
  SYN_REPLY_HEAD_BYTES,
  SYN_STREAM_HEAD_BYTES,
  spdyParserLimits,
} from '../../lib/spdy/frames.js';
import { HeaderBlockDecoder, HeaderBlockEncoder, headerBlockLimits } from '../../lib/spdy/header-block.js';
import { Inflate } from '../../lib/spdy/inflate.js';
import { type Random, seededRandom } from '../support/random.js';

/**
 * Random and damaged input for the SPDY parsers. `RXMUX_FUZZ_RUNS=1000000` is the long run; input number i has the
 * seed that is printed plus i, so `RXMUX_FUZZ_SEED=<its seed> RXMUX_FUZZ_RUNS=1` has it again. A round of
 * `npm run fuzz` is 100 inputs.
 */
const rounds = process.env.RXMUX_FUZZ_ROUNDS;
const runs = Number(process.env.RXMUX_FUZZ_RUNS ?? (rounds === undefined ? 20_000 : Number(rounds) * 100));
const firstSeed = Number(process.env.RXMUX_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));

/** Looked up once: Jest makes every look-up of a global slow, and these are in the inner loops. */
const { imul, max, min } = Math;

const maxInputMs = 50;
const maxHeapGrowth = 1 << 20;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

async function heldBytes(): Promise<number> {
  // What node:zlib has outside the heap is let go of between turns of the event loop, after a first collection.
  collectGarbage();
  await setImmediate();
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Runs `one` for each seed: it may throw only for what is wrong with us, must be quick, and must leave nothing. */
async function fuzz(name: string, one: (random: Random) => void): Promise<void> {
  const settled = Math.floor(runs / 2);
  let held = 0;
  let slowestMs = 0;
  const startedAt = performance.now();
  for (let i = 0; i < runs; i++) {
    const seed = firstSeed + i;
    if (i % 1000 === 0) await setImmediate();
    if (i === settled) held = await heldBytes();
    try {
      let elapsedMs = timed(one, seed);
      // Somebody else may have had the processor: only what is slow each time is slow.
      for (let again = 0; again < 3 && elapsedMs > maxInputMs; again++) {
        elapsedMs = min(elapsedMs, timed(one, seed));
      }
      if (elapsedMs > maxInputMs) throw new Error(`took ${elapsedMs.toFixed(1)} ms`);
      slowestMs = max(slowestMs, elapsedMs);
    } catch (error) {
      throw new Error(`${name}: failed; RXMUX_FUZZ_SEED=${seed} RXMUX_FUZZ_RUNS=1 replays it`, {
        cause: error,
      });
    }
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const growth = (await heldBytes()) - held;
  process.stdout.write(
    `${name}: ${runs} inputs from seed ${firstSeed} in ${seconds.toFixed(1)} s, slowest ${slowestMs.toFixed(2)} ms, ` +
      `heap ${(growth / 1024).toFixed(0)} KiB over the second half\n`,
  );
  // With few inputs it is the compiler's memory that is measured.
  if (runs >= 10_000) expect(growth).toBeLessThan(maxHeapGrowth);
}

function timed(one: (random: Random) => void, seed: number): number {
  const random = seededRandom(seed);
  const startedAt = performance.now();
  one(random);
  return performance.now() - startedAt;
}

function check(fact: boolean, what: string): asserts fact {
  if (!fact) throw new Error(what);
}

/** What `action` gives, or the StreamError it throws; any other error is a failure. */
function outcome<T>(action: () => T): T | StreamError {
  try {
    return action();
  } catch (error) {
    if (StreamError.is(error)) return error;
    throw error;
  }
}

/** One connection's blocks as zlib wrote them, and what was in them. */
interface Context {
  readonly packed: readonly Uint8Array[];
  readonly plain: readonly Uint8Array[];
}

const words = [
  'streamtype',
  'stdout',
  'port',
  '8080',
  'requestid',
  ':path',
  '/api/v1/pods',
  'gzip',
  '\0\0\0\x05',
];

function plainBlock(random: Random): Uint8Array {
  const parts: Buffer[] = [];
  for (let n = random.integer(0, 25); n > 0; n--) {
    const part = random.oneIn(4)
      ? Buffer.from(random.bytes(random.integer(1, 50)))
      : Buffer.from(random.pick(words));
    parts.push(random.oneIn(100) ? Buffer.alloc(random.integer(1, 3000), part) : part);
  }
  return Buffer.concat(parts);
}

async function makeContext(random: Random): Promise<Context> {
  const options: ZlibOptions = {
    level: random.integer(0, 9),
    strategy: random.integer(0, 4),
    windowBits: random.integer(9, 15),
    ...(random.oneIn(3) ? {} : { dictionary: spdyDictionary }),
  };
  const deflate = createDeflate(options);
  let parts: Buffer[] = [];
  deflate.on('data', (part: Buffer) => parts.push(part));
  const plain = Array.from({ length: random.integer(1, 4) }, () => plainBlock(random));
  const packed: Uint8Array[] = [];
  for (const block of plain) {
    await new Promise<void>((resolve) => {
      deflate.write(block);
      deflate.flush(constants.Z_SYNC_FLUSH, resolve);
    });
    packed.push(Uint8Array.from(Buffer.concat(parts)));
    parts = [];
  }
  deflate.close();
  return { packed, plain };
}

/** Up to four small injuries, most of them near the start, where the lengths and the codes are. */
function damage(random: Random, bytes: Uint8Array): Uint8Array {
  let result = bytes.slice();
  for (let n = random.integer(1, 4); n > 0 && result.length > 0; n--) {
    const end = result.length - 1;
    const at = random.oneIn(2) ? random.integer(0, min(end, 24)) : random.integer(0, end);
    const kind = random.integer(0, 5);
    if (kind <= 1) result[at] = (result[at] as number) ^ (1 << random.integer(0, 7));
    else if (kind === 2) result[at] = random.integer(0, 255);
    else if (kind === 3) result = result.subarray(0, at);
    else if (kind === 4)
      result = Buffer.concat([result.subarray(0, at), result.subarray(at + random.integer(1, 5))]);
    else
      result = Buffer.concat([
        result.subarray(0, at),
        random.bytes(random.integer(1, 5)),
        result.subarray(at),
      ]);
  }
  return result;
}

describe('the SPDY parsers, whatever they are given', () => {
  const contexts: Context[] = [];

  beforeAll(async () => {
    // The corpus is the same for every seed, so that one input can be had again alone.
    const random = seededRandom(1);
    for (let n = 0; n < 400; n++) contexts.push(await makeContext(random));
  });

  it('inflate what zlib inflates, or throw a StreamError', async () => {
    await fuzz('inflate', (random) => {
      const context = random.pick(contexts);
      const kind = random.integer(0, 7);
      let blocks: readonly Uint8Array[];
      if (kind === 0) blocks = context.packed;
      else if (kind === 1)
        blocks = [Buffer.concat([Uint8Array.of(0x78, 0x01), random.bytes(random.integer(0, 200))])];
      else if (kind === 2) blocks = [...context.packed, random.bytes(random.integer(0, 60))];
      else if (kind === 3) blocks = [...context.packed, ...random.pick(contexts).packed.slice(1)];
      else {
        const hurt = random.integer(0, context.packed.length - 1);
        blocks = context.packed.map((block, i) => (i === hurt ? damage(random, block) : block));
      }
      const maxBytes = random.oneIn(4) ? random.integer(0, 500) : 1 << 16;
      const failure = inflateAll(blocks, maxBytes, kind === 0 ? context.plain : undefined);
      if (maxBytes === 1 << 16 && random.oneIn(25)) compareWithZlib(blocks, failure);
    });
  }, 600_000);

  it('find the same frames wherever the bytes are cut, or throw the same StreamError', async () => {
    await fuzz('frames', (random) => {
      let bytes: Uint8Array = random.oneIn(10)
        ? random.bytes(random.integer(0, 100))
        : someFrames(random, contexts);
      if (random.oneIn(2)) bytes = damage(random, bytes);
      const whole = new Listener();
      const parser = new codec.SpdyParser(whole);
      const end = outcome(() => parser.parse(bytes));
      if (typeof end === 'number') check(end === bytes.length, `stopped at ${end} of ${bytes.length}`);
      const cut = new Listener();
      const cutEnd = outcome(() => parseInPieces(random, new codec.SpdyParser(cut), bytes));
      check(whole.digest === cut.digest, 'the cut bytes gave other events');
      check(whole.calls === cut.calls, 'the cut bytes gave another number of events');
      const [message, cutMessage] = [end, cutEnd].map((each) =>
        StreamError.is(each) ? each.message : undefined,
      );
      check(message === cutMessage, `whole: ${message}; cut: ${cutMessage}`);
    });
  }, 600_000);
});

/** The error at which it ended, if it did. */
function inflateAll(
  blocks: readonly Uint8Array[],
  maxBytes: number,
  plain: readonly Uint8Array[] | undefined,
): StreamError | undefined {
  const inflate = new Inflate(spdyDictionary);
  let total = spdyDictionary.length;
  for (const [i, block] of blocks.entries()) {
    const result = outcome(() => inflate.inflate(block, maxBytes));
    if (StreamError.is(result)) {
      check(result.code === 'protocol' || result.code === 'limit', `code ${result.code}`);
      check(result.remote && result.wireCode === 1, 'the error does not say whose it is');
      check(outcome(() => inflate.inflate(block, maxBytes)) === result, 'it went on after an error');
      const expected = plain?.[i]?.length ?? 0;
      check(plain === undefined || (result.code === 'limit' && expected > maxBytes), result.message);
      return result;
    }
    total += result.length;
    check(result.length <= maxBytes, `${result.length} bytes, of ${maxBytes}`);
    check(
      result.buffer.byteLength <= 4096 + 2 * total,
      `a buffer of ${result.buffer.byteLength} for ${total} bytes`,
    );
    check(plain === undefined || Buffer.compare(result, plain[i] as Uint8Array) === 0, 'wrong bytes');
  }
  return undefined;
}

/** We take all that zlib takes, save blocks that end where no flush ends, and nothing else. */
function compareWithZlib(blocks: readonly Uint8Array[], failure: StreamError | undefined): void {
  const packed = Buffer.concat(blocks);
  let theirs: Buffer | undefined;
  try {
    theirs = inflateSync(packed, {
      dictionary: spdyDictionary,
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: 1 << 20,
    });
  } catch (error) {
    // Node's zlib holds a peer to the small window that its zlib header announces; other builds of zlib do not.
    const window = (packed[0] ?? 0) >> 4;
    if (window < 7 && (error as Error).message === 'invalid distance too far back') return;
    check(failure !== undefined || packed.length === 0, 'zlib refuses what we take');
    return;
  }
  if (failure !== undefined) {
    // A code length code without symbols is a mistake that zlib finds later, and not at all if the block is cut.
    const excused = / ends | after the end | more than |lengths for code lengths/;
    check(excused.test(failure.message), `zlib takes it, and we: ${failure.message}`);
    return;
  }
  const inflate = new Inflate(spdyDictionary);
  const ours = Buffer.concat(blocks.map((block) => inflate.inflate(block, 1 << 16).slice()));
  check(ours.equals(theirs), 'zlib has other bytes');
}

/** Takes frames as a connection does, and checks what a connection relies on. */
class Listener implements SpdyHandler {
  digest = 0;
  calls = 0;
  readonly #headers = new HeaderBlockDecoder();
  #missing = 0;

  #note(...values: readonly number[]): void {
    this.calls++;
    for (const value of values) this.digest = (imul(this.digest, 31) + value) | 0;
  }

  #block(id: number, block: Uint8Array): void {
    check(block.length <= spdyParserLimits.maxHeaderBlockBytes, `a block of ${block.length} bytes`);
    const list = this.#headers.decode(block, id);
    if (StreamError.is(list)) {
      check(
        list.streamId === id && (list.wireCode === 1 || list.wireCode === 11),
        'an error without its stream',
      );
      return;
    }
    check(
      list.length % 2 === 0 && list.length <= headerBlockLimits.maxHeaders * 2,
      `${list.length} names and values`,
    );
    for (const text of list) this.#note(text.length, text.charCodeAt(0));
  }

  synStream(id: number, associatedTo: number, priority: number, flags: number, block: Uint8Array): void {
    this.#note(1, id, associatedTo, priority, flags, block.length);
    this.#block(id, block);
  }
  synReply(id: number, flags: number, block: Uint8Array): void {
    this.#note(2, id, flags, block.length);
    this.#block(id, block);
  }
  headers(id: number, flags: number, block: Uint8Array): void {
    this.#note(8, id, flags, block.length);
    this.#block(id, block);
  }
  dataStart(id: number, length: number, flags: number): void {
    check(id > 0 && id <= 0x7fffffff && this.#missing === 0, 'DATA within DATA');
    this.#missing = length;
    this.#note(100, id, length, flags);
  }
  data(id: number, chunk: Uint8Array, fin: boolean): void {
    check(chunk.length > 0 || this.#missing === 0, 'a piece of nothing');
    check(chunk.length <= this.#missing, 'more DATA than announced');
    this.#missing -= chunk.length;
    check(!fin || this.#missing === 0, 'an end before the end');
    for (const byte of chunk) this.digest = (imul(this.digest, 31) + byte) | 0;
    // However many pieces there were, the last one counts.
    if (this.#missing === 0) this.#note(101, id, fin ? 1 : 0);
  }
  rstStream(id: number, status: number): void {
    this.#note(3, id, status);
  }
  settings(entries: readonly SpdySetting[], flags: number): void {
    check(entries.length <= spdyParserLimits.maxSettings, `${entries.length} settings`);
    this.#note(4, entries.length, flags);
    for (const entry of entries) this.#note(entry.id, entry.flags, entry.value);
  }
  ping(id: number): void {
    this.#note(6, id);
  }
  goAway(lastGoodId: number, status: number): void {
    this.#note(7, lastGoodId, status);
  }
  windowUpdate(id: number, delta: number): void {
    this.#note(9, id, delta);
  }
  unknown(type: number, flags: number, length: number): void {
    this.#note(102, type, flags, length);
  }
}

function parseInPieces(random: Random, parser: codec.SpdyParser, bytes: Uint8Array): void {
  // At most some hundred pieces, since what is long is long because of its header blocks.
  const most = max(random.pick([1, 5, 40]), bytes.length >> 6);
  const maxFrames = random.integer(1, 4);
  for (let from = 0; from < bytes.length; ) {
    const to = min(from + (most === 1 ? 1 : random.integer(1, most)), bytes.length);
    const piece = bytes.slice(from, to);
    for (let at = 0; at < piece.length; ) {
      const stopped = parser.parse(piece, at, maxFrames);
      check(stopped > at && stopped <= piece.length, `from ${at} to ${stopped} of ${piece.length}`);
      check(stopped === piece.length || parser.framesDone === maxFrames, 'stopped for no reason');
      check(parser.framesDone <= maxFrames, `${parser.framesDone} frames, of ${maxFrames}`);
      at = stopped;
    }
    from = to;
  }
}

/** One to eight frames of one connection. */
function someFrames(random: Random, contexts: readonly Context[]): Uint8Array {
  const encoder = new HeaderBlockEncoder({ dictionary: random.oneIn(2) });
  const foreign = random.oneIn(3) ? [...random.pick(contexts).packed] : [];
  const parts: Uint8Array[] = [];
  for (let n = random.integer(1, 8); n > 0; n--) parts.push(someFrame(random, encoder, foreign));
  return Buffer.concat(parts);
}

function someFrame(random: Random, encoder: HeaderBlockEncoder, foreign: Uint8Array[]): Uint8Array {
  const id = random.integer(1, 20);
  const target = new Uint8Array(300);
  const kind = random.integer(0, 10);
  let end: number;
  if (kind <= 2) {
    const headBytes = kind === 0 ? SYN_STREAM_HEAD_BYTES : SYN_REPLY_HEAD_BYTES;
    const block = foreign.shift();
    const frame =
      block === undefined
        ? encoder.encode(someHeaders(random), headBytes)
        : new Uint8Array(headBytes + block.length);
    if (block !== undefined) frame.set(block, headBytes);
    const blockBytes = frame.length - headBytes;
    if (kind === 0) codec.writeSynStreamHead(frame, 0, id, 0, id & 7, id & 3, blockBytes);
    else if (kind === 1) codec.writeSynReplyHead(frame, 0, id, id & 1, blockBytes);
    else codec.writeHeadersHead(frame, 0, id, id & 1, blockBytes);
    return frame;
  }
  if (kind === 3) end = codec.writeRstStream(target, 0, id, random.integer(0, 12));
  else if (kind === 4) end = codec.writePing(target, 0, id);
  else if (kind === 5) end = codec.writeGoAway(target, 0, id, random.integer(0, 3));
  else if (kind === 6)
    end = codec.writeWindowUpdate(target, 0, random.integer(0, 3), random.integer(0, 0x7fffffff));
  else if (kind === 7) {
    const entries = Array.from({ length: random.integer(0, 5) }, (_, i) => ({ id: i, flags: 0, value: id }));
    end = codec.writeSettings(target, 0, entries, 0);
  } else if (kind === 8) {
    const length = random.integer(0, 20);
    target.set([0x80, 3, random.integer(0, 255), random.integer(0, 255), 0, 0, 0, length]);
    end = FRAME_HEADER_BYTES + length;
  } else {
    const length = random.integer(0, 100);
    end = codec.writeDataHeader(target, 0, id, length, random.integer(0, 1)) + length;
  }
  return target.subarray(0, end);
}

function someHeaders(random: Random): [string, string][] {
  return Array.from({ length: random.integer(0, 4) }, () => [
    random.pick(['a', 'streamtype', 'x-y']),
    'z'.repeat(random.integer(0, 30)),
  ]);
}
