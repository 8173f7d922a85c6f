import fc from 'fast-check';
import { StreamError } from '../../lib/core/errors.js';
import * as codec from '../../lib/spdy/codec.js';
import {
  FLAG_FIN,
  FLAG_UNIDIRECTIONAL,
  FRAME_HEADER_BYTES,
  GOAWAY_BYTES,
  HEADERS_HEAD_BYTES,
  PING_BYTES,
  RST_STREAM_BYTES,
  type SpdyHandler,
  type SpdyParserLimits,
  type SpdySetting,
  SYN_REPLY_HEAD_BYTES,
  SYN_STREAM_HEAD_BYTES,
  WINDOW_UPDATE_BYTES,
} from '../../lib/spdy/frames.js';

type Event = readonly unknown[];

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const fromHex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

/** Writes down what it is told; the pieces of a DATA frame become one. */
class Recorder implements SpdyHandler {
  readonly events: Event[] = [];
  #parts: Uint8Array[] = [];
  #missing = 0;

  synStream(id: number, associatedTo: number, priority: number, flags: number, block: Uint8Array): void {
    this.events.push(['SYN_STREAM', id, associatedTo, priority, flags, hex(block)]);
  }
  synReply(id: number, flags: number, block: Uint8Array): void {
    this.events.push(['SYN_REPLY', id, flags, hex(block)]);
  }
  headers(id: number, flags: number, block: Uint8Array): void {
    this.events.push(['HEADERS', id, flags, hex(block)]);
  }
  dataStart(id: number, length: number, flags: number): void {
    expect(this.#missing).toBe(0);
    this.#missing = length;
    this.events.push(['DATA starts', id, length, flags]);
  }
  data(id: number, chunk: Uint8Array, fin: boolean): void {
    if (this.#missing > 0) expect(chunk.length).toBeGreaterThan(0);
    this.#parts.push(chunk);
    this.#missing -= chunk.length;
    if (this.#missing > 0) {
      expect(fin).toBe(false);
      return;
    }
    this.events.push(['DATA', id, hex(Buffer.concat(this.#parts)), fin]);
    this.#parts = [];
  }
  rstStream(id: number, status: number): void {
    this.events.push(['RST_STREAM', id, status]);
  }
  settings(entries: readonly SpdySetting[], flags: number): void {
    this.events.push(['SETTINGS', entries, flags]);
  }
  ping(id: number): void {
    this.events.push(['PING', id]);
  }
  goAway(lastGoodId: number, status: number): void {
    this.events.push(['GOAWAY', lastGoodId, status]);
  }
  windowUpdate(id: number, delta: number): void {
    this.events.push(['WINDOW_UPDATE', id, delta]);
  }
  unknown(type: number, flags: number, length: number): void {
    this.events.push(['unknown', type, flags, length]);
  }
}

function eventsOf(pieces: readonly Uint8Array[], limits: Partial<SpdyParserLimits> = {}): Event[] {
  const recorder = new Recorder();
  const parser = new codec.SpdyParser(recorder, limits);
  for (const piece of pieces) expect(parser.parse(piece)).toBe(piece.length);
  expect(parser.midFrame).toBe(false);
  return recorder.events;
}

function thrownBy(action: () => unknown): StreamError {
  try {
    action();
  } catch (error) {
    if (StreamError.is(error)) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** Frames as Go spdystream 0.2.0 writes them (Framer.WriteFrame), and what they say. */
const golden: [frame: string, ...events: Event[]][] = [
  [
    '80030001 00000029 00000001 00000000 0000 78f9e3c6a7c26260606004a7b392a2d4c45c6851c29a0a0a6800000000ffff',
    ['SYN_STREAM', 1, 0, 0, 0, '78f9e3c6a7c26260606004a7b392a2d4c45c6851c29a0a0a6800000000ffff'],
  ],
  [
    '80030001 00000017 00000003 00000000 a000 c22e555c92929907000000ffff',
    ['SYN_STREAM', 3, 0, 5, 0, 'c22e555c92929907000000ffff'],
  ],
  [
    '80030001 02000019 00000005 00000001 0000 c22ac5565c92925f5a02000000ffff',
    ['SYN_STREAM', 5, 1, 0, FLAG_UNIDIRECTIONAL, 'c22ac5565c92925f5a02000000ffff'],
  ],
  ['80030002 0000000e 00000002 6260606000000000ffff', ['SYN_REPLY', 2, 0, '6260606000000000ffff']],
  [
    '80030008 00000036 00000007 829a2d59a10b91d32d28ca2fc94fcecfd145e419a33213bde48cc4bcbcd41cbd6c8b62bdcc7c8632637411542e000000ffff',
    [
      'HEADERS',
      7,
      0,
      '829a2d59a10b91d32d28ca2fc94fcecfd145e419a33213bde48cc4bcbcd41cbd6c8b62bdcc7c8632637411542e000000ffff',
    ],
  ],
  ['80030003 00000008 00000007 00000005', ['RST_STREAM', 7, 5]],
  [
    '80030004 00000014 00000002 01000004 00000064 00000007 00040000',
    [
      'SETTINGS',
      [
        { id: 4, flags: 1, value: 100 },
        { id: 7, flags: 0, value: 262_144 },
      ],
      0,
    ],
  ],
  ['80030006 00000004 01020305', ['PING', 0x01020305]],
  ['80030007 00000008 00000006 00000001', ['GOAWAY', 6, 1]],
  ['80030009 00000008 00000009 00010000', ['WINDOW_UPDATE', 9, 65_536]],
  [
    '00000005 01000005 68656c6c6f',
    ['DATA starts', 5, 5, FLAG_FIN],
    ['DATA', 5, Buffer.from('hello').toString('hex'), true],
  ],
  ['00000005 00000000', ['DATA starts', 5, 0, 0], ['DATA', 5, '', false]],
];
const goldenBytes = fromHex(golden.map(([frame]) => frame).join(''));
const goldenEvents = golden.flatMap(([, ...events]) => events);

describe('the parser, on golden bytes', () => {
  it.each(golden)('reads %s', (frame, ...events) => {
    expect(eventsOf([fromHex(frame)])).toEqual(events);
  });

  it.each<[frame: string, event: Event]>([
    // Framer.rstFrame, settingsFrame, pingFrame, goawayFrame and windowUpdateFrame of spdy-transport 3.0.0.
    ['80030003 00000008 00000003 00000005', ['RST_STREAM', 3, 5]],
    [
      '80030004 00000014 00000002 01000004 00000064 01000007 00040000',
      [
        'SETTINGS',
        [
          { id: 4, flags: 1, value: 100 },
          { id: 7, flags: 1, value: 262_144 },
        ],
        0,
      ],
    ],
    ['80030006 00000004 00000001', ['PING', 1]],
    ['80030007 00000008 00000003 00000000', ['GOAWAY', 3, 0]],
    ['80030009 00000008 00000003 00010000', ['WINDOW_UPDATE', 3, 65_536]],
  ])('reads %s, from spdy-transport', (frame, event) => {
    expect(eventsOf([fromHex(frame)])).toEqual([event]);
  });

  it('gives the same events wherever the bytes are cut in two', () => {
    for (let at = 0; at <= goldenBytes.length; at++) {
      expect(eventsOf([goldenBytes.subarray(0, at), goldenBytes.subarray(at)])).toEqual(goldenEvents);
    }
  });

  it.each([1, 2, 3, 5, 7, 8, 9, 64])('gives the same events in pieces of %d bytes', (size) => {
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < goldenBytes.length; at += size) pieces.push(goldenBytes.subarray(at, at + size));
    expect(eventsOf(pieces)).toEqual(goldenEvents);
  });

  it('gives the same events a frame at a time', () => {
    for (const maxFrames of [1, 2, 5]) {
      const recorder = new Recorder();
      const parser = new codec.SpdyParser(recorder);
      let at = 0;
      while (at < goldenBytes.length) {
        const to = parser.parse(goldenBytes, at, maxFrames);
        expect(to).toBeGreaterThan(at);
        expect(parser.framesDone).toBeGreaterThan(0);
        expect(parser.framesDone).toBeLessThanOrEqual(maxFrames);
        at = to;
      }
      expect(recorder.events).toEqual(goldenEvents);
    }
  });

  it('does nothing if it may do nothing', () => {
    const recorder = new Recorder();
    expect(new codec.SpdyParser(recorder).parse(goldenBytes, 0, 0)).toBe(0);
    expect(recorder.events).toEqual([]);
  });
});

describe('the parser', () => {
  it('passes DATA of 5 MiB on as views, uncopied, in the pieces it comes in', () => {
    const length = 5 << 20;
    const seen: { chunk: Uint8Array; fin: boolean }[] = [];
    const recorder = new Recorder();
    recorder.data = (_, chunk, fin) => seen.push({ chunk, fin });
    const parser = new codec.SpdyParser(recorder);
    const head = new Uint8Array(FRAME_HEADER_BYTES);
    codec.writeDataHeader(head, 0, 1, length, FLAG_FIN);
    parser.parse(head);
    const piece = new Uint8Array(64 * 1024);
    for (let sent = 0; sent < length; sent += piece.length) parser.parse(piece);
    expect(seen).toHaveLength(80);
    expect(seen.every(({ chunk }) => chunk === piece)).toBe(true);
    expect(seen.map(({ fin }) => fin).lastIndexOf(false)).toBe(78);
    expect(parser.midFrame).toBe(false);
  });

  it('gives a view of the chunk where the frame is only part of it', () => {
    let seen: Uint8Array | undefined;
    const recorder = new Recorder();
    recorder.data = (_, chunk) => {
      seen = chunk;
    };
    const chunk = fromHex('00000005 00000002 6869 80030006 00000004 00000001');
    new codec.SpdyParser(recorder).parse(chunk);
    expect(seen?.buffer).toBe(chunk.buffer);
    expect(seen?.byteOffset).toBe(8);
    expect(seen?.length).toBe(2);
  });

  it('skips types it does not know, NOOP, CREDENTIAL and 16 MiB of anything among them', () => {
    const parts = ['80030005 00000000', '8003000a 00000003 010203', 'ffff'].map(fromHex);
    expect(eventsOf(parts.slice(0, 2))).toEqual([
      ['unknown', 5, 0, 0],
      ['unknown', 10, 0, 3],
    ]);
    const recorder = new Recorder();
    const parser = new codec.SpdyParser(recorder);
    parser.parse(fromHex('8003f000 01ffffff'));
    const piece = new Uint8Array(0xffff);
    for (let sent = 0; sent + piece.length <= 0xffffff; sent += piece.length) parser.parse(piece);
    parser.parse(new Uint8Array(0xffffff % 0xffff));
    expect(parser.midFrame).toBe(false);
    parser.parse(fromHex('80030006 00000004 00000001'));
    expect(recorder.events).toEqual([
      ['unknown', 0xf000, 1, 0xffffff],
      ['PING', 1],
    ]);
  });

  it('ignores reserved bits, and flags that mean nothing', () => {
    const frames = [
      '80030001 f000000a 80000001 80000002 ffff',
      '80030003 ff000008 80000007 80000005',
      '80030007 ff000008 80000006 00000000',
      '80030009 ff000008 80000000 ffffffff',
      '00000001 fc000000',
    ];
    expect(eventsOf(frames.map(fromHex))).toEqual([
      ['SYN_STREAM', 1, 2, 7, 0xf0, ''],
      ['RST_STREAM', 7, 0x80000005],
      ['GOAWAY', 6, 0],
      ['WINDOW_UPDATE', 0, 0x7fffffff],
      ['DATA starts', 1, 0, 0xfc],
      ['DATA', 1, '', false],
    ]);
  });

  it('lets the first setting of an id count, as §2.6.4 wants', () => {
    const frame = fromHex('80030004 0100001c 00000003 00000007 00000001 00000004 00000002 01000007 ffffffff');
    expect(eventsOf([frame])).toEqual([
      [
        'SETTINGS',
        [
          { id: 7, flags: 0, value: 1 },
          { id: 4, flags: 0, value: 2 },
        ],
        1,
      ],
    ]);
  });

  it('stops after the frame at hand when its handler says so, and goes on later', () => {
    const recorder = new Recorder();
    const parser = new codec.SpdyParser(recorder);
    const ping = recorder.ping.bind(recorder);
    recorder.ping = (id) => {
      ping(id);
      parser.pause();
    };
    const chunk = fromHex('80030006 00000004 00000001 80030006 00000004 00000003 00');
    expect(parser.parse(chunk)).toBe(12);
    expect(parser.framesDone).toBe(1);
    expect(parser.parse(chunk, 12)).toBe(24);
    expect(parser.parse(chunk, 24)).toBe(25);
    expect(parser.framesDone).toBe(0);
    expect(recorder.events).toEqual([
      ['PING', 1],
      ['PING', 3],
    ]);
  });

  it('knows whether it is between two frames', () => {
    const parser = new codec.SpdyParser(new Recorder());
    const states = [...goldenBytes.subarray(0, 49 + 1)].map((byte) => {
      parser.parse(Uint8Array.of(byte));
      return parser.midFrame;
    });
    expect(states.indexOf(false)).toBe(48);
    expect(states[49]).toBe(true);
  });

  it('holds a control frame of the largest size, come byte by byte, in twice its bytes at most', () => {
    const block = new Uint8Array(16 * 1024).fill(7);
    const frame = new Uint8Array(SYN_REPLY_HEAD_BYTES + block.length);
    codec.writeSynReplyHead(frame, 0, 1, 0, block.length);
    frame.set(block, SYN_REPLY_HEAD_BYTES);
    const pieces = Array.from(frame, (byte) => Uint8Array.of(byte));
    expect(eventsOf(pieces)).toEqual([['SYN_REPLY', 1, 0, hex(block)]]);
  });

  it('has nothing ready for bytes that are only announced', () => {
    const before = process.memoryUsage().arrayBuffers;
    const parsers = Array.from({ length: 500 }, () => {
      const parser = new codec.SpdyParser(new Recorder(), {
        maxHeaderBlockBytes: 1 << 20,
        maxFrameBytes: 1 << 20,
      });
      parser.parse(fromHex('80030001 000fffff 00000001'));
      return parser;
    });
    expect((process.memoryUsage().arrayBuffers - before) / parsers.length).toBeLessThan(1024);
  });
});

describe('the parser, within its limits', () => {
  const limits = { maxFrameBytes: 100, maxHeaderBlockBytes: 50, maxSettings: 2 };

  it('takes what reaches them', () => {
    const settings = '80030004 00000014 00000002 00000004 00000064 00000007 00040000';
    const frames = [
      `80030001 0000003c 00000001 00000000 0000 ${'00'.repeat(50)}`,
      `80030002 00000036 00000001 ${'00'.repeat(50)}`,
      `80030008 00000036 00000001 ${'00'.repeat(50)}`,
      settings,
    ];
    expect(eventsOf(frames.map(fromHex), limits)).toHaveLength(4);
    expect(
      eventsOf([fromHex(`80030002 00000036 00000001 ${'00'.repeat(50)}`)], { ...limits, maxFrameBytes: 54 }),
    ).toHaveLength(1);
  });

  it.each([
    ['SYN_STREAM', 'a header block of 51 bytes, the limit is 50', '80030001 0000003d', limits],
    ['SYN_REPLY', 'a header block of 51 bytes, the limit is 50', '80030002 00000037', limits],
    ['HEADERS', 'a header block of 51 bytes, the limit is 50', '80030008 00000037', limits],
    ['SETTINGS', '3 settings, the limit is 2', '80030004 0000001c', limits],
    [
      'any control frame',
      'SYN_REPLY of 54 bytes, the limit is 53',
      '80030002 00000036',
      { ...limits, maxFrameBytes: 53 },
    ],
    ['HEADERS, by default', 'of 16385 bytes, the limit is 16384', '80030008 00004005', {}],
    ['SETTINGS, by default', '33 settings, the limit is 32', '80030004 0000010c', {}],
  ])('ends the connection at the head of a larger %s', (_, message, head, over) => {
    const error = thrownBy(() => eventsOf([fromHex(head)], over));
    expect(error.message).toContain(message);
    expect(error).toMatchObject({ code: 'limit', remote: true, wireCode: 1 });
  });
});

describe('the parser, on what nobody should write', () => {
  const cases: [what: string, message: string, frame: string][] = [
    ['version 2', 'version 2', '80020001 0000000a'],
    ['version 4', 'version 4', '80040006 00000004'],
    ['HTTP', 'DATA', '00000000 00000000'],
    ['an HTTP/2 preface', 'compressed', '50524920 2a204854 54502f32'],
    ['DATA for stream 0', 'DATA for stream 0', '00000000 00000001 00'],
    ['compressed DATA', 'stream 1: compressed DATA', '00000001 02000001 00'],
    ['SYN_STREAM that is too short', 'SYN_STREAM of 9 bytes', '80030001 00000009'],
    ['SYN_REPLY that is too short', 'SYN_REPLY of 3 bytes', '80030002 00000003'],
    ['HEADERS that are too short', 'HEADERS of 0 bytes', '80030008 00000000'],
    ['RST_STREAM that is too short', 'RST_STREAM of 7 bytes', '80030003 00000007'],
    ['RST_STREAM that is too long', 'RST_STREAM of 9 bytes', '80030003 00000009'],
    ['PING that is too long', 'PING of 8 bytes', '80030006 00000008'],
    ['GOAWAY of SPDY/2', 'GOAWAY of 4 bytes', '80030007 00000004'],
    ['WINDOW_UPDATE that is too short', 'WINDOW_UPDATE of 4 bytes', '80030009 00000004'],
    ['SETTINGS without a count', 'SETTINGS of 0 bytes', '80030004 00000000'],
    ['SETTINGS of half an entry', 'SETTINGS of 8 bytes', '80030004 00000008'],
    ['SETTINGS with a count of 4 billion', 'say they have 4294967295 entries', '80030004 00000004 ffffffff'],
    [
      'SETTINGS with a count that is too low',
      'of 12 bytes say they have 0',
      '80030004 0000000c 00000000 00000007 00000001',
    ],
    // 2^29 * 8 + 4 is 4 in 32 bits.
    ['SETTINGS with a count that overflows', 'say they have 536870912', '80030004 00000004 20000000'],
    ['SYN_STREAM for stream 0', 'SYN_STREAM for stream 0', '80030001 0000000a 80000000 00000000 0000'],
    ['SYN_REPLY for stream 0', 'SYN_REPLY for stream 0', '80030002 00000004 00000000'],
    ['HEADERS for stream 0', 'HEADERS for stream 0', '80030008 00000004 00000000'],
    ['RST_STREAM for stream 0', 'RST_STREAM for stream 0', '80030003 00000008 00000000 00000001'],
  ];

  it.each(cases)('ends the connection for %s', (_, message, frame) => {
    const bytes = fromHex(frame);
    const whole = thrownBy(() => eventsOf([bytes]));
    expect(whole.message).toContain(message);
    expect(whole).toMatchObject({ code: 'protocol', remote: true, wireCode: 1 });
    const pieces = Array.from(bytes, (byte) => Uint8Array.of(byte));
    expect(thrownBy(() => eventsOf(pieces)).message).toBe(whole.message);
  });

  it('throws the same error for ever after', () => {
    const parser = new codec.SpdyParser(new Recorder());
    const error = thrownBy(() => parser.parse(fromHex('00000000 00000000')));
    expect(thrownBy(() => parser.parse(goldenBytes))).toBe(error);
  });
});

describe('the writers', () => {
  const blocks = golden.slice(0, 5).map(([frame]) => fromHex(frame));
  const written: [
    name: string,
    size: number,
    write: (target: Uint8Array, at: number) => number,
    golden: string,
  ][] = [
    [
      'SYN_STREAM',
      SYN_STREAM_HEAD_BYTES,
      (to, at) => codec.writeSynStreamHead(to, at, 3, 0, 5, 0, 13),
      hex(blocks[1]!),
    ],
    [
      'SYN_STREAM with an associated stream',
      SYN_STREAM_HEAD_BYTES,
      (to, at) => codec.writeSynStreamHead(to, at, 5, 1, 0, FLAG_UNIDIRECTIONAL, 15),
      hex(blocks[2]!),
    ],
    [
      'SYN_REPLY',
      SYN_REPLY_HEAD_BYTES,
      (to, at) => codec.writeSynReplyHead(to, at, 2, 0, 10),
      hex(blocks[3]!),
    ],
    ['HEADERS', HEADERS_HEAD_BYTES, (to, at) => codec.writeHeadersHead(to, at, 7, 0, 50), hex(blocks[4]!)],
    [
      'RST_STREAM',
      RST_STREAM_BYTES,
      (to, at) => codec.writeRstStream(to, at, 7, 5),
      '80030003000000080000000700000005',
    ],
    [
      'SETTINGS',
      codec.settingsBytes(2),
      (to, at) =>
        codec.writeSettings(
          to,
          at,
          [
            { id: 4, flags: 1, value: 100 },
            { id: 7, flags: 0, value: 262_144 },
          ],
          0,
        ),
      '80030004000000140000000201000004000000640000000700040000',
    ],
    ['PING', PING_BYTES, (to, at) => codec.writePing(to, at, 0x01020305), '800300060000000401020305'],
    ['GOAWAY', GOAWAY_BYTES, (to, at) => codec.writeGoAway(to, at, 6, 1), '80030007000000080000000600000001'],
    [
      'WINDOW_UPDATE',
      WINDOW_UPDATE_BYTES,
      (to, at) => codec.writeWindowUpdate(to, at, 9, 65_536),
      '80030009000000080000000900010000',
    ],
    [
      'DATA',
      FRAME_HEADER_BYTES,
      (to, at) => codec.writeDataHeader(to, at, 5, 5, FLAG_FIN),
      '0000000501000005',
    ],
  ];

  it.each(written)('write %s as Go does, and nothing beside it', (_, size, write, expected) => {
    const target = new Uint8Array(size + 10).fill(0xaa);
    expect(write(target, 5)).toBe(5 + size);
    expect(hex(target.subarray(5, 5 + size))).toBe(expected.slice(0, size * 2));
    expect(hex(target.subarray(0, 5)) + hex(target.subarray(5 + size))).toBe('aa'.repeat(10));
  });

  it('write what the parser reads, whatever the numbers, however it is cut', () => {
    const id = fc.integer({ min: 1, max: 0x7fffffff });
    const word = fc.integer({ min: 0, max: 0xffffffff });
    const flags = fc.constantFrom(0, FLAG_FIN);
    const block = fc.uint8Array({ maxLength: 40 });
    type Frame = [bytes: Uint8Array, ...events: Event[]];
    const frame = fc.oneof(
      fc.tuple(id, fc.nat(0x7fffffff), fc.nat(7), fc.nat(3), block).map(([a, b, c, d, e]): Frame => {
        const bytes = new Uint8Array(SYN_STREAM_HEAD_BYTES + e.length);
        bytes.set(e, codec.writeSynStreamHead(bytes, 0, a, b, c, d, e.length));
        return [bytes, ['SYN_STREAM', a, b, c, d, hex(e)]];
      }),
      fc.tuple(id, flags, block, fc.boolean()).map(([a, b, c, reply]): Frame => {
        const bytes = new Uint8Array(SYN_REPLY_HEAD_BYTES + c.length);
        const write = reply ? codec.writeSynReplyHead : codec.writeHeadersHead;
        bytes.set(c, write(bytes, 0, a, b, c.length));
        return [bytes, [reply ? 'SYN_REPLY' : 'HEADERS', a, b, hex(c)]];
      }),
      fc.tuple(id, flags, block).map(([a, b, c]): Frame => {
        const bytes = new Uint8Array(FRAME_HEADER_BYTES + c.length);
        bytes.set(c, codec.writeDataHeader(bytes, 0, a, c.length, b));
        return [bytes, ['DATA starts', a, c.length, b], ['DATA', a, hex(c), b === FLAG_FIN]];
      }),
      fc.tuple(id, word).map(([a, b]): Frame => {
        const bytes = new Uint8Array(RST_STREAM_BYTES);
        codec.writeRstStream(bytes, 0, a, b);
        return [bytes, ['RST_STREAM', a, b]];
      }),
      fc.tuple(fc.nat(0x7fffffff), word).map(([a, b]): Frame => {
        const bytes = new Uint8Array(GOAWAY_BYTES);
        codec.writeGoAway(bytes, 0, a, b);
        return [bytes, ['GOAWAY', a, b]];
      }),
      fc.tuple(fc.nat(0x7fffffff), fc.nat(0x7fffffff)).map(([a, b]): Frame => {
        const bytes = new Uint8Array(WINDOW_UPDATE_BYTES);
        codec.writeWindowUpdate(bytes, 0, a, b);
        return [bytes, ['WINDOW_UPDATE', a, b]];
      }),
      word.map((a): Frame => {
        const bytes = new Uint8Array(PING_BYTES);
        codec.writePing(bytes, 0, a);
        return [bytes, ['PING', a]];
      }),
      fc
        .tuple(
          fc.uniqueArray(fc.record({ id: fc.nat(0xffffff), flags: fc.nat(255), value: word }), {
            selector: (entry) => entry.id,
            maxLength: 32,
          }),
          fc.nat(255),
        )
        .map(([a, b]): Frame => {
          const bytes = new Uint8Array(codec.settingsBytes(a.length));
          codec.writeSettings(bytes, 0, a, b);
          return [bytes, ['SETTINGS', a, b]];
        }),
    );
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 12 }),
        fc.array(fc.nat(400), { maxLength: 20 }),
        (frames, cuts) => {
          const bytes = Buffer.concat(frames.map(([each]) => each));
          const bounds = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].sort(
            (a, b) => a - b,
          );
          const pieces = bounds.slice(1).map((to, i) => bytes.subarray(bounds[i], to));
          expect(eventsOf(pieces)).toEqual(frames.flatMap(([, ...events]) => events));
        },
      ),
      { numRuns: 500 },
    );
  });
});
