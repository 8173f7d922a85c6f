import fc from 'fast-check';
import { StreamError } from '../../lib/core/errors.js';
import { defaultFrameLimits, type FrameLimits, FrameParser, type Setting } from '../../lib/http2/codec.js';
import { errorCode, frameFlag, frameName, frameType, settingId } from '../../lib/http2/frames.js';
import {
  frame,
  header,
  hex,
  join,
  latin1,
  type Outcome,
  parseChunks,
  parseFrames,
  preface,
  Recorder,
  settings,
  text,
} from './support.js';

const {
  DATA,
  HEADERS,
  PRIORITY,
  RST_STREAM,
  SETTINGS,
  PUSH_PROMISE,
  PING,
  GOAWAY,
  WINDOW_UPDATE,
  CONTINUATION,
} = frameType;
const { END_STREAM, ACK, END_HEADERS, PADDED } = frameFlag;
const PRIORITY_FLAG = frameFlag.PRIORITY;

/** The connection ended with this code. */
function expectConnectionError({ error }: Outcome, wireCode: number): void {
  expect(error).toBeInstanceOf(StreamError);
  expect(error).toMatchObject({ wireCode, streamId: undefined, remote: true });
}

/** Only the stream ended; what comes behind is read as if nothing had been. */
function expectStreamError(bad: Uint8Array, streamId: number, wireCode: number): void {
  const { events, error } = parseFrames(bad, frame(PING, 0, 0, latin1('after it')));
  expect(error).toBeUndefined();
  expect(events).toEqual([
    { streamError: streamId, error: { code: 'protocol', wireCode } },
    { ping: 'after it', ack: false },
  ]);
}

function uint32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

function settingsOf(...list: readonly Setting[]): Uint8Array {
  const entries = list.map(([id, value]) => join(Uint8Array.of(id >> 8, id), uint32(value)));
  return frame(SETTINGS, 0, 0, join(...entries));
}

describe('RFC 9113 §3.4: the preface', () => {
  it('§3.4 a server reads it before the first frame, in one piece or byte by byte', () => {
    const input = join(preface, settings);
    expect(parseChunks([input], 'server').events).toEqual([{ settings: [] }]);
    expect(
      parseChunks(
        Array.from(input, (byte) => Uint8Array.of(byte)),
        'server',
      ).events,
    ).toEqual([{ settings: [] }]);
  });

  it('§3.4 an invalid one ends the connection, at its first wrong byte', () => {
    for (let at = 0; at < preface.length; at++) {
      const wrong = preface.slice(0, at + 1);
      wrong[at] = (wrong[at] ?? 0) ^ 1;
      expectConnectionError(parseChunks([wrong], 'server'), errorCode.PROTOCOL_ERROR);
    }
    expectConnectionError(parseChunks([latin1('GET / HTTP/1.1\r\n')], 'server'), errorCode.PROTOCOL_ERROR);
  });

  it('§3.4 an unfinished one is waited for', () => {
    const { error, parser, events } = parseChunks([preface.subarray(0, 23)], 'server');
    expect({ error, events, between: parser.betweenFrames }).toEqual({
      error: undefined,
      events: [],
      between: false,
    });
  });

  it('§3.4 a client takes a second preface for a frame, and refuses it', () => {
    expectConnectionError(parseChunks([preface], 'client'), errorCode.PROTOCOL_ERROR);
  });

  it.each(Object.values(frameType).filter((type) => type !== SETTINGS))(
    '§3.4 the first frame must be SETTINGS, not type %i',
    (type) => {
      for (const role of ['client', 'server'] as const) {
        const bytes = header(8, type, 0, type === PING ? 0 : 1);
        const input = role === 'server' ? join(preface, bytes) : bytes;
        expectConnectionError(parseChunks([input], role), errorCode.PROTOCOL_ERROR);
      }
    },
  );

  it('§3.4 an unknown type or an answer to SETTINGS is not the first frame either', () => {
    expectConnectionError(parseChunks([frame(0x42, 0, 0)]), errorCode.PROTOCOL_ERROR);
    expectConnectionError(parseChunks([frame(SETTINGS, ACK, 0)]), errorCode.PROTOCOL_ERROR);
  });

  it('§3.4 an answer in HTTP/1.1 is refused as such', () => {
    expectConnectionError(
      parseChunks([latin1('HTTP/1.1 400 Bad Request\r\n\r\n')]),
      errorCode.PROTOCOL_ERROR,
    );
  });
});

