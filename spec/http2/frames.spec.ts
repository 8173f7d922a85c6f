import {
  errorCode,
  errorName,
  frameName,
  frameType,
  PREFACE,
  uint24,
  uint31,
  uint32,
  wireError,
} from '../../lib/http2/frames.js';
import { hex, latin1 } from './support.js';

describe('RFC 9113: numbers', () => {
  it('has the preface of §3.4', () => {
    expect(latin1(PREFACE)).toEqual(hex('505249202a20485454502f322e300d0a0d0a534d0d0a0d0a'));
  });

  it('names the types of §6 and the codes of §7 by their numbers', () => {
    expect(Object.values(frameType)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(Object.values(errorCode)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
    expect([frameName(8), frameName(0x10)]).toEqual(['WINDOW_UPDATE', '0x10']);
    expect([errorName(9), errorName(0xff)]).toEqual(['COMPRESSION_ERROR', '0xff']);
  });

  it('reads numbers without a sign, and ignores the reserved bit (§4.1)', () => {
    const bytes = hex('00 ff ff ff ff');
    expect(uint24(bytes, 1)).toBe(0xff_ff_ff);
    expect(uint32(bytes, 1)).toBe(0xff_ff_ff_ff);
    expect(uint31(bytes, 1)).toBe(0x7f_ff_ff_ff);
  });
});

describe('RFC 9113 §5.4: errors', () => {
  it('are of the stream with an id, and of the connection without', () => {
    const stream = wireError(errorCode.STREAM_CLOSED, 'late DATA', 7);
    expect(stream).toMatchObject({ code: 'protocol', wireCode: 5, streamId: 7, remote: true });
    expect(stream.message).toBe('stream 7: late DATA');
    const connection = wireError(errorCode.PROTOCOL_ERROR, 'nonsense');
    expect(connection).toMatchObject({ code: 'protocol', wireCode: 1, streamId: undefined, remote: true });
    expect(connection.message).toBe('nonsense');
  });

  it('say in our words what kind they are', () => {
    expect(wireError(errorCode.FLOW_CONTROL_ERROR, '').code).toBe('flow-control');
    expect(wireError(errorCode.ENHANCE_YOUR_CALM, '').code).toBe('limit');
  });
});
