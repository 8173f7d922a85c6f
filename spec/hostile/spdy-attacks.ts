/** What a peer can do to a SPDY server, as the bytes that it sends. */
import { deflateRawSync, deflateSync, constants as zlib } from 'node:zlib';
import { writeSynStreamHead } from '../../lib/spdy/codec.js';
import { SPDY_DICTIONARY_ID, spdyDictionary } from '../../lib/spdy/dictionary.js';
import { HeaderBlockEncoder, StoredDeflate } from '../../lib/spdy/header-block.js';
import {
  control,
  data,
  goAway,
  initialWindow,
  type Pairs,
  ping,
  rawSynStream,
  rst,
  settings,
  windowUpdate,
} from '../spdy/scripted-peer.js';
import { seededRandom } from '../support/random.js';
import type { Attack } from './attacks.js';
import { clientId, join, many, repeat } from './frames.js';

const KiB = 1024;
const MiB = 1024 * KiB;
const none = new Uint8Array();
const headBytes = 18;

/** Streams of one connection: their header blocks belong together. */
class Opener {
  readonly #encoder: HeaderBlockEncoder = new HeaderBlockEncoder({
    maxHeaderBlockBytes: Number.POSITIVE_INFINITY,
  });

  open(id: number, path: string, flags = 0, more: Pairs = []): Uint8Array {
    const frame = this.#encoder.encode([[':path', path], ...more], headBytes);
    writeSynStreamHead(frame, 0, id, 0, 0, flags, frame.byteLength - headBytes);
    return frame;
  }

  /** A block alone. */
  block(headers: Pairs = []): Uint8Array {
    return this.#encoder.encode(headers, 0);
  }
}

function words(...values: number[]): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(values.length * 4));
  values.forEach((value, index) => {
    bytes.setUint32(4 * index, value >>> 0);
  });
  return new Uint8Array(bytes.buffer);
}

/** A first header block of any content, uncompressed. */
function stored(content: Uint8Array): Uint8Array {
  const deflate = new StoredDeflate(SPDY_DICTIONARY_ID);
  const block = new Uint8Array(deflate.size(content.byteLength));
  deflate.write(block, 0, content);
  return block;
}

function deflated(content: Uint8Array, dictionary?: Uint8Array): Uint8Array {
  const options = { finishFlush: zlib.Z_SYNC_FLUSH, level: 9 };
  return new Uint8Array(
    deflateSync(content, dictionary === undefined ? options : { ...options, dictionary }),
  );
}

/** Streams with 64 KiB of the same headers each, in a hundred bytes or so; what is no UTF-8 makes two bytes of each. */
function heavy(path: string, count: number, flags: number): Uint8Array {
  const header = (name: string, value: Uint8Array): Uint8Array =>
    join(words(name.length), ascii(name), words(value.byteLength), value);
  const long = join(Uint8Array.of(0xff), repeat(ascii('x'), 15_900));
  const plain = join(
    words(5),
    header(':path', ascii(path)),
    ...[...'abcd'].map((name) => header(name, long)),
  );
  // Behind the first one, each has the end of the one before it as its history.
  const history = { dictionary: plain.subarray(-32 * KiB), finishFlush: zlib.Z_SYNC_FLUSH, level: 9 };
  const blocks = [deflated(plain, spdyDictionary), new Uint8Array(deflateRawSync(plain, history))] as const;
  return many(count, (index) => {
    const frame = rawSynStream(clientId(index), blocks[index === 0 ? 0 : 1]);
    frame[4] = flags;
    return frame;
  });
}

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
/** One stream that does `path`. */
const first = (path = ''): Uint8Array => new Opener().open(1, path);
const opened = (path: string, count: number, flags = 0): Uint8Array => {
  const opener = new Opener();
  return many(count, (index) => opener.open(clientId(index), path, flags));
};
/** HEADERS, with a block that follows a first one. */
const furtherHeaders = (): Uint8Array => {
  const opener = new Opener();
  opener.block();
  return control(8, join(words(1), opener.block()));
};
/** SYN_REPLY for a first stream, with a block that follows its own. */
const answer = (): Uint8Array => {
  const opener = new Opener();
  opener.block();
  return control(2, join(words(1), opener.block()));
};
/** A stream that comes once more. */
const again = (id: number): Uint8Array => {
  const opener = new Opener();
  opener.block();
  return opener.open(id, '');
};
/** Streams, and something done to each. */
const churn = (path: string, does: (id: number) => Uint8Array): Uint8Array => {
  const opener = new Opener();
  return many(5000, (index) => join(opener.open(clientId(index), path), does(clientId(index))));
};

/** A session as honest peers have them. */
const honest = (): Uint8Array => {
  const opener = new Opener();
  return join(
    initialWindow(64 * KiB),
    ping(1),
    opener.open(1, '/echo', 0, [['accept', 'anything']]),
    data(1, 1000),
    opener.open(3, '/echo', 1),
    windowUpdate(0, 64 * KiB),
    data(1, 0, true),
    goAway(0),
  );
};

