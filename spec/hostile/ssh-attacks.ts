/** What a peer can do to an SSH server: the bytes that it sends before a login, and the messages after one. */
import { encodeMessage, type Field } from '../../lib/ssh/codec.js';
import * as wire from '../../lib/ssh/frames.js';
import { seededRandom } from '../support/random.js';
import type { Attack } from './attacks.js';
import { join, many, repeat, uint32 } from './frames.js';

const KiB = 1024;
const MiB = 1024 * KiB;
const none = new Uint8Array();
const mostWindow = 2 ** 32 - 1;
const enough = 5000;

/** A message with its length before it. */
function message(type: number, ...fields: readonly Field[]): Uint8Array {
  const bytes = encodeMessage(type, ...fields);
  return join(uint32(bytes.byteLength), bytes);
}

/** The victim numbers what it takes from 0 on. */
function open(path = '', number = 0, window = MiB): Uint8Array {
  const headers = path === '' ? [0] : [1, ':path', path];
  return message(wire.MSG_CHANNEL_OPEN, wire.TYPE_STREAM, number, window, 32 * KiB, ...headers);
}
const opens = (path: string, count: number, window = MiB): Uint8Array =>
  many(count, (number) => open(path, number, window));
const data = (recipient: number, bytes: number): Uint8Array =>
  message(wire.MSG_CHANNEL_DATA, recipient, { string: new Uint8Array(bytes) });
const refused = (type: string): Uint8Array => message(wire.MSG_CHANNEL_OPEN, type, 0, MiB, 32 * KiB);
const reset = (recipient: number): Uint8Array =>
  message(wire.MSG_CHANNEL_REQUEST, recipient, wire.REQUEST_RESET, false, 5, '');
const close = (recipient: number): Uint8Array => message(wire.MSG_CHANNEL_CLOSE, recipient);
/** As many streams as may be open at once, and something done to each. */
const churn = (path: string, does: (number: number) => Uint8Array): Pick<Attack, 'head' | 'body'> => ({
  head: opens(path, 250),
  body: many(250, does),
});

const logged = { logsIn: true } as const;
const tooMuch = { ...logged, ends: 'limit' } as const;
const lies = { ...logged, ends: 'protocol' } as const;
const overflows = { ...logged, ends: 'flow-control' } as const;
const flood = (bytes: Uint8Array): Pick<Attack, 'body' | 'loop'> => ({
  body: repeat(bytes, enough),
  loop: true,
});
const onStream = { head: open() } as const;

/** Useless messages without end. */
const floods: readonly Attack[] = [
  { name: 'opens of unknown types', ...flood(refused('x11')), ...tooMuch },
  { name: 'opens that are refused', ...flood(refused('session')), ...tooMuch },
  { name: 'streams beyond the limit', body: opens('/ignore', enough), ...tooMuch },
  { name: 'opens and resets', ...churn('', (number) => join(reset(number), close(number))), ...tooMuch },
  { name: 'opens and closes of streams that give', ...churn('/give', close), ...tooMuch },
  {
    name: 'keepalives',
    ...flood(message(wire.MSG_GLOBAL_REQUEST, wire.REQUEST_KEEPALIVE, true)),
    ...tooMuch,
  },
  {
    name: 'keepalives whose answers are not read',
    ...flood(message(wire.MSG_GLOBAL_REQUEST, wire.REQUEST_KEEPALIVE, true)),
    reads: false,
    ...tooMuch,
  },
  { name: 'global requests', ...flood(message(wire.MSG_GLOBAL_REQUEST, 'no-such@thing', true)), ...tooMuch },
  { name: 'answers to nothing', ...flood(message(wire.MSG_REQUEST_FAILURE)), ...tooMuch },
  { name: 'messages that do nothing', ...flood(message(wire.MSG_IGNORE, 'nothing')), ...tooMuch },
  {
    name: 'long messages that do nothing',
    body: repeat(message(wire.MSG_IGNORE, { string: new Uint8Array(30_000) }), 20),
    loop: true,
    ...tooMuch,
  },
  { name: 'messages of unknown numbers', ...flood(message(192, 'what')), ...tooMuch },
  { name: 'empty data', ...onStream, ...flood(data(0, 0)), ...tooMuch },
  {
    name: 'empty data, each behind a message that does nothing',
    ...onStream,
    ...flood(join(message(wire.MSG_IGNORE, 'nothing'), data(0, 0))),
    ...tooMuch,
  },
  { name: 'tiny credit', ...onStream, ...flood(message(wire.MSG_CHANNEL_WINDOW_ADJUST, 0, 1)), ...tooMuch },
  {
    name: 'unknown requests',
    ...onStream,
    ...flood(message(wire.MSG_CHANNEL_REQUEST, 0, 'no-such', true)),
    ...tooMuch,
  },
  {
    name: 'headers without end',
    ...onStream,
    ...flood(message(wire.MSG_CHANNEL_REQUEST, 0, wire.REQUEST_HEADERS, false, 0)),
    ...tooMuch,
  },
];

