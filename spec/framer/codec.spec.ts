import fc from 'fast-check';
import { StreamError } from '../../lib/core/errors.js';
import { FrameParser } from '../../lib/framer/codec.js';
import {
  encodeBlock,
  encodeReason,
  encodeSettings,
  writeHeader,
  writeUint32,
} from '../../lib/framer/encode.js';
import { preface } from '../../lib/framer/frames.js';
import * as b from './bytes.js';
import { golden, start } from './golden.js';
import { cut, parsePieces, Recorder } from './recorder.js';
import { recordSession } from './session.js';
import { vectors } from './vectors.js';

const startEvent = 'settings role=client initialWindow=262144 connectionWindow=1048576 maxFrame=65536';

/** What a writer makes of a frame, from header and payload. */
function written(type: number, flags: number, id: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const payload = b.join(...parts);
  const frame = new Uint8Array(8 + payload.byteLength);
  frame.set(payload, writeHeader(frame, 0, type, flags, id, payload.byteLength));
  return frame;
}

function number(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  expect(writeUint32(bytes, 0, value)).toBe(4);
  return bytes;
}

describe('frames as they stand on the wire', () => {
  it.each(golden)('%s says: %s', (bytes, event) => {
    const { recorder, error } = parsePieces([b.join(start, b.hex(bytes))]);
    expect(error).toBeUndefined();
    expect(recorder.events).toEqual([startEvent, event]);
  });

  it('tells of each frame with type, flags, id and length before what it says', () => {
    const { recorder } = parsePieces([b.join(start, b.hex('27000001 00000005 61 60000003 00000007 616263'))]);
    expect(recorder.frames).toEqual(['0 0 0 24', '4 7 5 1', '12 0 7 3']);
  });

  it('begin with the preface and SETTINGS', () => {
    const settings = {
      role: 'server',
      initialWindow: 16_384,
      connectionWindow: 65_536,
      maxFrame: 65_536,
    } as const;
    const payload = encodeSettings(settings);
    expect(b.toHex(payload)).toBe('000100000002 000200004000 000300010000 000400010000'.replaceAll(' ', ''));
    expect(b.toHex(b.join(preface, written(0, 0, 0, payload)))).toBe(
      b.toHex(b.hello('server', 16_384, 65_536)),
    );
  });

  it('are written as they are read', () => {
    const hello = b.utf8('hello');
    const made = [
      written(1, 0, 1, b.u8(3), encodeBlock([['a', '1']]), hello, b.u8(0)),
      written(2, 1, 1, encodeBlock([['a', '1']]), hello),
      written(3, 0, 1, number(4), encodeReason('no thanks'), encodeBlock([['x-why', 'test']])),
      written(5, 0, 1, number(2 ** 31 - 1)),
      written(6, 0, 1, encodeBlock([['x', 'y']])),
      written(7, 0, 1, number(5)),
      written(8, 0, 1, number(256), encodeReason('changed my mind')),
      written(11, 0, 0, number(3), number(1), encodeReason('bad frame')),
    ].map(b.toHex);
    const known = golden.map(([bytes]) => bytes.replaceAll(' ', ''));
    expect(known).toEqual(expect.arrayContaining(made));
  });

  it('have an empty block of two bytes, in memory of its own or shared, but never changed', () => {
    expect(b.toHex(encodeBlock([]))).toBe('0000');
    encodeBlock([['a', 'b']]);
    expect(b.toHex(encodeBlock([]))).toBe('0000');
  });

  it('cut a long reason, and keep it UTF-8', () => {
    const reason = `${'x'.repeat(199)}🙂 and much more${'.'.repeat(100_000)}`;
    const { recorder } = parsePieces([b.join(start, written(8, 0, 1, number(5), encodeReason(reason)))]);
    expect(recorder.events[1]).toMatch(/^reset 1 code=5 reason=x{199}/);
    expect(recorder.bytes).toBeLessThan(1000);
  });
});