describe('RFC 9113 §4.1: the frame header', () => {
  it('§4.1 the reserved bit is ignored', () => {
    const ping = frame(PING, 0, 0, latin1('12345678'));
    ping[5] = 0x80;
    expect(parseFrames(ping).events).toEqual([{ ping: '12345678', ack: false }]);
    const data = frame(DATA, 0, 1, latin1('x'));
    data[5] = 0x80;
    expect(parseFrames(data).events).toContainEqual({ dataStart: 1, length: 1 });
  });

  it('§4.1, §5.5 unknown types are skipped by their length, and told', () => {
    const { events, error } = parseFrames(
      frame(0x0a, 0xff, 0, latin1('altsvc')),
      frame(0xff, 0, 7),
      frame(PING, 0, 0, latin1('12345678')),
    );
    expect(error).toBeUndefined();
    expect(events).toEqual([
      { unknown: 10, streamId: 0, length: 6 },
      { unknown: 255, streamId: 7, length: 0 },
      { ping: '12345678', ack: false },
    ]);
  });

  it('§4.1 flags that a type does not define are ignored', () => {
    expect(parseFrames(frame(PING, 0xfe, 0, latin1('12345678'))).events).toEqual([
      { ping: '12345678', ack: false },
    ]);
    expect(parseFrames(frame(DATA, 0xf6, 1, latin1('x'))).events.at(-1)).toEqual({
      dataEnd: 1,
      endStream: false,
      data: 'x',
    });
    expect(parseFrames(frame(RST_STREAM, 0xff, 1, uint32(8))).events).toEqual([{ rstStream: 1, code: 8 }]);
    expect(parseFrames(frame(WINDOW_UPDATE, 0xff, 1, uint32(8))).error).toBeUndefined();
    expect(parseFrames(frame(GOAWAY, 0xff, 0, join(uint32(1), uint32(0)))).error).toBeUndefined();
    const block = join(frame(HEADERS, 0, 1, hex('82')), frame(CONTINUATION, 0xff, 1, hex('84')));
    expect(parseFrames(block).events).toEqual([
      { headers: 1, block: text(hex('8284')), endStream: false, error: undefined },
    ]);
  });

  it('every header is shown before it is judged', () => {
    const { recorder } = parseFrames(
      frame(DATA, END_STREAM, 3, latin1('abc')),
      frame(PING, 0, 1, latin1('')),
    );
    expect(recorder.frames).toEqual(['4/0/0/0', '0/1/3/3', '6/0/1/0']);
  });
});

describe('RFC 9113 §4.2: the size of a frame', () => {
  const most = defaultFrameLimits.maxFrameBytes;

  it('§4.2 a payload of 2^14 bytes is taken', () => {
    const { events, error } = parseFrames(frame(DATA, 0, 1, new Uint8Array(most)));
    expect(error).toBeUndefined();
    expect(events[0]).toEqual({ dataStart: 1, length: 16384 });
  });

  it.each([DATA, HEADERS, SETTINGS, PING, GOAWAY, 0x42])(
    '§4.2 one byte more is FRAME_SIZE_ERROR, before it comes: type %i',
    (type) => {
      const streamId = type === DATA || type === HEADERS ? 1 : 0;
      expectConnectionError(parseFrames(header(most + 1, type, 0, streamId)), errorCode.FRAME_SIZE_ERROR);
      expectConnectionError(parseFrames(header(2 ** 24 - 1, type, 0, streamId)), errorCode.FRAME_SIZE_ERROR);
    },
  );

  it('§4.2 a larger limit that we announce holds', () => {
    const limits: FrameLimits = { ...defaultFrameLimits, maxFrameBytes: 65536 };
    const data = frame(DATA, 0, 1, new Uint8Array(65536));
    expect(parseChunks([join(settings, data)], 'client', limits).error).toBeUndefined();
    const more = join(settings, header(65537, DATA, 0, 1));
    expectConnectionError(parseChunks([more], 'client', limits), errorCode.FRAME_SIZE_ERROR);
  });
});

