/** What a peer can do to a server, as the bytes that it sends. */
import type { StreamErrorCode } from 'rxmux';
import { defaultLimits } from '../../lib/core/limits.js';
import { encodeBlock } from '../../lib/framer/encode.js';
import type { codes } from '../../lib/framer/frames.js';
import { seededRandom } from '../support/random.js';
import {
  accept,
  clientId,
  credit,
  data,
  dataFrames,
  frame,
  goAway,
  type Headers,
  hello,
  join,
  many,
  open,
  ping,
  pong,
  refuse,
  reset,
  settings,
  stop,
  trailers,
} from './frames.js';
import type { Assault } from './messages.js';

export interface Attack extends Partial<Assault> {
  readonly name: string;
  /** After the preface and SETTINGS, unless `head` says otherwise. */
  readonly body: Uint8Array;
  /** How the connection ends for the victim's application. */
  readonly ends: StreamErrorCode | 'none';
  /** What the attacker is told before. */
  readonly told?: keyof typeof codes;
  /** The listener with short times. */
  readonly quick?: boolean;
}

const none = new Uint8Array();
const mostCredit = 2 ** 31 - 1;
const enough = 5000;
/** More than are refused before it is too much. */
const refusals = defaultLimits.maxStreams + defaultLimits.refusalBurst + 2000;

const to = (path: string): Headers => [[':path', path]];
const ignored = to('/ignore');

/** Something that is done to a stream that it opens for the purpose, over and over. */
function churn(does: (id: number) => Uint8Array, headers: Headers = []): Uint8Array {
  return many(enough, (index) => join(open(clientId(index), { headers }), does(clientId(index))));
}

const tooMuch = { ends: 'limit', told: 'calm' } as const;
const lies = { ends: 'protocol', told: 'protocol-error' } as const;
const overflows = { ends: 'flow-control', told: 'flow-control' } as const;
const noise = { ends: 'protocol', head: none } as const;

/** Useless frames without end. */
const floods: readonly Attack[] = [
  { name: 'opens', body: many(refusals, (index) => open(clientId(index))), ...tooMuch },
  { name: 'opens and resets', body: churn((id) => reset(id)), ...tooMuch },
  { name: 'opens and resets of streams that give', body: churn((id) => reset(id), to('/give')), ...tooMuch },
  { name: 'opens, data and resets', body: churn((id) => join(data(id, 10), reset(id))), ...tooMuch },
  {
    name: 'opens and stops',
    body: many(refusals, (index) => join(open(clientId(index)), stop(clientId(index)))),
    ...tooMuch,
  },
  {
    name: 'stops of one stream',
    body: join(
      open(1),
      many(enough, () => stop(1)),
    ),
    ...tooMuch,
  },
  { name: 'resets of a stream that was never opened', body: reset(1), ...lies },
  { name: 'pings', body: many(enough, ping), loop: true, ...tooMuch },
  { name: 'pongs', body: many(enough, () => pong()), loop: true, ...tooMuch },
  { name: 'unknown frames', body: many(enough, () => frame(12, 0, 0)), loop: true, ...tooMuch },
  {
    name: 'unknown frames of 64 KiB',
    body: many(20, () => frame(20, 0, 0, new Uint8Array(65_536))),
    loop: true,
    ...tooMuch,
  },
  {
    name: 'empty data',
    body: join(
      open(1),
      many(enough, () => data(1, 0)),
    ),
    ...tooMuch,
  },
  { name: 'tiny credits', body: many(enough, () => credit(0, 1)), loop: true, ...tooMuch },
  {
    name: 'header blocks with a value that is too long',
    body: many(500, (index) => open(clientId(index), { headers: [['a', 'x'.repeat(9000)]] })),
    ...tooMuch,
  },
  {
    name: 'thousands of tiny headers in each block',
    body: many(200, (index) => open(clientId(index), { block: encodeBlock(tiny(3000)) })),
    ...tooMuch,
  },
  {
    name: 'empty-named headers',
    body: many(enough, (index) => open(clientId(index), { headers: [['', '']] })),
    ...tooMuch,
  },
  { name: 'SETTINGS', body: many(enough, () => settings()), loop: true, ...lies },
];

