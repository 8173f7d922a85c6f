import { StreamError } from '../../lib/core/errors.js';
import {
  decodeFirst,
  decodeHeaders,
  encodeMessage,
  type PayloadReader,
  readMessage,
} from '../../lib/ssh/codec.js';
import { decodeOpen, kindOfType } from '../../lib/ssh/standard-types.js';
import { type Random, seededRandom } from '../support/random.js';

/**
 * Random and damaged messages. `RXMUX_FUZZ_RUNS=1000000` is the long run; input number i has the seed that is printed
 * plus i. A round of `npm run fuzz` is 100 inputs.
 */
const rounds = process.env.RXMUX_FUZZ_ROUNDS;
const runs = Number(process.env.RXMUX_FUZZ_RUNS ?? (rounds === undefined ? 50_000 : Number(rounds) * 100));
const firstSeed = Number(process.env.RXMUX_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
const maxInputMs = 50;

const bounds = {
  maxHeaders: 256,
  maxHeaderBlockBytes: 24 * 1024,
  maxHeaderNameBytes: 1024,
  maxHeaderValueBytes: 16 * 1024,
} as const;

const noop = (): void => {};

/** Reads everything there is to read in a message, as the real one does. */
const handler = {
  disconnect: noop,
  globalRequest: (_name: string, _wants: boolean, data: PayloadReader) => void data.text(100),
  requestSuccess: (data: PayloadReader) => void data.rest(),
  requestFailure: noop,
  channelOpen: (type: string, _sender: number, _window: number, _max: number, data: PayloadReader) => {
    const kind = kindOfType(type);
    if (kind === 'stream') {
      if (!StreamError.is(decodeHeaders(data, bounds))) decodeFirst(data);
    } else if (kind !== undefined) decodeOpen(kind, data);
  },
  openConfirmation: (_mine: number, _theirs: number, _window: number, _max: number, data: PayloadReader) => {
    const headers = decodeHeaders(data, bounds);
    if (!StreamError.is(headers)) data.last(headers);
  },
  openFailure: noop,
  windowAdjust: noop,
  data: noop,
  extendedData: noop,
  eof: noop,
  close: noop,
  channelRequest: (_recipient: number, name: string, _wants: boolean, data: PayloadReader) => {
    if (name === 'headers@rxmux.dev') decodeHeaders(data, bounds);
    else data.uint32();
  },
  channelSuccess: noop,
  channelFailure: noop,
  unknown: noop,
};

const corpus: readonly Uint8Array[] = [
  encodeMessage(90, 'stream@rxmux.dev', 0, 1 << 20, 32_768, 2, 'a', '1', 'b', 'two'),
  encodeMessage(90, 'stream@rxmux.dev', 0, 1 << 20, 32_768, 1, 'a', '1', true, {
    string: new Uint8Array(50),
  }),
  encodeMessage(90, 'direct-tcpip', 1, 1 << 20, 32_768, 'localhost', 80, '::1', 1234),
  encodeMessage(90, 'direct-streamlocal@openssh.com', 1, 1 << 20, 32_768, '/run/x', '', 0),
  encodeMessage(91, 0, 1, 1 << 20, 32_768),
  encodeMessage(91, 0, 1, 1 << 20, 32_768, 2, 'a', '1', 'b', 'two'),
  encodeMessage(92, 0, 4, 'no room', ''),
  encodeMessage(93, 0, 65_536),
  encodeMessage(94, 0, { string: new Uint8Array(100) }),
  encodeMessage(95, 0, 1, { string: new Uint8Array(10) }),
  encodeMessage(98, 0, 'headers@rxmux.dev', false, 1, 'a', 'b'),
  encodeMessage(98, 0, 'exit-status', false, 3),
  encodeMessage(80, 'tcpip-forward', true, '', 0),
  encodeMessage(1, 2, 'why', ''),
];

function damaged(random: Random): Uint8Array {
  const source = random.pick(corpus);
  const bytes = Uint8Array.from(source);
  for (let count = random.integer(0, 4 - 1); count >= 0; count--)
    bytes[random.integer(0, bytes.length - 1)] = random.integer(0, 256 - 1);
  const cut = random.integer(0, 3 - 1);
  if (cut === 0) return bytes.subarray(0, 1 + random.integer(0, bytes.length - 1));
  if (cut === 1) return Uint8Array.of(...bytes, ...random.bytes(random.integer(0, 20 - 1)));
  return bytes;
}

function timed(payload: Uint8Array, seed: number): number {
  const startedAt = performance.now();
  try {
    readMessage(payload, handler);
  } catch (error) {
    if (!StreamError.is(error)) {
      throw new Error(`RXMUX_FUZZ_SEED=${seed} RXMUX_FUZZ_RUNS=1 replays it`, { cause: error });
    }
  }
  return performance.now() - startedAt;
}

describe('messages that are no messages', () => {
  it.each([
    [
      'random bytes',
      (random: Random) =>
        Uint8Array.of(80 + random.integer(0, 24 - 1), ...random.bytes(random.integer(0, 200 - 1))),
    ],
    ['damaged messages', damaged],
  ] as const)('%s throw nothing but what ends a connection', (name, make) => {
    let slowest = 0;
    for (let at = 0; at < runs; at++) {
      const payload = make(seededRandom(firstSeed + at));
      let elapsed = timed(payload, firstSeed + at);
      // Somebody else may have had the processor: only what is slow each time is slow.
      for (let again = 0; again < 3 && elapsed > maxInputMs; again++) {
        elapsed = Math.min(elapsed, timed(payload, firstSeed + at));
      }
      slowest = Math.max(slowest, elapsed);
    }
    process.stdout.write(`${name}: ${runs} from seed ${firstSeed}, slowest ${slowest.toFixed(2)} ms\n`);
    expect(slowest).toBeLessThan(maxInputMs);
  });
});