describe('RFC 9113 §4.3, §6.10: field blocks and CONTINUATION', () => {
  const limits: FrameLimits = { ...defaultFrameLimits, maxHeaderBlockBytes: 100, maxContinuations: 3 };

  it('§6.10 fragments are joined', () => {
    const { events } = parseFrames(
      frame(HEADERS, END_STREAM, 1, latin1('ab')),
      frame(CONTINUATION, 0, 1),
      frame(CONTINUATION, 0, 1, latin1('cd')),
      frame(CONTINUATION, END_HEADERS, 1, latin1('e')),
      frame(HEADERS, END_HEADERS, 3, latin1('f')),
    );
    expect(events).toEqual([
      { headers: 1, block: 'abcde', endStream: true, error: undefined },
      { headers: 3, block: 'f', endStream: false, error: undefined },
    ]);
  });

  it('§6.10 the first fragment can be empty, and the whole block too', () => {
    const { events } = parseFrames(
      frame(HEADERS, 0, 1),
      frame(CONTINUATION, END_HEADERS, 1, latin1('x')),
      frame(HEADERS, 0, 3),
      frame(CONTINUATION, END_HEADERS, 3),
      frame(HEADERS, END_HEADERS | END_STREAM, 5),
    );
    expect(events).toEqual([
      { headers: 1, block: 'x', endStream: false, error: undefined },
      { headers: 3, block: '', endStream: false, error: undefined },
      { headers: 5, block: '', endStream: true, error: undefined },
    ]);
  });

  it.each([...Object.values(frameType).filter((type) => type !== CONTINUATION), 0x42])(
    '§4.3, §5.5, §6.2 nothing else comes within a block: type %i is PROTOCOL_ERROR',
    (type) => {
      for (const streamId of [0, 1, 3]) {
        expectConnectionError(
          parseFrames(frame(HEADERS, 0, 1), header(0, type, 0, streamId)),
          errorCode.PROTOCOL_ERROR,
        );
      }
    },
  );

  it('§6.10 CONTINUATION for another stream is PROTOCOL_ERROR', () => {
    for (const streamId of [0, 3]) {
      expectConnectionError(
        parseFrames(frame(HEADERS, 0, 1), header(0, CONTINUATION, END_HEADERS, streamId)),
        errorCode.PROTOCOL_ERROR,
      );
    }
  });

  it('§6.10 CONTINUATION without HEADERS, or behind END_HEADERS, is PROTOCOL_ERROR', () => {
    expectConnectionError(parseFrames(frame(CONTINUATION, END_HEADERS, 1)), errorCode.PROTOCOL_ERROR);
    expectConnectionError(
      parseFrames(frame(HEADERS, END_HEADERS, 1), frame(CONTINUATION, END_HEADERS, 1)),
      errorCode.PROTOCOL_ERROR,
    );
    expectConnectionError(
      parseFrames(frame(HEADERS, 0, 1), frame(CONTINUATION, END_HEADERS, 1), frame(CONTINUATION, 0, 1)),
      errorCode.PROTOCOL_ERROR,
    );
    expectConnectionError(
      parseFrames(frame(DATA, 0, 1), frame(CONTINUATION, END_HEADERS, 1)),
      errorCode.PROTOCOL_ERROR,
    );
  });

  function block(...frames: readonly Uint8Array[]): Outcome {
    return parseChunks([join(settings, ...frames)], 'client', limits);
  }

  it('maxHeaderBlockBytes is judged from the header, before the bytes come', () => {
    expect(block(frame(HEADERS, END_HEADERS, 1, new Uint8Array(100))).error).toBeUndefined();
    const outcome = block(header(101, HEADERS, END_HEADERS, 1));
    expectConnectionError(outcome, errorCode.ENHANCE_YOUR_CALM);
    expect(outcome.error?.code).toBe('limit');
    expectConnectionError(
      block(frame(HEADERS, 0, 1, new Uint8Array(60)), header(41, CONTINUATION, 0, 1)),
      errorCode.ENHANCE_YOUR_CALM,
    );
    expect(
      block(frame(HEADERS, 0, 1, new Uint8Array(60)), frame(CONTINUATION, END_HEADERS, 1, new Uint8Array(40)))
        .error,
    ).toBeUndefined();
  });

  it('maxHeaderBlockBytes does not count padding and priority', () => {
    const flags = END_HEADERS | PADDED | PRIORITY_FLAG;
    const padded = (length: number): Uint8Array =>
      frame(HEADERS, flags, 1, join(hex('ff 00000000 00'), new Uint8Array(length + 255)));
    expect(block(padded(100)).error).toBeUndefined();
    expectConnectionError(block(padded(101)), errorCode.ENHANCE_YOUR_CALM);
    const unpadded = frame(HEADERS, flags, 1, join(hex('00 00000000 00'), new Uint8Array(101)));
    expectConnectionError(block(unpadded), errorCode.ENHANCE_YOUR_CALM);
  });

  it('maxContinuations counts empty frames as well (VU#421644)', () => {
    const start = frame(HEADERS, 0, 1);
    const empty = frame(CONTINUATION, 0, 1);
    const last = frame(CONTINUATION, END_HEADERS, 1, latin1('x'));
    expect(block(start, empty, empty, last).error).toBeUndefined();
    expectConnectionError(block(start, empty, empty, empty, last), errorCode.ENHANCE_YOUR_CALM);
    // The count starts anew with each block.
    expect(block(start, empty, empty, last, start, empty, empty, last).error).toBeUndefined();
  });

  it('the limits of one block are 64 KiB and 8 CONTINUATION by default', () => {
    const full = new Uint8Array(16384);
    const three = [frame(HEADERS, 0, 1, full), ...[1, 2, 3].map(() => frame(CONTINUATION, 0, 1, full))];
    expect(parseFrames(...three, frame(CONTINUATION, END_HEADERS, 1)).error).toBeUndefined();
    expectConnectionError(parseFrames(...three, header(1, CONTINUATION, 0, 1)), errorCode.ENHANCE_YOUR_CALM);
    const empty = frame(CONTINUATION, 0, 1);
    expect(parseFrames(frame(HEADERS, 0, 1), ...new Array(8).fill(empty)).error).toBeUndefined();
    expectConnectionError(
      parseFrames(frame(HEADERS, 0, 1), ...new Array(9).fill(empty)),
      errorCode.ENHANCE_YOUR_CALM,
    );
  });
});

