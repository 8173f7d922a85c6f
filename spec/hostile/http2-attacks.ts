/** What a peer can do to an HTTP/2 server, as the bytes that it sends. */
import type { StreamErrorCode } from 'rxmux';
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
import { errorCode, frameFlag, frameType, settingId } from '../../lib/http2/frames.js';
import { HpackEncoder } from '../../lib/http2/hpack.js';
import { seededRandom } from '../support/random.js';
import type { Attack } from './attacks.js';
import { clientId, join, many } from './frames.js';

export interface Http2Attack extends Omit<Attack, 'told'> {
  /** What GOAWAY says before. */
  readonly code?: number;
}

type Write = (out: Uint8Array, at: number) => number;

const scratch = new Uint8Array(128 * 1024);
const made = (write: Write): Uint8Array => scratch.slice(0, write(scratch, 0));

export function hello(settings: readonly Setting[] = []): Uint8Array {
  return made((out, at) => writeSettings(out, writePreface(out, at), settings));
}

const encoder = new HpackEncoder({ tableBytes: 0 });

function frame(type: number, flags: number, id: number, payload: Uint8Array = none): Uint8Array {
  return made((out, at) => {
    const end = writeFrameHeader(out, at, payload.byteLength, type, flags, id);
    out.set(payload, end);
    return end + payload.byteLength;
  });
}

function open(id: number, path = '/ignore', end = false, more: readonly string[] = []): Uint8Array {
  const fields = [':method', 'POST', ':scheme', 'http', ':authority', 'victim', ':path', path, ...more];
  const block = encoder.encode(fields);
  return made((out, at) => writeHeaders(out, at, id, block, end, 16_384));
}

const none = new Uint8Array(0);
const data = (id: number, bytes: number, flags = 0): Uint8Array =>
  frame(frameType.DATA, flags, id, new Uint8Array(bytes));
const reset = (id: number): Uint8Array => made((out, at) => writeRstStream(out, at, id, errorCode.CANCEL));
const credit = (id: number, bytes: number): Uint8Array =>
  made((out, at) => writeWindowUpdate(out, at, id, bytes));
const ping = (ack: boolean): Uint8Array => made((out, at) => writePing(out, at, new Uint8Array(8), ack));
const settings = (list: readonly Setting[]): Uint8Array => made((out, at) => writeSettings(out, at, list));

const most = 2 ** 31 - 1;
const enough = 5000;

/** Something that is done to a stream that it opens for the purpose, over and over. */
function churn(does: (id: number) => Uint8Array, path?: string, end = false): Uint8Array {
  return many(enough, (index) => join(open(clientId(index), path, end), does(clientId(index))));
}

const tooMuch = { ends: 'limit', code: errorCode.ENHANCE_YOUR_CALM } as const;
const lies = { ends: 'protocol', code: errorCode.PROTOCOL_ERROR } as const;
const overflows = { ends: 'flow-control', code: errorCode.FLOW_CONTROL_ERROR } as const;
const noise = { ends: 'protocol', head: none } as const;

function lie(code: number, ends: StreamErrorCode = 'protocol'): { ends: StreamErrorCode; code: number } {
  return { ends, code };
}

/** A field that enters the table, and then its index as often as a block has room for. */
function bomb(): Uint8Array {
  const fields = [
    ':method',
    'POST',
    ':scheme',
    'http',
    ':authority',
    'v',
    ':path',
    '/',
    'x',
    'y'.repeat(3000),
  ];
  const literal = new HpackEncoder().encode(fields);
  const block = new Uint8Array(literal.byteLength + 10_000).fill(0x80 | 62);
  block.set(literal);
  return made((out, at) => writeHeaders(out, at, 1, block, true, 16_384));
}

/** Each block fills the table anew. */
function tableChurn(): Uint8Array {
  const greedy = new HpackEncoder();
  return many(2000, (index) => {
    const fields = [':method', 'POST', ':scheme', 'http', ':authority', 'v', ':path', '/', `x-${index}`, 'y'];
    const block = greedy.encode([...fields, 'z', `${index}`.repeat(500)]);
    return join(
      made((out, at) => writeHeaders(out, at, clientId(index), block, false, 16_384)),
      reset(clientId(index)),
    );
  });
}