describe('what is written is read again', () => {
  const id = fc.integer({ min: 1, max: 2 ** 31 - 1 });
  const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  const bytes = fc.uint8Array({ maxLength: 300 });
  const text = fc.string({ unit: 'grapheme', maxLength: 40 });
  const headers = fc.array(fc.tuple(text, text), { maxLength: 6 });
  const flag = fc.boolean();

  const list = (pairs: readonly (readonly [string, string])[]): string =>
    `[${pairs.map(([name, value]) => `${name}=${value}`).join(',')}]`;

  const anyFrame: fc.Arbitrary<readonly [Uint8Array, string]> = fc.oneof(
    fc
      .tuple(id, fc.integer({ min: 0, max: 255 }), headers, bytes, flag)
      .map(
        ([at, urgency, pairs, data, end]) =>
          [
            written(1, Number(end), at, b.u8(urgency), encodeBlock(pairs), data),
            `open ${at} urgency=${urgency} end=${end} headers=${list(pairs)} data=${b.toHex(data)}`,
          ] as const,
      ),
    fc
      .tuple(id, headers, bytes, flag)
      .map(
        ([at, pairs, data, end]) =>
          [
            written(2, Number(end), at, encodeBlock(pairs), data),
            `accept ${at} end=${end} headers=${list(pairs)} data=${b.toHex(data)}`,
          ] as const,
      ),
    fc
      .tuple(id, uint32, text, headers)
      .map(
        ([at, code, reason, pairs]) =>
          [
            written(3, 0, at, number(code), encodeReason(reason), encodeBlock(pairs)),
            `refuse ${at} code=${code} reason=${reason} headers=${list(pairs)}`,
          ] as const,
      ),
    fc
      .tuple(id, bytes, flag)
      .map(
        ([at, data, end]) =>
          [written(4, Number(end), at, data), `data ${at} end=${end} ${b.toHex(data)}`] as const,
      ),
    fc
      .tuple(fc.oneof(id, fc.constant(0)), uint32)
      .map(([at, credit]) => [written(5, 0, at, number(credit)), `credit ${at} ${credit}`] as const),
    fc
      .tuple(id, headers)
      .map(
        ([at, pairs]) =>
          [written(6, 0, at, encodeBlock(pairs)), `trailers ${at} headers=${list(pairs)}`] as const,
      ),
    fc
      .tuple(id, uint32)
      .map(([at, code]) => [written(7, 0, at, number(code)), `stop ${at} code=${code}`] as const),
    fc
      .tuple(id, uint32, text)
      .map(
        ([at, code, reason]) =>
          [
            written(8, 0, at, number(code), encodeReason(reason)),
            `reset ${at} code=${code} reason=${reason}`,
          ] as const,
      ),
    fc
      .tuple(fc.constantFrom(9, 10), fc.uint8Array({ minLength: 8, maxLength: 8 }))
      .map(
        ([type, payload]) =>
          [written(type, 0, 0, payload), `${type === 9 ? 'ping' : 'pong'} ${b.toHex(payload)}`] as const,
      ),
    fc
      .tuple(uint32, uint32, text)
      .map(
        ([last, code, reason]) =>
          [
            written(11, 0, 0, number(last), number(code), encodeReason(reason)),
            `goaway last=${last} code=${code} reason=${reason}`,
          ] as const,
      ),
    fc
      .tuple(fc.integer({ min: 12, max: 23 }), fc.integer({ min: 0, max: 2 ** 31 - 1 }), bytes)
      .map(
        ([type, at, payload]) =>
          [written(type, 7, at, payload), `skip type=${type} length=${payload.byteLength}`] as const,
      ),
  );

  it('every frame, in any order, however it is cut', () => {
    fc.assert(
      fc.property(
        fc.array(anyFrame, { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 4 }),
        (frames, sizes, maxFrames) => {
          const input = b.join(start, ...frames.map(([frame]) => frame));
          const { recorder, error } = parsePieces(cut(input, sizes), 65_536, maxFrames);
          expect(error).toBeUndefined();
          expect(recorder.events).toEqual([startEvent, ...frames.map(([, event]) => event)]);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('SETTINGS, over all their values', () => {
    const window = fc.integer({ min: 0, max: 2 ** 31 - 1 });
    const maxFrame = fc.integer({ min: 65_536, max: 2 ** 24 - 1 });
    fc.assert(
      fc.property(
        fc.constantFrom('client', 'server'),
        window,
        window,
        maxFrame,
        (role, initial, connection, most) => {
          const settings = {
            role,
            initialWindow: initial,
            connectionWindow: connection,
            maxFrame: most,
          } as const;
          const { recorder, error } = parsePieces([
            b.join(preface, written(0, 0, 0, encodeSettings(settings))),
          ]);
          expect(error).toBeUndefined();
          expect(recorder.events).toEqual([
            `settings role=${role} initialWindow=${initial} connectionWindow=${connection} maxFrame=${most}`,
          ]);
        },
      ),
    );
  });
});

function story(pieces: readonly Uint8Array[], maxFrames?: number): string {
  const { recorder, error } = parsePieces(pieces, 65_536, maxFrames);
  if (error !== undefined && !StreamError.is(error)) throw error;
  return [...recorder.events, ...recorder.frames, String(error)].join('\n');
}

describe('wherever the input is cut, it says the same', () => {
  const inputs: [name: string, bytes: Uint8Array][] = [
    ['every frame', b.join(start, ...golden.map(([bytes]) => b.hex(bytes)))],
    ...vectors
      .filter(({ bytes }) => bytes.length < 1000)
      .map(({ name, bytes }): [string, Uint8Array] => [name, b.hex(bytes)]),
  ];

  it.each(inputs)('%s', (_name, input) => {
    const whole = story([input]);
    for (let at = 0; at <= input.byteLength; at++) {
      const pieces = [input.subarray(0, at), input.subarray(at)];
      expect(story(pieces)).toBe(whole);
      expect(story(pieces, 1)).toBe(whole);
    }
    expect(story(cut(input, [1]))).toBe(whole);
    for (const maxFrames of [1, 2, 3]) expect(story([input], maxFrames)).toBe(whole);
  });

  it('both directions of a recorded session', async () => {
    const recording = await recordSession();
    for (const input of [recording.client, recording.server]) {
      expect(input.byteLength).toBeGreaterThan(400);
      const whole = story([input]);
      expect(whole).toMatch(/trailers/);
      for (let at = 0; at <= input.byteLength; at++) {
        expect(story([input.subarray(0, at), input.subarray(at)], 1 + (at % 3))).toBe(whole);
      }
      for (const size of [1, 2, 3, 7, 8, 9, 64]) expect(story(cut(input, [size]))).toBe(whole);
    }
  });
});

describe('a budget of frames', () => {
  const input = b.join(
    start,
    b.data(1, b.utf8('abc')),
    b.ping(),
    b.hex('60000000 00000000'),
    b.data(1, b.utf8('d')),
  );

  it('stops the parser behind a frame, and it goes on from there', () => {
    const recorder = new Recorder();
    const parser = new FrameParser(recorder, 65_536);
    const stops: number[] = [];
    for (let at = 0; at < input.byteLength; stops.push(at)) {
      at = parser.parse(input, at, 1);
      expect(parser.framesDone).toBe(1);
    }
    expect(stops).toEqual([40, 51, 67, 75, 84]);
    expect(recorder.events).toHaveLength(5);
  });

  it('is not spent on what is still missing', () => {
    const recorder = new Recorder();
    const parser = new FrameParser(recorder, 65_536);
    expect(parser.parse(input.subarray(0, 44), 0, 1)).toBe(40);
    expect(parser.parse(input.subarray(0, 44), 40, 1)).toBe(44);
    expect(parser.framesDone).toBe(0);
    expect(parser.parse(input.subarray(44), 0, 9)).toBe(input.byteLength - 44);
    expect(parser.framesDone).toBe(4);
  });

  it('of none does nothing', () => {
    const parser = new FrameParser(new Recorder(), 65_536);
    expect(parser.parse(start, 0, 0)).toBe(preface.byteLength);
    expect(parser.parse(start, preface.byteLength, 0)).toBe(preface.byteLength);
  });
});

describe('data', () => {
  it('is passed on as it comes, as views of what came', () => {
    const pieces: Uint8Array[] = [];
    class Views extends Recorder {
      override data(id: number, chunk: Uint8Array, last: boolean, end: boolean): void {
        pieces.push(chunk);
        super.data(id, chunk, last, end);
      }
    }
    const parser = new FrameParser(new Views(), 65_536);
    parser.parse(start, 0, 9);
    const first = b.join(b.header(b.T.DATA, 1, 6), b.utf8('abc'));
    const second = b.utf8('def');
    parser.parse(first, 0, 9);
    parser.parse(second, 0, 9);
    expect(pieces.map(b.toHex)).toEqual(['616263', '646566']);
    expect(pieces[0]?.buffer).toBe(first.buffer);
    expect(pieces[1]?.buffer).toBe(second.buffer);
  });

  it('is never announced as over before its last byte', () => {
    const told: string[] = [];
    class Ends extends Recorder {
      override data(_id: number, chunk: Uint8Array, last: boolean, end: boolean): void {
        told.push(`${chunk.byteLength} ${last} ${end}`);
      }
    }
    const parser = new FrameParser(new Ends(), 65_536);
    for (const piece of cut(b.join(start, b.data(1, b.utf8('abc'), b.END)), [1])) parser.parse(piece, 0, 9);
    expect(told).toEqual(['1 false false', '1 false false', '1 true true']);
  });
});