describe('RFC 9113 §6.1: DATA', () => {
  it('§6.1 its bytes are passed on as views, in pieces as they come', () => {
    const input = join(settings, frame(DATA, END_STREAM, 1, latin1('abcdef')));
    const recorder = new Recorder();
    const views: Uint8Array[] = [];
    recorder.onData = (_streamId, chunk) => void views.push(chunk);
    const parser = new FrameParser(recorder, { role: 'client' });
    expect(parser.parse(input.subarray(0, 20))).toBe(20);
    expect(parser.parse(input, 20)).toBe(input.length);
    expect(views.map(text)).toEqual(['ab', 'cdef']);
    expect(views.every((view) => view.buffer === input.buffer)).toBe(true);
  });

  it('§6.1 without bytes it is no chunk, but is told', () => {
    const { events, recorder } = parseFrames(frame(DATA, END_STREAM, 1));
    expect(recorder.chunks).toBe(0);
    expect(events).toEqual([
      { dataStart: 1, length: 0 },
      { dataEnd: 1, endStream: true, data: '' },
    ]);
  });

  it('§6.1 on stream 0 it is PROTOCOL_ERROR', () => {
    expectConnectionError(parseFrames(header(3, DATA, 0, 0)), errorCode.PROTOCOL_ERROR);
  });

  it('§6.1, §6.9.1 padding is taken off, and counts for the windows', () => {
    const { events } = parseFrames(
      frame(DATA, PADDED | END_STREAM, 1, join(hex('03'), latin1('ab'), hex('000000'))),
    );
    expect(events).toEqual([
      { dataStart: 1, length: 6 },
      { dataEnd: 1, endStream: true, data: 'ab' },
    ]);
  });

  it('§6.1 it can be all padding', () => {
    const { events, recorder } = parseFrames(frame(DATA, PADDED, 1, hex('02 0000')));
    expect(recorder.chunks).toBe(0);
    expect(events.at(-1)).toEqual({ dataEnd: 1, endStream: false, data: '' });
    expect(parseFrames(frame(DATA, PADDED, 1, hex('00'))).events.at(-1)).toEqual(events.at(-1));
  });

  it('§6.1 padding as long as the payload or longer is PROTOCOL_ERROR', () => {
    for (const padding of ['01', '02 00', 'ff 0000', '05 00000000']) {
      expectConnectionError(parseFrames(frame(DATA, PADDED, 1, hex(padding))), errorCode.PROTOCOL_ERROR);
    }
  });

  it('§4.2, §6.1 without room for the pad length it is FRAME_SIZE_ERROR', () => {
    expectConnectionError(parseFrames(frame(DATA, PADDED, 1)), errorCode.FRAME_SIZE_ERROR);
  });
});

describe('RFC 9113 §6.2: HEADERS', () => {
  it('§6.2 on stream 0 it is PROTOCOL_ERROR', () => {
    expectConnectionError(parseFrames(header(1, HEADERS, END_HEADERS, 0)), errorCode.PROTOCOL_ERROR);
  });

  it('§6.2 padding and priority are taken off', () => {
    const payload = join(hex('02 80000003 ff'), latin1('block'), hex('0000'));
    const flags = END_HEADERS | PADDED | PRIORITY_FLAG | END_STREAM;
    expect(parseFrames(frame(HEADERS, flags, 1, payload)).events).toEqual([
      { headers: 1, block: 'block', endStream: true, error: undefined },
    ]);
    expect(parseFrames(frame(HEADERS, END_HEADERS | PRIORITY_FLAG, 1, hex('00000000 00'))).events).toEqual([
      { headers: 1, block: '', endStream: false, error: undefined },
    ]);
  });

  it('§6.2 padding that leaves no room for the rest is PROTOCOL_ERROR', () => {
    const padded = END_HEADERS | PADDED;
    for (const payload of ['01', '02 82', 'ff 8284']) {
      expectConnectionError(parseFrames(frame(HEADERS, padded, 1, hex(payload))), errorCode.PROTOCOL_ERROR);
    }
    expectConnectionError(
      parseFrames(frame(HEADERS, padded | PRIORITY_FLAG, 1, hex('01 00000000 00'))),
      errorCode.PROTOCOL_ERROR,
    );
    expect(
      parseFrames(frame(HEADERS, padded | PRIORITY_FLAG, 1, hex('01 00000000 00 00'))).error,
    ).toBeUndefined();
  });

  it('§4.2, §6.2 too short for its flags it is FRAME_SIZE_ERROR', () => {
    expectConnectionError(parseFrames(header(0, HEADERS, PADDED, 1)), errorCode.FRAME_SIZE_ERROR);
    expectConnectionError(parseFrames(header(4, HEADERS, PRIORITY_FLAG, 1)), errorCode.FRAME_SIZE_ERROR);
    expectConnectionError(
      parseFrames(header(5, HEADERS, PADDED | PRIORITY_FLAG, 1)),
      errorCode.FRAME_SIZE_ERROR,
    );
  });

  it('§5.3 (RFC 7540 §5.3.1) a dependency on itself costs the stream, and the block is still passed on', () => {
    const payload = join(hex('80000005 0f'), latin1('blo'));
    const { events, error } = parseFrames(
      frame(HEADERS, PRIORITY_FLAG, 5, payload),
      frame(CONTINUATION, END_HEADERS, 5, latin1('ck')),
      frame(HEADERS, END_HEADERS, 7, latin1('next')),
    );
    expect(error).toBeUndefined();
    expect(events).toEqual([
      {
        headers: 5,
        block: 'block',
        endStream: false,
        error: { code: 'protocol', wireCode: errorCode.PROTOCOL_ERROR },
      },
      { headers: 7, block: 'next', endStream: false, error: undefined },
    ]);
  });
});