/** Useless frames without end. */
const floods: readonly Http2Attack[] = [
  { name: 'rapid reset', body: churn(reset), ...tooMuch },
  { name: 'rapid reset of streams that give', body: churn(reset, '/give'), ...tooMuch },
  { name: 'made-you-reset by a credit of 0', body: churn((id) => credit(id, 0)), ...tooMuch },
  { name: 'made-you-reset by an overflowing credit', body: churn((id) => credit(id, most)), ...tooMuch },
  {
    name: 'made-you-reset by DATA after the end',
    body: churn((id) => data(id, 1), '/ignore', true),
    ...tooMuch,
  },
  {
    name: 'made-you-reset by HEADERS after the end',
    body: churn((id) => open(id), '/ignore', true),
    ...tooMuch,
  },
  {
    name: 'made-you-reset by a false content-length',
    body: many(enough, (index) => open(clientId(index), '/ignore', true, ['content-length', '5'])),
    ...tooMuch,
  },
  {
    name: 'made-you-reset by bad headers',
    body: many(enough, (index) => open(clientId(index), '/ignore', true, ['connection', 'close'])),
    ...tooMuch,
  },
  {
    name: 'made-you-reset by a priority on itself',
    body: churn((id) => frame(frameType.PRIORITY, 0, id, Uint8Array.of(0, 0, id >> 8, id & 255, 0))),
    ...tooMuch,
  },
  { name: 'more streams than are allowed', body: many(9000, (index) => open(clientId(index))), ...tooMuch },
  {
    name: 'empty CONTINUATION',
    body: join(
      frame(frameType.HEADERS, 0, 1),
      many(enough, () => frame(frameType.CONTINUATION, 0, 1)),
    ),
    ...tooMuch,
  },
  {
    name: 'full CONTINUATION',
    body: join(
      frame(frameType.HEADERS, 0, 1, new Uint8Array(16_384)),
      many(64, () => frame(frameType.CONTINUATION, 0, 1, new Uint8Array(16_384))),
    ),
    ...tooMuch,
  },
  { name: 'an HPACK bomb', body: bomb(), ...tooMuch },
  { name: 'a table that never rests', body: tableChurn(), ...tooMuch },
  {
    name: 'thousands of small headers',
    body: many(500, (index) => open(clientId(index), '/ignore', true, repeated(2000, ['a', '']))),
    ...tooMuch,
  },
  {
    name: 'SETTINGS',
    body: many(enough, () => settings([[settingId.INITIAL_WINDOW_SIZE, 0]])),
    loop: true,
    ...tooMuch,
  },
  {
    name: 'long SETTINGS',
    body: many(100, () => settings(Array.from({ length: 2000 }, () => [0x99, 1] as const))),
    ...tooMuch,
  },
  { name: 'PING', body: many(enough, () => ping(false)), loop: true, ...tooMuch },
  {
    name: 'PING, and no answer is read',
    body: many(enough, () => ping(false)),
    loop: true,
    reads: false,
    ...tooMuch,
  },
  { name: 'answers to no PING', body: many(enough, () => ping(true)), loop: true, ...tooMuch },
  {
    name: 'empty DATA',
    body: join(
      open(1),
      many(enough, () => data(1, 0)),
    ),
    ...tooMuch,
  },
  {
    name: 'DATA of padding',
    body: join(
      open(1),
      many(enough, () => frame(frameType.DATA, frameFlag.PADDED, 1, new Uint8Array(1))),
    ),
    ...tooMuch,
  },
  {
    name: 'PRIORITY',
    body: many(enough, () => frame(frameType.PRIORITY, 0, 1, new Uint8Array(5))),
    loop: true,
    ...tooMuch,
  },
  { name: 'unknown frames', body: many(enough, () => frame(0xfa, 0, 0)), loop: true, ...tooMuch },
  {
    name: 'long unknown frames',
    body: many(64, () => frame(0xfa, 0, 0, new Uint8Array(16_384))),
    loop: true,
    ...tooMuch,
  },
  { name: 'credit by the byte', body: many(enough, () => credit(0, 1)), loop: true, ...tooMuch },
  { name: 'credit for nothing', body: many(enough, () => credit(0, 64)), loop: true, ...tooMuch },
];

function repeated(count: number, fields: readonly string[]): string[] {
  return Array.from({ length: count }, () => fields).flat();
}