/** The same with some of its bits turned over. */
const mangled = (seed: number): Uint8Array => {
  const random = seededRandom(seed);
  const bytes = honest();
  for (let flips = 0; flips < 8; flips++) {
    const at = random.integer(0, bytes.byteLength - 1);
    bytes[at] = bytes[at]! ^ (1 << random.integer(0, 7));
  }
  return bytes;
};

const lies = { ends: 'protocol' } as const;
const tooMuch = { ends: 'limit' } as const;
const harmless = { ends: 'none' } as const;

/** Counts and lengths that are believed (CVE-2026-35469, CVE-2026-55831). */
const numbers: readonly Attack[] = [
  { name: 'a SETTINGS count of 2^32 - 1, in 12 bytes', body: control(4, words(0xffffffff)), ...lies },
  {
    name: 'a SETTINGS count that is not that of its entries',
    body: control(4, words(5, 7, 65_536)),
    ...lies,
  },
  { name: 'a thousand SETTINGS', body: control(4, join(words(1000), new Uint8Array(8000))), ends: 'limit' },
  { name: 'a control frame of 16 MiB', body: words(0x80030001, 0x00ffffff), ends: 'limit' },
  { name: 'a PING of the wrong length', body: control(6, new Uint8Array(5)), ...lies },
  { name: 'another version', body: words(0x80020006, 4, 1), ...lies },
  // One stream's error: the connection ends when the attacker leaves.
  { name: '2^32 - 1 headers', body: parting(stored(words(0xffffffff))), ...harmless },
  { name: 'a name of 2^32 - 1 bytes', body: parting(stored(words(1, 0xffffffff))), ...harmless },
  {
    name: 'a value of 2^31 bytes',
    body: parting(stored(join(words(1, 1), ascii('x'), words(0x80000000)))),
    ...harmless,
  },
  { name: 'an empty name', body: parting(stored(words(1, 0, 0))), ...harmless },
  { name: 'a block that ends too early', body: parting(stored(words(3))), ...harmless },
  {
    name: 'names of the prototype',
    body: join(
      new Opener().open(1, '', 1, [
        ['__proto__', 'polluted'],
        ['constructor', 'polluted'],
      ]),
      goAway(0),
    ),
    ...harmless,
  },
];

/** Bombs, garbage, and other dictionaries (CVE-2026-43970, CVE-2026-55833). */
const zlibs: readonly Attack[] = [
  {
    name: 'a bomb of 8 MiB',
    body: rawSynStream(1, deflated(new Uint8Array(8 * MiB), spdyDictionary)),
    ...tooMuch,
  },
  {
    name: 'a bomb, and more behind the limit',
    body: join(
      rawSynStream(1, deflated(new Uint8Array(8 * MiB), spdyDictionary)),
      many(1000, (index) => rawSynStream(clientId(index + 1), new Opener().block())),
    ),
    ...tooMuch,
  },
  { name: 'garbage', body: rawSynStream(1, seededRandom(3).bytes(500)), ...lies },
  { name: 'no dictionary', body: join(rawSynStream(1, deflated(words(0))), rst(1), goAway(0)), ...harmless },
  { name: 'another dictionary', body: rawSynStream(1, deflated(words(0), ascii('quite another'))), ...lies },
  { name: 'a block of 60,000 bytes', body: rawSynStream(1, new Uint8Array(60_000)), ...tooMuch },
  {
    name: 'thousands of tiny headers in each block',
    body: rawSynStream(1, stored(join(words(2000), repeat(join(words(1), ascii('a'), words(0)), 2000)))),
    ...tooMuch,
  },
];