describe('RFC 9113 §6.3: PRIORITY', () => {
  it('§6.3 is told and otherwise ignored', () => {
    expect(parseFrames(frame(PRIORITY, 0, 3, hex('00000001 10'))).events).toEqual([{ priority: 3 }]);
  });

  it('§6.3 on stream 0 it is PROTOCOL_ERROR', () => {
    expectConnectionError(parseFrames(header(5, PRIORITY, 0, 0)), errorCode.PROTOCOL_ERROR);
  });

  it('§6.3 of any length but 5 it is FRAME_SIZE_ERROR of the stream', () => {
    for (const length of [0, 4, 6, 500]) {
      expectStreamError(frame(PRIORITY, 0, 3, new Uint8Array(length)), 3, errorCode.FRAME_SIZE_ERROR);
    }
  });

  it('§5.3 (RFC 7540 §5.3.1) a dependency on itself is PROTOCOL_ERROR of the stream', () => {
    expectStreamError(frame(PRIORITY, 0, 3, hex('80000003 10')), 3, errorCode.PROTOCOL_ERROR);
  });
});

describe('RFC 9113 §6.4: RST_STREAM', () => {
  it('§6.4, §7 every code is passed on, also one that nobody knows', () => {
    for (const code of [0, 8, 0xd, 0xff, 0xffff_ffff]) {
      expect(parseFrames(frame(RST_STREAM, 0, 3, uint32(code))).events).toEqual([{ rstStream: 3, code }]);
    }
  });

  it('§6.4 on stream 0 it is PROTOCOL_ERROR', () => {
    expectConnectionError(parseFrames(header(4, RST_STREAM, 0, 0)), errorCode.PROTOCOL_ERROR);
  });

  it('§6.4 of any length but 4 it is FRAME_SIZE_ERROR', () => {
    for (const length of [0, 3, 5]) {
      expectConnectionError(parseFrames(header(length, RST_STREAM, 0, 1)), errorCode.FRAME_SIZE_ERROR);
    }
  });
});

describe('RFC 9113 §6.5: SETTINGS', () => {
  it('§6.5.3 parameters are told in their order, unknown and repeated ones too', () => {
    const list: readonly Setting[] = [
      [settingId.INITIAL_WINDOW_SIZE, 5],
      [0xf5a1, 0xffff_ffff],
      [settingId.INITIAL_WINDOW_SIZE, 6],
    ];
    expect(parseFrames(settingsOf(...list)).events).toEqual([{ settings: list }]);
  });

  it('§6.5 an answer is told as such', () => {
    expect(parseFrames(frame(SETTINGS, ACK, 0)).events).toEqual(['settings ack']);
  });

  it('§6.5 an answer with a payload is FRAME_SIZE_ERROR', () => {
    expectConnectionError(parseFrames(header(6, SETTINGS, ACK, 0)), errorCode.FRAME_SIZE_ERROR);
    expectConnectionError(parseFrames(header(1, SETTINGS, ACK, 0)), errorCode.FRAME_SIZE_ERROR);
  });

  it('§6.5 on a stream it is PROTOCOL_ERROR', () => {
    expectConnectionError(parseFrames(header(0, SETTINGS, 0, 1)), errorCode.PROTOCOL_ERROR);
    expectConnectionError(parseFrames(header(0, SETTINGS, ACK, 1)), errorCode.PROTOCOL_ERROR);
  });

  it('§6.5 a length that is no multiple of 6 is FRAME_SIZE_ERROR', () => {
    for (const length of [1, 5, 7, 11]) {
      expectConnectionError(parseFrames(header(length, SETTINGS, 0, 0)), errorCode.FRAME_SIZE_ERROR);
    }
  });

  it.each([
    ['ENABLE_PUSH', settingId.ENABLE_PUSH, [0], [2, 0xffff_ffff], errorCode.PROTOCOL_ERROR],
    [
      'INITIAL_WINDOW_SIZE',
      settingId.INITIAL_WINDOW_SIZE,
      [0, 2 ** 31 - 1],
      [2 ** 31, 2 ** 32 - 1],
      errorCode.FLOW_CONTROL_ERROR,
    ],
    [
      'MAX_FRAME_SIZE',
      settingId.MAX_FRAME_SIZE,
      [16384, 2 ** 24 - 1],
      [0, 16383, 2 ** 24, 2 ** 32 - 1],
      errorCode.PROTOCOL_ERROR,
    ],
    ['HEADER_TABLE_SIZE', settingId.HEADER_TABLE_SIZE, [0, 2 ** 32 - 1], [], 0],
    ['MAX_CONCURRENT_STREAMS', settingId.MAX_CONCURRENT_STREAMS, [0, 2 ** 32 - 1], [], 0],
    ['MAX_HEADER_LIST_SIZE', settingId.MAX_HEADER_LIST_SIZE, [0, 2 ** 32 - 1], [], 0],
    // RFC 8441 §3, RFC 9218 §2.1
    ['ENABLE_CONNECT_PROTOCOL', settingId.ENABLE_CONNECT_PROTOCOL, [0, 1], [2], errorCode.PROTOCOL_ERROR],
    ['NO_RFC7540_PRIORITIES', settingId.NO_RFC7540_PRIORITIES, [0, 1], [2], errorCode.PROTOCOL_ERROR],
  ])('§6.5.2 %s has its range', (_name, id, right, wrong, code) => {
    for (const value of right) expect(parseFrames(settingsOf([id, value])).error).toBeUndefined();
    for (const value of wrong) expectConnectionError(parseFrames(settingsOf([id, value])), code);
  });

  it('§6.5.2 only a client may enable push', () => {
    const enabled = settingsOf([settingId.ENABLE_PUSH, 1]);
    expectConnectionError(parseChunks([enabled], 'client'), errorCode.PROTOCOL_ERROR);
    expect(parseChunks([join(preface, enabled)], 'server').error).toBeUndefined();
  });

  it('maxSettings bounds one frame', () => {
    const list = (count: number): Setting[] => [...new Array(count)].map((_, at) => [0x100 + at, 1]);
    expect(parseFrames(settingsOf(...list(32))).error).toBeUndefined();
    expectConnectionError(parseFrames(header(33 * 6, SETTINGS, 0, 0)), errorCode.ENHANCE_YOUR_CALM);
  });
});

