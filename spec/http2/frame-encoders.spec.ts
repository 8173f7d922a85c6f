import fc from 'fast-check';
import {
  headersByteLength,
  type Setting,
  writeGoAway,
  writeHeaders,
  writePing,
  writePreface,
  writeRstStream,
  writeSettings,
  writeSettingsAck,
  writeWindowUpdate,
} from '../../lib/http2/codec.js';
import { errorCode, settingId } from '../../lib/http2/frames.js';
import { hex, join, latin1, parseChunks, preface, settings, text } from './support.js';

/** What a writer writes at some offset; around it nothing may change. */
function written(write: (out: Uint8Array, at: number) => number, room = 4096): Uint8Array {
  const out = new Uint8Array(room).fill(0xaa);
  const end = write(out, 3);
  expect(out.subarray(0, 3)).toEqual(hex('aaaaaa'));
  expect(out.subarray(end).every((byte) => byte === 0xaa)).toBe(true);
  return out.slice(3, end);
}

/** Golden bytes, by hand from the figures of RFC 9113 §6. */
describe('RFC 9113 §6: frames as bytes', () => {
  it('§3.4 writes the preface', () => {
    expect(written(writePreface)).toEqual(preface);
  });

  it('§6.4 writes RST_STREAM', () => {
    const frame = written((out, at) => writeRstStream(out, at, 5, errorCode.CANCEL));
    expect(frame).toEqual(hex('000004 03 00 00000005 00000008'));
  });

  it('§6.5 writes SETTINGS', () => {
    const list: readonly Setting[] = [
      [settingId.INITIAL_WINDOW_SIZE, 0x100000],
      [settingId.MAX_CONCURRENT_STREAMS, 100],
      [0xf5a1, 1],
    ];
    expect(written((out, at) => writeSettings(out, at, list))).toEqual(
      hex('000012 04 00 00000000 0004 00100000 0003 00000064 f5a1 00000001'),
    );
    expect(written((out, at) => writeSettings(out, at, []))).toEqual(settings);
    expect(written(writeSettingsAck)).toEqual(hex('000000 04 01 00000000'));
  });

  it('§6.7 writes PING', () => {
    const payload = hex('0102030405060708');
    expect(written((out, at) => writePing(out, at, payload, false))).toEqual(
      hex('000008 06 00 00000000 0102030405060708'),
    );
    expect(written((out, at) => writePing(out, at, payload, true))).toEqual(
      hex('000008 06 01 00000000 0102030405060708'),
    );
  });

  it('§6.8 writes GOAWAY', () => {
    expect(written((out, at) => writeGoAway(out, at, 2 ** 31 - 1, errorCode.NO_ERROR))).toEqual(
      hex('000008 07 00 00000000 7fffffff 00000000'),
    );
    expect(written((out, at) => writeGoAway(out, at, 9, 0xb, latin1('hi')))).toEqual(
      hex('00000a 07 00 00000000 00000009 0000000b 6869'),
    );
  });

  it('§6.9 writes WINDOW_UPDATE', () => {
    expect(written((out, at) => writeWindowUpdate(out, at, 0, 0xff0001))).toEqual(
      hex('000004 08 00 00000000 00ff0001'),
    );
  });

  it('§6.2 writes a block into one HEADERS', () => {
    expect(written((out, at) => writeHeaders(out, at, 1, hex('8286'), true, 16384))).toEqual(
      hex('000002 01 05 00000001 8286'),
    );
    expect(written((out, at) => writeHeaders(out, at, 3, hex(''), false, 16384))).toEqual(
      hex('000000 01 04 00000003'),
    );
  });

  it('§6.10 goes on in CONTINUATION above the frame size', () => {
    expect(written((out, at) => writeHeaders(out, at, 1, hex('010203 040506 07'), true, 3))).toEqual(
      hex('000003 01 01 00000001 010203  000003 09 00 00000001 040506  000001 09 04 00000001 07'),
    );
    expect(written((out, at) => writeHeaders(out, at, 1, hex('010203 040506'), false, 3))).toEqual(
      hex('000003 01 00 00000001 010203  000003 09 04 00000001 040506'),
    );
  });
});

describe('what is written', () => {
  it('is read back', () => {
    const id = fc.integer({ min: 1, max: 2 ** 31 - 1 });
    const word = fc.integer({ min: 0, max: 2 ** 32 - 1 });
    const setting = fc.tuple(fc.integer({ min: 0x10, max: 0xffff }), word);
    fc.assert(
      fc.property(
        fc.record({ id, word, credit: id, list: fc.array(setting, { maxLength: 32 }) }),
        fc.uint8Array({ minLength: 8, maxLength: 8 }),
        fc.uint8Array({ maxLength: 300 }),
        fc.integer({ min: 40, max: 400 }),
        fc.boolean(),
        ({ id: streamId, word: code, credit, list }, ping, block, maxFrameBytes, flag) => {
          const headers = written((out, at) => writeHeaders(out, at, streamId, block, flag, maxFrameBytes));
          expect(headers.length).toBe(headersByteLength(block.length, maxFrameBytes));
          const { events, error } = parseChunks([
            join(
              written((out, at) => writeSettings(out, at, list)),
              written(writeSettingsAck),
              written((out, at) => writePing(out, at, ping, flag)),
              headers,
              written((out, at) => writeWindowUpdate(out, at, flag ? 0 : streamId, credit)),
              written((out, at) => writeRstStream(out, at, streamId, code)),
              written((out, at) => writeGoAway(out, at, streamId, code, block)),
            ),
          ]);
          expect(error).toBeUndefined();
          expect(events).toEqual([
            { settings: list },
            'settings ack',
            { ping: text(ping), ack: flag },
            { headers: streamId, block: text(block), endStream: flag, error: undefined },
            { windowUpdate: flag ? 0 : streamId, increment: credit },
            { rstStream: streamId, code },
            { goAway: streamId, code, debug: text(block) },
          ]);
        },
      ),
    );
  });
});
