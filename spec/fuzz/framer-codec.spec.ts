import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Stream } from '../../lib/api.js';
import { StreamError } from '../../lib/core/errors.js';
import type { SessionOptions } from '../../lib/core/session.js';
import { framer } from '../../lib/framer/index.js';
import * as b from '../framer/bytes.js';
import { parsePieces } from '../framer/recorder.js';
import { recordSession } from '../framer/session.js';
import { vectors } from '../framer/vectors.js';
import { ManualClock } from '../support/manual-clock.js';
import { type Random, seededRandom } from '../support/random.js';
import { ScriptedTransport } from '../support/scripted-transport.js';

/**
 * Random and damaged input for the Simple Framer. `RXMUX_FUZZ_RUNS=1000000` is the long run; input number i has the
 * seed that is printed plus i, so `RXMUX_FUZZ_SEED=<its seed> RXMUX_FUZZ_RUNS=1` has it again. A round of
 * `npm run fuzz` is 100 inputs.
 */
const rounds = process.env.RXMUX_FUZZ_ROUNDS;
const runs = Number(process.env.RXMUX_FUZZ_RUNS ?? (rounds === undefined ? 20_000 : Number(rounds) * 100));
const firstSeed = Number(process.env.RXMUX_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
const timeoutMs = 120_000 + runs;

const maxInputMs = 50;
const maxHeapGrowth = 1 << 20;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function heldBytes(): number {
  collectGarbage();
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

type Try = (random: Random) => Promise<void> | void;

/** Runs `one` for each seed: it may throw only for what is wrong with us, must be quick, and must leave nothing. */
async function fuzz(name: string, count: number, one: Try): Promise<void> {
  const settled = Math.floor(count / 2);
  let held = 0;
  let slowestMs = 0;
  const startedAt = performance.now();
  for (let at = 0; at < count; at++) {
    const seed = firstSeed + at;
    if (at === settled) held = heldBytes();
    try {
      let elapsedMs = await timed(one, seed);
      // Somebody else may have had the processor: only what is slow each time is slow.
      for (let again = 0; again < 3 && elapsedMs > maxInputMs; again++) {
        elapsedMs = Math.min(elapsedMs, await timed(one, seed));
      }
      if (elapsedMs > maxInputMs) throw new Error(`took ${elapsedMs.toFixed(1)} ms`);
      slowestMs = Math.max(slowestMs, elapsedMs);
    } catch (error) {
      throw new Error(
        `${name}: ${error instanceof Error ? error.message : error}; RXMUX_FUZZ_SEED=${seed} RXMUX_FUZZ_RUNS=1 replays it`,
        { cause: error },
      );
    }
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const growth = heldBytes() - held;
  process.stdout.write(
    `${name}: ${count} inputs from seed ${firstSeed} in ${seconds.toFixed(1)} s, slowest ${slowestMs.toFixed(2)} ms, ` +
      `heap ${(growth / 1024).toFixed(0)} KiB over the second half\n`,
  );
  // With few inputs it is the compiler's memory that is measured.
  if (count >= 10_000) expect(growth).toBeLessThan(maxHeapGrowth);
}

async function timed(one: Try, seed: number): Promise<number> {
  const random = seededRandom(seed);
  const startedAt = performance.now();
  const later = one(random);
  if (later !== undefined) await later;
  return performance.now() - startedAt;
}

// ------------------------------------------------------------------ inputs

const starts = [b.hello('client'), b.hello('client', 16_384, 65_536), b.preface, new Uint8Array(0)];
const ids = [0, 1, 1, 1, 2, 3, 5, 0x7fff_ffff, 0xffff_ffff];
const texts = ['', 'a', ':path', 'x-n', 'A', '__proto__', 'ä', '\0', 'n'.repeat(300)];

/** Streams of frames that make sense, to be damaged. */
const samples: Uint8Array[] = vectors
  .filter(({ bytes }) => bytes.length < 1000)
  .map(({ bytes }) => b.hex(bytes));

beforeAll(async () => {
  const { client, server } = await recordSession();
  samples.push(client, server, client, server);
});

function someHeaders(random: Random): b.Headers {
  return Array.from(
    { length: random.integer(0, 4) },
    () => [random.pick(texts), random.pick(texts)] as const,
  );
}

/** A payload that its type could have, or nearly. */
function somePayload(random: Random, type: number): Uint8Array {
  const number = b.u32(random.pick([0, 1, 5, 64, 70_000, 2 ** 31 - 1, 2 ** 32 - 1]));
  const data = random.oneIn(2) ? random.bytes(random.integer(0, 40)) : new Uint8Array(0);
  switch (type) {
    case b.T.OPEN:
      return b.join(b.u8(random.pick([0, 3, 3, 7, 8])), b.block(someHeaders(random)), data);
    case b.T.ACCEPT:
      return b.join(b.block(someHeaders(random)), data);
    case b.T.REFUSE:
      return b.join(number, b.text(random.pick(texts)), b.block(someHeaders(random)));
    case b.T.CREDIT:
    case b.T.STOP:
      return number;
    case b.T.TRAILERS:
      return b.block(someHeaders(random));
    case b.T.RESET:
      return b.join(number, b.text(random.pick(texts)));
    case b.T.PING:
    case b.T.PONG:
      return random.bytes(8);
    case b.T.GOAWAY:
      return b.join(number, number, b.text(random.pick(texts)));
    case b.T.SETTINGS:
      return b.hex('000100000001 000200010000').subarray(0, random.pick([6, 12, 5]));
    default:
      return data;
  }
}

function someFrame(random: Random): Uint8Array {
  const type = random.oneIn(8) ? random.integer(0, 31) : random.integer(1, 11);
  const isForConnection = type === b.T.SETTINGS || (type >= b.T.PING && type <= b.T.GOAWAY);
  const id = isForConnection && !random.oneIn(8) ? 0 : random.pick(ids);
  const flags = random.pick([0, 0, 1, 7]);
  if (random.oneIn(40)) return b.header(type, id, random.integer(0, 2 ** 24 - 1), flags);
  const payload = somePayload(random, type);
  if (random.oneIn(12))
    return b.frame(type, id, payload.subarray(0, random.integer(0, payload.length)), flags);
  if (random.oneIn(12)) return b.frame(type, id, b.join(payload, random.bytes(random.integer(1, 9))), flags);
  return b.frame(type, id, payload, flags);
}

function damaged(random: Random): Uint8Array {
  let bytes: Uint8Array = random.pick(samples).slice();
  for (let count = random.integer(0, 4); count > 0 && bytes.length > 0; count--) {
    const at = random.integer(0, bytes.length - 1);
    const length = random.integer(1, 20);
    const kind = random.integer(0, 5);
    if (kind === 0) bytes[at] = random.integer(0, 255);
    else if (kind === 1) bytes[at] = (bytes[at] as number) ^ (1 << random.integer(0, 7));
    else if (kind === 2) bytes = b.join(bytes.subarray(0, at), bytes.subarray(at + length));
    else if (kind === 3) bytes = b.join(bytes.subarray(0, at), random.bytes(length), bytes.subarray(at));
    else if (kind === 4) bytes = b.join(bytes.subarray(0, at), bytes.subarray(Math.max(0, at - 8 * length)));
    else bytes = b.join(bytes.subarray(0, at), random.pick(samples).subarray(random.integer(0, 60)));
  }
  return bytes;
}

function someInput(random: Random): Uint8Array {
  const kind = random.integer(0, 7);
  if (kind === 0) return random.bytes(random.integer(0, 100));
  if (kind === 1) return b.join(random.pick(starts), random.bytes(random.integer(0, 200)));
  if (kind <= 4) return damaged(random);
  const frames = Array.from({ length: random.integer(1, 12) }, () => someFrame(random));
  return b.join(random.oneIn(20) ? random.pick(starts) : (starts[0] as Uint8Array), ...frames);
}

function somePieces(random: Random, input: Uint8Array): Uint8Array[] {
  const most = random.pick([1, 3, 9, 60]);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < input.length; ) {
    const end = at + random.integer(1, most);
    pieces.push(input.slice(at, end));
    at = end;
  }
  return pieces;
}

function check(fact: boolean, what: string): asserts fact {
  if (!fact) throw new Error(what);
}

// ------------------------------------------------------------------ tests

describe('the Simple Framer and a hostile peer', () => {
  it(
    'refuses any input with a StreamError or not at all, however it is cut',
    () =>
      fuzz('framer codec', runs, (random) => {
        const input = someInput(random);
        const maxFrame = random.pick([65_536, 2 ** 24 - 1]);
        const whole = parsePieces([input], maxFrame);
        const { recorder, error } = whole;
        if (error !== undefined) {
          if (!StreamError.is(error)) throw error;
          check(
            error.code === 'protocol' && error.remote && error.wireCode === 1,
            `${error.code} ${error.message}`,
          );
        }
        check(recorder.bytes <= input.length, `${recorder.bytes} bytes came out of ${input.length}`);
        check(recorder.frames.length <= input.length / 8, `${recorder.frames.length} frames`);
        // One event a frame, and the last frame may not have been taken or complete.
        check(recorder.events.length <= recorder.frames.length, 'an event without a frame');
        check(recorder.events.length >= recorder.frames.length - 1, 'a frame without an event');
        const cut = parsePieces(somePieces(random, input), maxFrame, random.integer(1, 4));
        check(cut.recorder.events.join('\n') === recorder.events.join('\n'), 'cut, it says something else');
        check(cut.recorder.frames.join('\n') === recorder.frames.join('\n'), 'cut, it has other frames');
        check(String(cut.error) === String(error), `cut: ${cut.error}, whole: ${error}`);
      }),
    timeoutMs,
  );

  it(
    'ends a connection for what its peer did wrong, and never for a mistake of its own',
    () => fuzz('framer provider', Math.ceil(runs / 10), attack),
    timeoutMs,
  );
});

/** A connection with streams both ways, whose peer sends some input. */
async function attack(random: Random): Promise<void> {
  const transport = new ScriptedTransport();
  const clock = new ManualClock();
  const options: SessionOptions = {
    role: random.pick(['client', 'server'] as const),
    clock,
    limits: { windowBytes: 16_384, receiveBudgetBytes: 65_536 },
  };
  const provider = framer(transport, options);
  const closed = provider.closed.catch((error: unknown) => error);
  provider.accept$.subscribe({ next: (stream) => use(stream, random.integer(0, 4)), error: () => {} });
  for (let count = random.integer(0, 3); count > 0; count--) {
    const stream = provider.newStream({ 'x-n': String(count) });
    if (random.oneIn(2)) void stream.write('abc');
    if (random.oneIn(2)) stream.data$.subscribe({ error: () => {} });
  }
  await Promise.resolve();
  for (const piece of somePieces(random, someInput(random))) transport.feed(piece);
  await new Promise(setImmediate);
  provider.abort();
  transport.close();
  const error = await closed;
  const goAways = b.framesIn(transport.written, 8).filter(({ type }) => type === b.T.GOAWAY);
  const words = goAways.map(b.numberIn);
  if (!StreamError.is(error) || words.includes(b.code['internal-error'])) throw error;
  check(words.length <= 1, `${words.length} GOAWAYs`);
  check(clock.pending === 0, `${clock.pending} timers are left`);
  check(provider.streams.size === 0, `${provider.streams.size} streams are left`);
}

function use(stream: Stream, how: number): void {
  if (how === 0) stream.reject(1234);
  else if (how === 1) void stream.accept({ 'x-a': 'b' }).send(stream.data$);
  else if (how === 2) stream.data$.subscribe({ error: () => {} });
  else if (how === 3) stream.stop();
}