describe('RFC 9113 §6.6, §8.4: PUSH_PROMISE', () => {
  it.each(['client', 'server'] as const)('§6.6 a %s refuses it with PROTOCOL_ERROR', (role) => {
    const input = join(
      role === 'server' ? preface : hex(''),
      settings,
      header(4, PUSH_PROMISE, END_HEADERS, 1),
    );
    expectConnectionError(parseChunks([input], role), errorCode.PROTOCOL_ERROR);
  });
});

describe('RFC 9113 §6.7: PING', () => {
  it('§6.7 its payload and whether it is an answer are told', () => {
    const { events } = parseFrames(
      frame(PING, 0, 0, latin1('question')),
      frame(PING, ACK, 0, latin1('answered')),
    );
    expect(events).toEqual([
      { ping: 'question', ack: false },
      { ping: 'answered', ack: true },
    ]);
  });

  it('§6.7 on a stream it is PROTOCOL_ERROR', () => {
    expectConnectionError(parseFrames(header(8, PING, 0, 1)), errorCode.PROTOCOL_ERROR);
  });

  it('§6.7 of any length but 8 it is FRAME_SIZE_ERROR', () => {
    for (const length of [0, 7, 9]) {
      expectConnectionError(parseFrames(header(length, PING, 0, 0)), errorCode.FRAME_SIZE_ERROR);
    }
  });
});

describe('RFC 9113 §6.8: GOAWAY', () => {
  it('§6.8 its last id, code and debug data are told', () => {
    const payload = join(hex('ffffffff 0000000b'), latin1('calm down'));
    expect(parseFrames(frame(GOAWAY, 0, 0, payload)).events).toEqual([
      { goAway: 2 ** 31 - 1, code: 11, debug: 'calm down' },
    ]);
  });

  it('§6.8 on a stream it is PROTOCOL_ERROR', () => {
    expectConnectionError(parseFrames(header(8, GOAWAY, 0, 1)), errorCode.PROTOCOL_ERROR);
  });

  it('§4.2, §6.8 shorter than 8 it is FRAME_SIZE_ERROR', () => {
    for (const length of [0, 7]) {
      expectConnectionError(parseFrames(header(length, GOAWAY, 0, 0)), errorCode.FRAME_SIZE_ERROR);
    }
  });
});

describe('RFC 9113 §6.9: WINDOW_UPDATE', () => {
  it('§6.9 is told for a stream and for the connection', () => {
    const { events } = parseFrames(
      frame(WINDOW_UPDATE, 0, 0, hex('ffffffff')),
      frame(WINDOW_UPDATE, 0, 3, uint32(1)),
    );
    expect(events).toEqual([
      { windowUpdate: 0, increment: 2 ** 31 - 1 },
      { windowUpdate: 3, increment: 1 },
    ]);
  });

  it('§6.9 of 0 it is PROTOCOL_ERROR of the stream, or of the connection on stream 0', () => {
    expectStreamError(frame(WINDOW_UPDATE, 0, 3, uint32(0)), 3, errorCode.PROTOCOL_ERROR);
    // The reserved bit is no credit.
    expectStreamError(frame(WINDOW_UPDATE, 0, 3, hex('80000000')), 3, errorCode.PROTOCOL_ERROR);
    expectConnectionError(parseFrames(frame(WINDOW_UPDATE, 0, 0, uint32(0))), errorCode.PROTOCOL_ERROR);
  });

  it('§6.9 of any length but 4 it is FRAME_SIZE_ERROR', () => {
    for (const length of [0, 3, 5]) {
      expectConnectionError(parseFrames(header(length, WINDOW_UPDATE, 0, 1)), errorCode.FRAME_SIZE_ERROR);
      expectConnectionError(parseFrames(header(length, WINDOW_UPDATE, 0, 0)), errorCode.FRAME_SIZE_ERROR);
    }
  });
});

