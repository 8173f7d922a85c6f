import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { StreamError } from '../../lib/core/errors.js';
import { FrameParser } from '../../lib/framer/codec.js';
import { mostMaxFrame } from '../../lib/framer/frames.js';
import * as b from './bytes.js';
import { golden, start } from './golden.js';
import { cut, parsePieces, Recorder } from './recorder.js';

/** Input that is wrong in itself, whatever was said before. */
const malformed: readonly (readonly [what: string, bytes: Uint8Array])[] = [
  ...Array.from(
    { length: 8 },
    (_, at) =>
      [
        `a preface with a wrong byte ${at}`,
        b.preface.map((byte, index) => (index === at ? byte ^ 1 : byte)),
      ] as const,
  ),
  ['a first frame that is not SETTINGS', b.join(b.preface, b.ping())],
  [
    'SETTINGS of 33 entries',
    b.join(b.preface, b.settings(Array.from({ length: 33 }, (_, id) => [id + 1, id ? 0 : 1]))),
  ],
  ...[1, 2, 3, 4, 5].map(
    (cutOff) =>
      [
        `SETTINGS that lack ${cutOff} bytes`,
        b.join(b.preface, b.frame(0, 0, b.hex('000100000001 000200004000').subarray(0, 12 - cutOff))),
      ] as const,
  ),
  ...[24, 27, 31].map((type) => [`the unknown type ${type}`, b.join(start, b.frame(type, 1))] as const),
  ['a payload of 65,537 bytes', b.join(start, b.header(b.T.DATA, 1, 65_537))],
  ['an unknown frame of 65,537 bytes', b.join(start, b.header(15, 1, 65_537))],
  ['a reserved bit', b.join(start, b.header(b.T.DATA, 0x8000_0001, 0))],
  ...[1, 2, 3, 4, 6, 7, 8].map(
    (type) =>
      [`${b.names[type]} for the connection`, b.join(start, b.frame(type, 0, new Uint8Array(20)))] as const,
  ),
  ...[0, 9, 10, 11].map(
    (type) => [`${b.names[type]} on a stream`, b.join(start, b.header(type, 1, 8))] as const,
  ),
  ['SETTINGS on a stream, first', b.join(b.preface, b.frame(0, 3, b.hex('000100000001')))],
  ...golden
    .map(([bytes]) => b.hex(bytes))
    .filter((bytes) => ![b.T.DATA, 12, 23].includes((bytes[0] as number) >> 3))
    .flatMap((bytes) => shortened(bytes)),
  ...golden
    .map(([bytes]) => b.hex(bytes))
    // Data may follow the block of OPEN and ACCEPT.
    .filter((bytes) => ![b.T.OPEN, b.T.ACCEPT, b.T.DATA, 12, 23].includes((bytes[0] as number) >> 3))
    .map(
      (bytes) =>
        [
          `${b.names[(bytes[0] as number) >> 3]} with a byte too many`,
          b.join(start, resized(bytes, bytes.byteLength - 7), b.u8(0)),
        ] as const,
    ),
  ['a name that is not UTF-8', b.join(start, b.frame(b.T.TRAILERS, 1, b.hex('0005 0001 ff 0000')))],
  ['a reason that is not UTF-8', b.join(start, b.frame(b.T.RESET, 1, b.hex('00000005 0002 c328')))],
  [
    'a block whose last value runs past it',
    b.join(start, b.frame(b.T.OPEN, 1, b.hex('03 0006 000161 0003 313233'))),
  ],
  ['a block with a name only', b.join(start, b.frame(b.T.OPEN, 1, b.hex('03 0003 000161')))],
  ['a block of one byte', b.join(start, b.frame(b.T.OPEN, 1, b.hex('03 0001 00 00 00 00')))],
  ['a block of 65,535 bytes in a frame of four', b.join(start, b.frame(b.T.OPEN, 1, b.hex('03 ffff 00')))],
];

function resized(frame: Uint8Array, length: number): Uint8Array {
  return b.join(frame.subarray(0, 1), b.u32(length).subarray(1), frame.subarray(4));
}