/** Useless frames without end. */
const floods: readonly Attack[] = [
  { name: 'pings', body: repeat(ping(1), 5000), loop: true, ...tooMuch },
  {
    name: 'pings whose answers are not read',
    body: repeat(ping(1), 5000),
    loop: true,
    reads: false,
    ...tooMuch,
  },
  { name: 'pongs', body: repeat(ping(2), 5000), loop: true, ...tooMuch },
  { name: 'SETTINGS with a window', body: repeat(initialWindow(65_536), 1000), loop: true, ...tooMuch },
  { name: 'SETTINGS without anything', body: repeat(settings(), 1000), loop: true, ...tooMuch },
  { name: 'unknown frames', body: repeat(control(10, new Uint8Array(4)), 5000), loop: true, ...tooMuch },
  { name: 'empty DATA', head: first(), body: repeat(data(1, 0), 5000), loop: true, ...tooMuch },
  { name: 'DATA for unknown streams', body: repeat(data(99, 100), 5000), loop: true, ...tooMuch },
  {
    name: 'DATA after the end',
    head: opened('', 1, 1),
    body: repeat(data(1, 10), 5000),
    loop: true,
    ...tooMuch,
  },
  { name: 'tiny credit', head: first(), body: repeat(windowUpdate(1, 1), 5000), loop: true, ...tooMuch },
  {
    name: 'tiny credit, by a peer that says its windows are as small',
    head: join(initialWindow(1), first()),
    body: repeat(windowUpdate(1, 1), 5000),
    loop: true,
    ...tooMuch,
  },
  {
    name: 'tiny credit for the connection, likewise',
    head: initialWindow(1),
    body: repeat(windowUpdate(0, 1), 5000),
    loop: true,
    ...tooMuch,
  },
  { name: 'credit of 0', head: first(), body: repeat(windowUpdate(1, 0), 5000), loop: true, ...tooMuch },
  { name: 'RST_STREAM for unknown streams', body: repeat(rst(99), 5000), loop: true, ...tooMuch },
  {
    name: 'HEADERS that never end',
    head: first(),
    body: repeat(furtherHeaders(), 2000),
    loop: true,
    ...tooMuch,
  },
  {
    name: 'answers to a stream of its own that needs none',
    head: opened('', 1, 2),
    body: repeat(answer(), 2000),
    loop: true,
    ...tooMuch,
  },
  { name: 'streams with long headers in few bytes', body: heavy('/ignore', 3000, 0), ...tooMuch },
  { name: 'the same, over at once', body: heavy('/echo', 5000, 1), ...tooMuch },
  { name: 'rapid resets', body: churn('', (id) => rst(id)), ...tooMuch },
  { name: 'rapid resets of streams that give', body: churn('/give', (id) => rst(id)), ...tooMuch },
  { name: 'streams, and no answer is read', body: opened('/ignore', 12_000), reads: false, ...tooMuch },
  {
    name: 'one stream opened again and again',
    head: first(),
    body: repeat(again(1), 5000),
    loop: true,
    ...tooMuch,
  },
];

/** What no honest peer says. */
const violations: readonly Attack[] = [
  { name: 'noise', body: seededRandom(1).bytes(100_000), ends: 'protocol' },
  { name: 'HTTP', body: ascii('GET / HTTP/1.1\r\nhost: x\r\n\r\n'), ends: 'protocol' },
  { name: 'DATA for stream 0', body: data(0, 10), ...lies },
  { name: 'an id of the wrong parity', body: new Opener().open(2, ''), ...lies },
  { name: 'a window beyond 2^31 - 1', body: repeat(windowUpdate(0, 0x7fffffff), 2), ends: 'flow-control' },
  { name: 'a credit of 0 for the connection', body: windowUpdate(0, 0), ends: 'flow-control' },
  {
    name: 'data beyond the window, by a peer that has shown windows',
    head: join(initialWindow(65_536), opened('/ignore', 20)),
    body: many(20, (index) => data(clientId(index), 65_536)),
    loop: true,
    ends: 'flow-control',
  },
  {
    name: 'streams after its GOAWAY',
    body: join(goAway(0, 1), opened('/give', 200)),
    ends: 'closed',
  },
];

/** Peers that waste time: told by the clock, on short times. */
const idlers: readonly Attack[] = [
  { name: 'nothing at all', body: none, quick: true, ends: 'timeout' },
  { name: 'half of a frame', body: ping(1).subarray(0, 6), quick: true, ends: 'timeout' },
  {
    name: 'one byte after the other',
    body: rawSynStream(1, new Uint8Array(5000)),
    pieceBytes: 1,
    quick: true,
    ends: 'timeout',
  },
  { name: 'one stream, and then silence', body: first(), quick: true, ends: 'timeout' },
  {
    name: 'requests whose answers it does not read',
    // Who has shown windows reads what it gave credit for; kubectl in front of a pager may take hours.
    body: join(initialWindow(0x7fffffff), windowUpdate(0, 0x40000000), opened('/give', 2)),
    reads: false,
    quick: true,
    ends: 'timeout',
  },
  { name: 'nothing, on 100 connections at once', body: none, quick: true, connections: 100, ends: 'timeout' },
];

export const spdyAttacks: Readonly<Record<string, readonly Attack[]>> = {
  'numbers that are believed': numbers,
  'the zlib stream': zlibs,
  floods,
  violations,
  idlers,
};

/** Bytes that may end in any way but a crash. */
export const mangledSessions: readonly Uint8Array[] = Array.from({ length: 40 }, (_, seed) => mangled(seed));

/** A stream that the victim does not read, and more data than it may keep: it pauses the attacker. */
export const unread: Attack = {
  name: 'data without windows, unread',
  head: first('/ignore'),
  body: data(1, 65_536),
  loop: true,
  // Who is not read from is seen to be gone when it is pinged.
  quick: true,
  ends: 'closed',
};

/** Streams that the attacker ends on its side, and does nothing more about, while it goes on to talk, slowly. */
export const halfClosed: Attack = {
  name: 'half-closed streams',
  head: opened('/ignore', 10, 1),
  body: control(10, new Uint8Array(5000)),
  pieceBytes: 1,
  quick: true,
  ends: 'closed',
};

function parting(block: Uint8Array): Uint8Array {
  return join(rawSynStream(1, block), goAway(0));
}