/** What no honest peer says. */
const violations: readonly Attack[] = [
  { name: 'random bytes', body: seededRandom(1).bytes(100_000), ...noise },
  { name: 'random bytes behind the preface', body: seededRandom(2).bytes(100_000), ...lies },
  { name: 'HTTP', body: Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n'), ...noise },
  { name: 'another version', body: Buffer.from('rxmux/2\n'), ...noise },
  { name: 'the wrong role', body: none, head: hello({ role: 'server' }), ends: 'protocol' },
  { name: 'SETTINGS twice', body: settings(), ...lies },
  { name: 'a frame too long', body: frame(4, 0, 1, new Uint8Array(65_537)).subarray(0, 100), ...lies },
  { name: 'the reserved bit of an id', body: frame(4, 0, 0x8000_0001), ...lies },
  { name: 'an unknown frame that must be understood', body: frame(24, 0, 0), ...lies },
  { name: 'data for the connection', body: data(0, 1), ...lies },
  { name: 'an id of the wrong parity', body: open(2), ...lies },
  { name: 'an id used twice', body: join(open(1), open(1)), ...lies },
  { name: 'a falling id', body: join(open(9), open(7)), ...lies },
  { name: 'data before the opening', body: data(1, 1), ...lies },
  { name: 'data after the end', body: join(open(1, { end: true }), data(1, 1)), ...lies },
  { name: 'trailers after the end', body: join(open(1, { end: true }), trailers(1)), ...lies },
  { name: 'an answer of the opener', body: join(open(1), accept(1)), ...lies },
  { name: 'a refusal of the opener', body: join(open(1), refuse(1, 4)), ...lies },
  { name: 'a short ping', body: frame(9, 0, 0, new Uint8Array(7)), ...lies },
  { name: 'a block that runs past its frame', body: frame(1, 0, 1, Uint8Array.of(3, 255, 255)), ...lies },
  {
    name: 'text that is not UTF-8',
    body: frame(1, 0, 1, Uint8Array.of(3, 0, 6, 0, 1, 255, 0, 1, 255)),
    ...lies,
  },
  { name: 'a credit of 0', body: credit(0, 0), ...overflows },
  {
    name: 'credit above the highest',
    body: join(credit(0, mostCredit), credit(0, mostCredit)),
    ...overflows,
  },
  {
    name: 'credit above the highest on a stream',
    body: join(open(1), credit(1, mostCredit), credit(1, mostCredit)),
    ...overflows,
  },
  {
    name: 'data beyond the window of a stream',
    body: join(open(1, { headers: ignored }), dataFrames(1, 256 * 1024 + 1)),
    ...overflows,
  },
  {
    name: 'data beyond the window of the connection, on 256 streams',
    body: join(
      many(256, (index) => open(clientId(index), { headers: ignored })),
      many(256, (index) => data(clientId(index), 20_000)),
    ),
    ...overflows,
  },
  {
    name: 'data byte by byte, beyond the window',
    body: join(
      open(1, { headers: ignored }),
      many(256 * 1024 + 1, () => data(1, 1)),
    ),
    ...overflows,
  },
  {
    name: 'frames after a go-away that gave up',
    body: join(goAway(0, 1), many(enough, ping)),
    ends: 'closed',
  },
];

/** Peers that waste time: told by the clock, on short times. */
const idlers: readonly Attack[] = [
  { name: 'nothing at all', body: none, head: none, quick: true, ends: 'timeout' },
  { name: 'half of the preface', body: none, head: hello().subarray(0, 4), quick: true, ends: 'timeout' },
  {
    name: 'one byte after the other',
    head: none,
    body: join(hello().subarray(0, 8), frame(0, 0, 0, new Uint8Array(5000))),
    pieceBytes: 1,
    quick: true,
    ends: 'timeout',
  },
  { name: 'the preface and no more', body: none, quick: true, ends: 'timeout', told: 'timeout' },
  {
    name: 'requests whose answers it does not read',
    body: join(open(1, { headers: to('/give') }), open(3, { headers: to('/give') })),
    reads: false,
    quick: true,
    ends: 'timeout',
  },
  {
    name: 'nothing, on 100 connections at once',
    body: none,
    head: none,
    quick: true,
    connections: 100,
    ends: 'timeout',
  },
];

export const attacks: Readonly<Record<'floods' | 'violations' | 'idlers', readonly Attack[]>> = {
  floods,
  violations,
  idlers,
};

function tiny(count: number): Headers {
  return Array.from({ length: count }, () => ['a', ''] as const);
}
