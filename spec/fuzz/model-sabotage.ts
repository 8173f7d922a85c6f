import type { Sabotage } from './simulated-link.js';

const headerBytes = 8;
const prefaceBytes = 8;
const typeOfData = 4;
const flagEnd = 1;

interface Frame {
  header: Uint8Array;
  payload: Uint8Array;
}

/** What one DATA frame becomes. */
type Damage = (frame: Frame) => Frame[];

function resized({ header, payload: { byteLength } }: Frame, payload: Uint8Array): Frame {
  const changed = header.slice();
  changed[1] = payload.byteLength >>> 16;
  changed[2] = payload.byteLength >>> 8;
  changed[3] = payload.byteLength;
  return { header: byteLength === payload.byteLength ? header : changed, payload };
}

/** What could be done to data without breaking a frame; the last of them ends the half a byte early. */
export const damages: Readonly<Record<'flips' | 'drops' | 'doubles' | 'loses' | 'ends', Damage>> = {
  flips: (frame) => [
    resized(
      frame,
      frame.payload.map((byte, at) => (at === 0 ? byte ^ 1 : byte)),
    ),
  ],
  drops: (frame) => [resized(frame, frame.payload.subarray(1))],
  doubles: (frame) => [
    resized(frame, Uint8Array.from([frame.payload[0] as number, ...frame.payload.subarray(0, -1)])),
  ],
  loses: () => [],
  ends: ({ header, payload }) => {
    const changed = header.slice();
    changed[0] = (changed[0] as number) | flagEnd;
    return [resized({ header: changed, payload }, payload.subarray(0, -1))];
  },
};

/**
 * Damages the first DATA frame of two bytes or more that does not end the half. Every batch that an engine writes has whole frames, and the first
 * one begins with the preface.
 */
export function damageOne(damage: Damage, onDamage: () => void): Sabotage {
  let isFirst = true;
  let isDone = false;
  return (batch) => {
    const parts: Uint8Array[] = [];
    let at = isFirst ? prefaceBytes : 0;
    parts.push(batch.subarray(0, at));
    isFirst = false;
    while (at < batch.byteLength) {
      const header = batch.subarray(at, at + headerBytes);
      const length = ((header[1] as number) << 16) | ((header[2] as number) << 8) | (header[3] as number);
      const payload = batch.subarray(at + headerBytes, at + headerBytes + length);
      at += headerBytes + length;
      let frames: Frame[] = [{ header, payload }];
      if (!isDone && header[0] === typeOfData << 3 && length > 1) {
        isDone = true;
        onDamage();
        frames = damage({ header, payload });
      }
      for (const frame of frames) parts.push(frame.header, frame.payload);
    }
    return new Uint8Array(Buffer.concat(parts));
  };
}