describe('cutting the input', () => {
  const everything = join(
    preface,
    settingsOf([settingId.INITIAL_WINDOW_SIZE, 100], [0xf5a1, 1]),
    frame(SETTINGS, ACK, 0),
    frame(HEADERS, END_HEADERS, 1, latin1('first')),
    frame(DATA, 0, 1, latin1('some data')),
    frame(DATA, PADDED, 1, join(hex('04'), latin1('padded'), hex('00000000'))),
    frame(0x21, 3, 1, latin1('unknown')),
    frame(HEADERS, PADDED | PRIORITY_FLAG, 3, join(hex('02 00000001 10'), latin1('part'), hex('0000'))),
    frame(CONTINUATION, 0, 3, latin1('two')),
    frame(CONTINUATION, END_HEADERS, 3, latin1('three')),
    frame(PRIORITY, 0, 3, hex('00000003 10')),
    frame(PRIORITY, 0, 3, hex('0000')),
    frame(WINDOW_UPDATE, 0, 1, uint32(0)),
    frame(WINDOW_UPDATE, 0, 0, uint32(77)),
    frame(PING, 0, 0, latin1('12345678')),
    frame(DATA, END_STREAM, 1),
    frame(RST_STREAM, 0, 3, uint32(8)),
    frame(GOAWAY, 0, 0, join(uint32(3), uint32(0), latin1('bye'))),
  );
  const whole = parseChunks([everything], 'server');

  it('changes nothing, at every point', () => {
    expect(whole.error).toBeUndefined();
    expect(whole.events.length).toBe(18);
    expect(whole.parser.betweenFrames).toBe(true);
    for (let at = 0; at <= everything.length; at++) {
      const parts = [everything.subarray(0, at), everything.subarray(at)];
      expect(parseChunks(parts, 'server').events).toEqual(whole.events);
    }
  });

  it('changes nothing, byte by byte', () => {
    const bytes = Array.from(everything, (byte) => Uint8Array.of(byte));
    expect(parseChunks(bytes, 'server').events).toEqual(whole.events);
  });

  it('changes nothing at any points together, nor does a budget of frames', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(everything.length), { maxLength: 12 }),
        fc.integer({ min: 1, max: 5 }),
        (cuts, maxFrames) => {
          const points = [0, ...cuts.sort((a, b) => a - b), everything.length];
          const parts = points.slice(1).map((end, at) => everything.subarray(points[at], end));
          expect(parseChunks(parts, 'server', undefined, maxFrames).events).toEqual(whole.events);
        },
      ),
    );
  });

  it('says whether the end of the input cut something', () => {
    const starts = new Set([everything.length]);
    for (let at = preface.length; at < everything.length; ) {
      starts.add(at);
      at += 9 + (((everything[at + 1] ?? 0) << 8) | (everything[at + 2] ?? 0));
    }
    const blocks = ['two', 'three'].map((part) => text(everything).indexOf(part) - 9);
    for (const at of blocks) expect(starts.delete(at)).toBe(true);
    for (let at = 0; at <= everything.length; at++) {
      const { parser } = parseChunks([everything.subarray(0, at)], 'server');
      expect([at, parser.betweenFrames]).toEqual([at, starts.has(at)]);
    }
  });
});

describe('a budget of frames', () => {
  it('stops behind that many frames, and goes on where it stopped', () => {
    const recorder = new Recorder();
    const parser = new FrameParser(recorder, { role: 'client' });
    const ping = frame(PING, 0, 0, latin1('12345678'));
    const input = join(settings, ping, ping, ping, frame(DATA, 0, 1, latin1('x')));
    expect(parser.parse(input, 0, 2)).toBe(9 + 17);
    expect(recorder.events.length).toBe(2);
    expect(parser.parse(input, 26, 1)).toBe(9 + 34);
    expect(parser.parse(input, 43, 100)).toBe(input.length);
    expect(recorder.events.length).toBe(6);
    expect(parser.parse(input, input.length, 100)).toBe(input.length);
  });

  it('counts frames that are skipped', () => {
    const parser = new FrameParser(new Recorder(), { role: 'client' });
    const input = join(settings, ...new Array(10).fill(frame(0x77, 0, 0)));
    expect(parser.parse(input, 0, 5)).toBe(9 * 5);
  });
});