/** A frame whose header announces fewer bytes than its form needs, for each such number of bytes. */
function shortened(frame: Uint8Array): (readonly [string, Uint8Array])[] {
  const type = (frame[0] as number) >> 3;
  const length = frame.byteLength - 8;
  // Where data may follow, only the bytes before it are needed.
  const inBlock = type === b.T.OPEN ? 1 : 0;
  const needed =
    type === b.T.OPEN || type === b.T.ACCEPT
      ? inBlock + 2 + (((frame[8 + inBlock] as number) << 8) | (frame[9 + inBlock] as number))
      : length;
  return Array.from(
    { length: needed },
    (_, less) =>
      [
        `${b.names[type]} of ${less} bytes instead of ${needed}`,
        b.join(start, resized(frame.subarray(0, 8 + less), less)),
      ] as const,
  );
}

describe('malformed input', () => {
  it.each(malformed)('%s is refused with a StreamError that blames the peer', (_what, input) => {
    for (const pieces of [[input], cut(input, [1]), cut(input, [7, 2])]) {
      const { error } = parsePieces(pieces);
      if (!StreamError.is(error)) throw error ?? new Error('it was taken');
      expect(error).toMatchObject({ code: 'protocol', remote: true, wireCode: b.code['protocol-error'] });
    }
  });

  it('is refused at its first wrong byte, not when all of it is there', () => {
    for (const input of [
      b.hex('47'),
      b.hex('72786d75782f32'),
      b.join(b.preface, b.header(b.T.PING, 0, 8)),
      b.join(start, b.header(b.T.DATA, 1, 65_537)),
      b.join(start, b.header(25, 1, 5)),
      b.join(start, b.header(b.T.OPEN, 0, 5)),
    ]) {
      expect(parsePieces([input]).error).toBeInstanceOf(StreamError);
      expect(parsePieces([input.subarray(0, -1)]).error).toBeUndefined();
    }
  });

  it('names another version', () => {
    expect(parsePieces([b.utf8('rxmux/2\n')]).error).toMatchObject({
      message: expect.stringContaining('another version'),
    });
    expect(parsePieces([b.utf8('GET / HTTP/1.1')]).error).not.toMatchObject({
      message: expect.stringContaining('another version'),
    });
  });

  it('may be a name like __proto__, which is a name like any other', () => {
    const { recorder } = parsePieces([b.join(start, b.open(1, [['__proto__', 'constructor']]))]);
    expect(recorder.events[1]).toBe('open 1 urgency=3 end=false headers=[__proto__=constructor] data=');
    expect(({} as Record<string, unknown>).constructor).toBe(Object);
  });
});

describe('memory', () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;

  function held(): number {
    collectGarbage();
    collectGarbage();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  }

  const payloads: readonly (readonly [string, Uint8Array])[] = [1, 2, 3, 4, 6, 8, 12].map((type) => [
    b.names[type] ?? 'an unknown frame',
    b.join(start, b.header(type, 1, mostMaxFrame), b.hex('03')),
  ]);

  it.each<readonly [string, Uint8Array]>([
    ...payloads,
    ['a block of 64 KiB', b.join(start, b.header(1, 1, mostMaxFrame), b.hex('03 ffff ffff'))],
    ['a GOAWAY', b.join(start, b.header(11, 0, mostMaxFrame), b.hex('00'))],
  ])('is not taken for what %s announces', (_name, input) => {
    const before = held();
    const parsers = Array.from({ length: 200 }, () => {
      const parser = new FrameParser(new Recorder(), mostMaxFrame);
      parser.parse(input, 0, 9);
      return parser;
    });
    // 200 times what was announced would be 3 GiB.
    expect(held() - before).toBeLessThan(2 ** 20);
    expect(parsers).toHaveLength(200);
  });

  it('is at most twice what arrived of a frame', () => {
    const input = b.join(start, b.header(b.T.TRAILERS, 1, mostMaxFrame), new Uint8Array(100_000));
    const before = held();
    const parser = new FrameParser(new Recorder(), mostMaxFrame);
    for (const piece of cut(input, [1])) parser.parse(piece, 0, 9);
    expect(held() - before).toBeLessThan(300_000);
    expect(parser.framesDone).toBe(0);
  });

  it('is given back when a frame is over, and after a malformed one', () => {
    const frames = b.join(start, ...golden.map(([bytes]) => b.hex(bytes)));
    const run = (rounds: number): void => {
      for (let round = 0; round < rounds; round++) {
        for (const [, input] of malformed.slice(0, 40)) parsePieces(cut(input, [3]));
        parsePieces(cut(frames, [1]));
      }
    };
    run(20);
    const before = held();
    run(100);
    expect(held() - before).toBeLessThan(2 ** 20);
  });
});