/** What no honest peer says. */
const violations: readonly Http2Attack[] = [
  { name: 'random bytes', body: seededRandom(1).bytes(100_000), ...noise },
  {
    name: 'random bytes behind the preface',
    body: seededRandom(2).bytes(100_000),
    ends: 'protocol',
  },
  { name: 'HTTP/1.1', body: Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n'), ...noise },
  { name: 'no SETTINGS first', head: made(writePreface), body: ping(false), ...lies },
  { name: 'an id that is the server’s', body: open(2), ...lies },
  { name: 'a falling id', body: join(open(9), open(7)), ...lies },
  { name: 'data for a stream that never was', body: data(7, 1), ...lies },
  { name: 'a reset of a stream that never was', body: reset(7), ...lies },
  { name: 'credit for a stream that never was', body: credit(7, 1), ...lies },
  {
    name: 'HEADERS after its own reset',
    body: join(open(1), reset(1), open(1)),
    ...lie(errorCode.STREAM_CLOSED),
  },
  { name: 'a frame beyond the limit', body: data(1, 16_385), ...lie(errorCode.FRAME_SIZE_ERROR) },
  {
    name: 'a short PING',
    body: frame(frameType.PING, 0, 0, new Uint8Array(7)),
    ...lie(errorCode.FRAME_SIZE_ERROR),
  },
  {
    name: 'a block that is no HPACK',
    body: frame(frameType.HEADERS, frameFlag.END_HEADERS, 1, new Uint8Array(100).fill(0xff)),
    ...lie(errorCode.COMPRESSION_ERROR),
  },
  {
    name: 'a push',
    body: frame(frameType.PUSH_PROMISE, frameFlag.END_HEADERS, 1, new Uint8Array(4)),
    ...lies,
  },
  { name: 'a credit of 0 for the connection', body: credit(0, 0), ...lies },
  { name: 'credit above the highest', body: join(credit(0, most), credit(0, most)), ...overflows },
  {
    name: 'windows that SETTINGS make overflow',
    body: join(open(1), credit(1, most - 65_535), settings([[settingId.INITIAL_WINDOW_SIZE, most]])),
    ...overflows,
  },
];

/** Peers that waste time: told by the clock, on short times. */
const idlers: readonly Http2Attack[] = [
  { name: 'nothing at all', body: none, head: none, quick: true, ends: 'timeout' },
  { name: 'half of the preface', body: none, head: hello().subarray(0, 12), quick: true, ends: 'timeout' },
  {
    name: 'one byte after the other',
    head: none,
    body: hello(someSettings()),
    pieceBytes: 1,
    quick: true,
    ends: 'timeout',
  },
  { name: 'the preface and no more', body: none, quick: true, ends: 'timeout' },
  {
    name: 'requests whose answers it does not read',
    head: hello([[settingId.INITIAL_WINDOW_SIZE, most]]),
    body: join(credit(0, most - 65_535), open(1, '/give'), open(3, '/give')),
    reads: false,
    quick: true,
    ends: 'timeout',
  },
];

function someSettings(): readonly Setting[] {
  return Array.from({ length: 30 }, () => [0x99, 0] as const);
}

export const http2Attacks: Readonly<Record<string, readonly Http2Attack[]>> = { floods, violations, idlers };

/** A window of nothing, for ever, on a stream that the server would fill; the connection goes on talking. */
export const zeroWindow: Http2Attack = {
  name: 'a window of 0',
  head: hello([[settingId.INITIAL_WINDOW_SIZE, 0]]),
  body: join(
    open(1, '/give'),
    many(60, () => credit(0, 1000)),
  ),
  pieceBytes: 1,
  quick: true,
  ends: 'closed',
};

/** Streams that nobody reads, filled with all that their windows and that of the connection take. */
export function unread(streams: number, bytes: number): Http2Attack {
  const ids = Array.from({ length: streams }, (_, index) => clientId(index));
  const piece = 16_384;
  const each = Math.floor(bytes / streams / piece);
  const body = join(
    ...ids.map((id) => open(id, '/ignore')),
    ...ids.flatMap((id) => Array.from({ length: each }, () => data(id, piece))),
  );
  return { name: `${streams} unread streams`, body, ends: 'closed' };
}
