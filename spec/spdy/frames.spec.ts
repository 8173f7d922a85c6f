import { createRequire } from 'node:module';
import * as frames from '../../lib/spdy/frames.js';

const { protocol } = createRequire(require.resolve('spdy'))('spdy-transport') as {
  protocol: {
    spdy: {
      constants: {
        frameType: Record<string, number>;
        error: Record<string, number>;
        goaway: Record<string, number>;
        settings: Record<string, number>;
      };
    };
  };
};

const theirs = protocol.spdy.constants;
const ours = frames as unknown as Record<string, number>;

describe('the numbers of SPDY/3.1', () => {
  it.each(Object.entries(theirs.frameType).filter(([name]) => name !== 'X_FORWARDED_FOR'))(
    'has the frame type %s as spdy-transport has it',
    (name, value) => {
      expect(ours[`FRAME_${name}`]).toBe(value);
      expect(frames.frameName(value)).toBe(name);
    },
  );

  it.each([
    'PROTOCOL_ERROR',
    'INVALID_STREAM',
    'REFUSED_STREAM',
    'UNSUPPORTED_VERSION',
    'CANCEL',
    'INTERNAL_ERROR',
    'FLOW_CONTROL_ERROR',
    'STREAM_IN_USE',
    'FRAME_TOO_LARGE',
  ])('has the RST_STREAM status %s as spdy-transport has it', (name) => {
    expect(ours[`RST_${name}`]).toBe(theirs.error[name]);
  });

  it.each(Object.entries(theirs.goaway))(
    'has the GOAWAY status %s as spdy-transport has it',
    (name, value) => {
      expect(ours[`GOAWAY_${name}`]).toBe(value);
    },
  );

  it('has the settings as spdy-transport has them', () => {
    expect(frames.SETTINGS_INITIAL_WINDOW_SIZE).toBe(theirs.settings.SETTINGS_INITIAL_WINDOW_SIZE);
    expect(frames.SETTINGS_MAX_CONCURRENT_STREAMS).toBe(theirs.settings.SETTINGS_MAX_CONCURRENT_STREAMS);
  });

  it('names a type it does not know by its number', () => {
    expect(frames.frameName(10)).toBe('type 10');
  });
});

describe('reset words', () => {
  it.each(['cancel', 'refused', 'protocol-error', 'internal-error', 'flow-control'] as const)(
    'brings %s back from the wire',
    (word) => {
      expect(frames.resetCode(frames.resetStatus(word))).toBe(word);
    },
  );

  it('says cancel for no-error, which the wire has not, and internal-error for overflow', () => {
    expect(frames.resetCode(frames.resetStatus('no-error'))).toBe('cancel');
    expect(frames.resetCode(frames.resetStatus('overflow'))).toBe('internal-error');
  });

  it('passes numbers on as they are, except 0, on which Go ends the connection', () => {
    expect(frames.resetStatus(4711)).toBe(4711);
    expect(frames.resetCode(4711)).toBe(4711);
    expect(frames.resetStatus(0)).toBe(frames.RST_CANCEL);
  });
});
