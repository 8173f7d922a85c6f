import { StreamError } from '../../lib/core/errors.js';
import { defaultFrameLimits, type FrameLimits } from '../../lib/http2/codec.js';
import { errorCode, frameFlag, frameType } from '../../lib/http2/frames.js';
import {
  frame,
  header,
  hex,
  join,
  latin1,
  type Outcome,
  parseChunks,
  preface,
  settings,
} from '../http2/support.js';
import { fuzzTest, type Random } from '../support/random.js';
import { expectQuick } from './http2-time.js';

const types = [...Object.values(frameType), 0x0a, 0x42, 0xff];
const streamIds = [0, 1, 1, 1, 2, 3, 0x7fff_ffff, 0xffff_ffff];
const rightLengths = [0, 0, 1, 4, 4, 5, 6, 8, 8, 12];

/** Small limits, so that small inputs reach them. */
const limits: FrameLimits = {
  ...defaultFrameLimits,
  maxHeaderBlockBytes: 200,
  maxContinuations: 3,
  maxSettings: 3,
};

/** Frames that make sense one after the other, to be damaged. */
const sample = join(
  frame(frameType.SETTINGS, frameFlag.ACK, 0),
  frame(frameType.HEADERS, frameFlag.END_HEADERS, 1, latin1('block')),
  frame(frameType.DATA, frameFlag.PADDED, 1, join(hex('03'), latin1('data'), hex('000000'))),
  frame(
    frameType.HEADERS,
    frameFlag.PRIORITY | frameFlag.PADDED,
    3,
    join(hex('01 80000001 10'), latin1('two'), hex('00')),
  ),
  frame(frameType.CONTINUATION, frameFlag.END_HEADERS, 3, latin1('three')),
  frame(frameType.SETTINGS, 0, 0, hex('0004 00100000 0005 00004000')),
  frame(frameType.WINDOW_UPDATE, 0, 0, hex('00000100')),
  frame(frameType.PRIORITY, 0, 3, hex('00000001 10')),
  frame(frameType.PING, 0, 0, latin1('12345678')),
  frame(0x42, 0, 3, latin1('unknown')),
  frame(frameType.RST_STREAM, 0, 3, hex('00000008')),
  frame(frameType.DATA, frameFlag.END_STREAM, 1, latin1('end')),
  frame(frameType.GOAWAY, 0, 0, hex('00000003 00000000')),
);

function someFrame(random: Random): Uint8Array {
  const length = random.oneIn(4) ? random.integer(0, 60) : random.pick(rightLengths);
  const flags = random.oneIn(3) ? random.integer(0, 255) : random.pick([0, 1, 4, 5, 8, 0xc, 0x2c]);
  const type = random.pick(types);
  if (random.oneIn(30)) return header(random.integer(0, 2 ** 24 - 1), type, flags, random.pick(streamIds));
  return frame(
    type,
    flags,
    random.pick(streamIds),
    random.bytes(length).map((byte) => byte & 0x83),
  );
}

/** A field block that goes on for a while. */
function someBlock(random: Random): Uint8Array {
  const parts = [
    frame(frameType.HEADERS, random.pick([0, 1, 8, 0x20]), 1, new Uint8Array(random.integer(5, 90))),
  ];
  const count = random.integer(0, 4);
  for (let at = 0; at < count; at++) {
    parts.push(
      frame(frameType.CONTINUATION, random.oneIn(3) ? 4 : 0, 1, random.bytes(random.integer(0, 70))),
    );
  }
  return join(...parts);
}

function damaged(random: Random): Uint8Array {
  let bytes: Uint8Array = sample.slice();
  const count = random.integer(0, 4);
  for (let round = 0; round < count; round++) {
    const at = random.integer(0, bytes.length - 1);
    const length = random.integer(1, 20);
    const kind = random.integer(0, 3);
    if (kind === 0) bytes[at] = random.integer(0, 255);
    else if (kind === 1) bytes = join(bytes.subarray(0, at), bytes.subarray(at + length));
    else if (kind === 2) bytes = join(bytes.subarray(0, at), random.bytes(length), bytes.subarray(at));
    else bytes = join(bytes.subarray(0, at), bytes.subarray(Math.max(0, at - 9 * length)));
  }
  return bytes;
}

function someInput(random: Random): Uint8Array {
  const kind = random.integer(0, 5);
  if (kind === 0) return random.bytes(random.integer(0, 120));
  if (kind <= 2) return damaged(random);
  const frames: Uint8Array[] = [];
  const count = random.integer(1, 12);
  for (let at = 0; at < count; at++) frames.push(random.oneIn(4) ? someBlock(random) : someFrame(random));
  return join(...frames);
}

function pieces(random: Random, input: Uint8Array): Uint8Array[] {
  const result: Uint8Array[] = [];
  for (let at = 0; at < input.length; ) {
    const end = at + (random.oneIn(3) ? random.integer(1, 40) : random.integer(1, 4));
    result.push(input.subarray(at, end));
    at = end;
  }
  return result;
}

function summary({ events, unfinished, error }: Outcome): string {
  return JSON.stringify([events, unfinished, error?.wireCode, error?.streamId, error?.message]);
}

describe('HTTP/2 frames from a hostile peer', () => {
  fuzzTest(
    'are refused with a StreamError, bounded, quick, and the same however they are cut',
    12_000,
    (random) => {
      const role = random.pick(['client', 'server'] as const);
      const start = random.oneIn(20) ? hex('') : join(role === 'server' ? preface : hex(''), settings);
      const input = join(start, someInput(random));
      const chosen = random.oneIn(2) ? limits : defaultFrameLimits;

      const whole = expectQuick(() => parseChunks([input], role, chosen));
      const { error, recorder } = whole;
      if (error !== undefined) {
        if (!(error instanceof StreamError)) throw error;
        const { wireCode = errorCode.NO_ERROR, streamId } = error;
        if (wireCode === errorCode.NO_ERROR || streamId !== undefined)
          throw new Error(`${wireCode}, ${streamId}`);
      }
      if (recorder.byteLength > input.length)
        throw new Error(`${recorder.byteLength} bytes of ${input.length}`);
      if (recorder.frames.length > input.length / 9) throw new Error(`${recorder.frames.length} frames`);

      const cut = parseChunks(pieces(random, input), role, chosen, random.integer(1, 4));
      if (summary(cut) !== summary(whole)) throw new Error(`cut: ${summary(cut)}\nwhole: ${summary(whole)}`);
    },
  );
});