describe('after an error', () => {
  it('nothing more is read, and the error is the same', () => {
    const recorder = new Recorder();
    const parser = new FrameParser(recorder, { role: 'client' });
    const bad = join(settings, frame(DATA, 0, 0, latin1('x')), frame(PING, 0, 0, latin1('12345678')));
    const errors = [bad, settings].map((input) => {
      try {
        parser.parse(input);
      } catch (error) {
        return error;
      }
      return undefined;
    });
    expect(errors[0]).toBeInstanceOf(StreamError);
    expect(errors[1]).toBe(errors[0]);
    expect(recorder.events).toEqual([{ settings: [] }]);
  });

  it('of the handler the parser is at its end as well', () => {
    const recorder = new Recorder();
    const reason = new Error('the table is broken');
    recorder.onHeaders = () => {
      throw reason;
    };
    const parser = new FrameParser(recorder, { role: 'client' });
    const input = join(settings, frame(HEADERS, END_HEADERS, 1), frame(PING, 0, 0, latin1('12345678')));
    expect(() => parser.parse(input)).toThrow(reason);
    expect(() => parser.parse(settings)).toThrow(reason);
    expect(recorder.events).toEqual([{ settings: [] }]);
  });

  it('the message has the frame and its numbers', () => {
    expect(parseFrames(header(5, PING, 0, 0)).error?.message).toBe(
      'the peer sent a PING of 5 bytes; 8 was expected',
    );
    expect(parseFrames(frame(HEADERS, 0, 1), header(0, DATA, 0, 3)).error?.message).toBe(
      'the peer sent DATA on stream 3 within the field block of stream 1',
    );
  });
});

describe('any valid frames', () => {
  const streamId = fc.integer({ min: 1, max: 2 ** 31 - 1 });
  const payload = fc.uint8Array({ maxLength: 60 });
  const padding = fc.option(fc.nat(255), { nil: undefined });
  const padded = (bytes: Uint8Array, length: number | undefined): Uint8Array =>
    length === undefined ? bytes : join(Uint8Array.of(length), bytes, new Uint8Array(length));
  const data = fc.tuple(streamId, payload, padding, fc.boolean()).map(([id, bytes, pad, endStream]) => {
    const body = padded(bytes, pad);
    return {
      bytes: frame(DATA, (pad === undefined ? 0 : PADDED) | (endStream ? END_STREAM : 0), id, body),
      events: [
        { dataStart: id, length: body.length },
        { dataEnd: id, endStream, data: text(bytes) },
      ],
    };
  });
  const headers = fc
    .tuple(streamId, fc.array(payload, { minLength: 1, maxLength: 6 }), padding, fc.boolean())
    .map(([id, parts, pad, endStream]) => ({
      bytes: join(
        ...parts.map((part, at) =>
          at === 0
            ? frame(
                HEADERS,
                (pad === undefined ? 0 : PADDED) |
                  (endStream ? END_STREAM : 0) |
                  (parts.length === 1 ? END_HEADERS : 0),
                id,
                padded(part, pad),
              )
            : frame(CONTINUATION, at === parts.length - 1 ? END_HEADERS : 0, id, part),
        ),
      ),
      events: [{ headers: id, block: text(join(...parts)), endStream, error: undefined }],
    }));
  const unknown = fc
    .tuple(fc.integer({ min: 10, max: 255 }), fc.nat(255), fc.nat(2 ** 31 - 1), payload)
    .map(([type, flags, id, bytes]) => ({
      bytes: frame(type, flags, id, bytes),
      events: [{ unknown: type, streamId: id, length: bytes.length }],
    }));

  it('are read as they were written, however they are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(data, headers, unknown), { maxLength: 10 }),
        fc.array(fc.nat(2000), { maxLength: 8 }),
        (frames, cuts) => {
          const input = join(settings, ...frames.map(({ bytes }) => bytes));
          const points = [
            0,
            ...cuts.map((cut) => Math.min(cut, input.length)).sort((a, b) => a - b),
            input.length,
          ];
          const parts = points.slice(1).map((end, at) => input.subarray(points[at], end));
          const { events, error } = parseChunks(parts);
          expect(error).toBeUndefined();
          expect(events.slice(1)).toEqual(frames.flatMap((one): unknown[] => one.events));
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('malformed input', () => {
  /** Each frame type, every flag, lengths around what is right, on stream 0 and 1. */
  it('ends in a StreamError with a code, or not at all', () => {
    let errors = 0;
    for (let type = 0; type <= 10; type++) {
      for (let flags = 0; flags < 256; flags++) {
        for (const length of [0, 1, 3, 4, 5, 6, 8, 9, 12]) {
          for (const streamId of [0, 1]) {
            const input = frame(type, flags, streamId, new Uint8Array(length).fill(1));
            const { error } = parseFrames(input);
            if (error === undefined) continue;
            errors++;
            if (!StreamError.is(error) || error.wireCode === undefined) {
              throw new Error(`${frameName(type)} ${flags} ${length}: ${error}`);
            }
          }
        }
      }
    }
    expect(errors).toBeGreaterThan(10_000);
  });
});