/** What no honest peer says. */
const violations: readonly Attack[] = [
  {
    name: 'a string that runs past its message',
    body: message(wire.MSG_CHANNEL_DATA, 0, mostWindow),
    ...lies,
  },
  { name: 'a channel that there is not', body: close(4711), ...lies },
  {
    name: 'headers that are fewer than they say',
    body: message(wire.MSG_CHANNEL_OPEN, wire.TYPE_STREAM, 0, MiB, 32 * KiB, 9, 'name'),
    ...lies,
  },
  {
    name: 'first data that is too long',
    body: message(wire.MSG_CHANNEL_OPEN, wire.TYPE_STREAM, 0, MiB, 32 * KiB, 0, false, {
      string: new Uint8Array(wire.MAX_FIRST_BYTES + 1),
    }),
    ...overflows,
  },
  { name: 'data longer than its packet may be', ...onStream, body: data(0, 32 * KiB + 1), ...lies },
  {
    name: 'data after the end',
    head: join(open('/ignore'), message(wire.MSG_CHANNEL_EOF, 0)),
    body: data(0, 1),
    ...lies,
  },
  {
    name: 'data beyond the window',
    head: open('/ignore'),
    body: repeat(data(0, 32 * KiB), 40),
    ...overflows,
  },
  {
    name: 'a window beyond 2^32 - 1',
    head: open('', 0, mostWindow),
    body: message(wire.MSG_CHANNEL_WINDOW_ADJUST, 0, 1),
    ...overflows,
  },
  { name: 'a credit of 0', ...onStream, body: message(wire.MSG_CHANNEL_WINDOW_ADJUST, 0, 0), ...overflows },
];

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const version = ascii('SSH-2.0-mallory\r\n');
const noise = { ends: 'protocol' } as const;
/** IGNORE in the clear (RFC 4253 §11.2). */
const ignored = join(uint32(76), Uint8Array.of(6, 2), uint32(64), new Uint8Array(70));

/** What comes from those who never log in. */
const strangers: readonly Attack[] = [
  { name: 'a banner without end', body: new Uint8Array(64 * KiB).fill(97), loop: true, ...noise },
  { name: 'lines without end', body: repeat(ascii('a\r\n'), 20_000), loop: true, ...noise },
  { name: 'noise', body: seededRandom(1).bytes(100_000), ...noise },
  { name: 'HTTP', body: ascii('GET / HTTP/1.1\r\nhost: x\r\n\r\n'), ...noise },
  { name: 'an old version', body: ascii('SSH-1.5-old\r\n'), ...noise },
  { name: 'a packet of 4 GiB', head: version, body: new Uint8Array(64).fill(0xff), ...noise },
  { name: 'packets of nothing', head: version, body: new Uint8Array(64), ...noise },
  {
    name: 'packets that do nothing, before there are keys',
    head: version,
    body: repeat(ignored, 5000),
    loop: true,
    ends: 'limit',
  },
  { name: 'nothing at all', body: none, quick: true, ends: 'limit' },
  { name: 'a version, and then silence', body: version, quick: true, ends: 'limit' },
  {
    name: 'one byte after the other',
    body: new Uint8Array(5000).fill(97),
    pieceBytes: 1,
    quick: true,
    ends: 'limit',
  },
  { name: 'nothing, on 90 connections at once', body: none, quick: true, connections: 90, ends: 'limit' },
];

/** Peers that log in, and then waste time. */
const idlers: readonly Attack[] = [
  {
    name: 'streams whose data it does not read',
    body: opens('/give', 2, mostWindow),
    reads: false,
    quick: true,
    ...logged,
    ends: 'timeout',
  },
  {
    name: 'streams, and it does not read that they are there',
    body: opens('/give', enough),
    reads: false,
    quick: true,
    ...logged,
    ends: 'timeout',
  },
];

export const sshAttacks: Readonly<Record<string, readonly Attack[]>> = {
  floods,
  violations,
  'those who never log in': strangers,
  idlers,
};

/** Streams that the victim does not read, each with as much as its window takes, which is smaller for later ones. */
export const unread: Attack = {
  name: 'data that is not read',
  head: opens('/ignore', 128),
  body: many(128, (number) => data(number, 32 * KiB)),
  ...logged,
  ends: 'closed',
};
