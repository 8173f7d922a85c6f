import { utf8 } from '../core/bytes.js';
import { noHeaders } from '../core/headers.js';
import {
  ROLE_CLIENT,
  ROLE_SERVER,
  SETTING_CONNECTION_WINDOW,
  SETTING_INITIAL_WINDOW,
  SETTING_MAX_FRAME,
  SETTING_RESERVE,
  SETTING_ROLE,
  type Settings,
} from './frames.js';

/** Writes the header of a frame at `at`; gives where its payload goes. */
export function writeHeader(
  target: Uint8Array,
  at: number,
  type: number,
  flags: number,
  id: number,
  length: number,
): number {
  return writeUint32(target, writeUint32(target, at, (((type << 3) | flags) << 24) | length), id);
}

export function writeUint32(target: Uint8Array, at: number, value: number): number {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
  return at + 4;
}

const noBlock: Uint8Array = new Uint8Array(2);

/** A header block as it is on the wire, its length included. */
export function encodeBlock(headers: Iterable<readonly [string, string]>): Uint8Array {
  if (headers === noHeaders) return noBlock;
  const texts: Uint8Array[] = [];
  let length = 2;
  for (const [name, value] of headers) {
    for (const text of [name, value]) {
      const bytes = utf8.encode(text);
      texts.push(bytes);
      length += 2 + bytes.length;
    }
  }
  if (texts.length === 0) return noBlock;
  const block = new Uint8Array(length);
  let at = writeUint16(block, 0, length - 2);
  for (const bytes of texts) {
    at = writeUint16(block, at, bytes.length);
    block.set(bytes, at);
    at += bytes.length;
  }
  return block;
}

/** The text of a reason, cut to what a string can have and to what a reader wants. */
export function encodeReason(reason: string): Uint8Array {
  const bytes = utf8.encode(reason.length > 200 ? reason.slice(0, 200) : reason);
  const result = new Uint8Array(2 + bytes.length);
  result.set(bytes, writeUint16(result, 0, bytes.length));
  return result;
}

export function encodeSettings(settings: Settings): Uint8Array {
  const entries = [
    [SETTING_ROLE, settings.role === 'client' ? ROLE_CLIENT : ROLE_SERVER],
    [SETTING_INITIAL_WINDOW, settings.initialWindow],
    [SETTING_CONNECTION_WINDOW, settings.connectionWindow],
    [SETTING_MAX_FRAME, settings.maxFrame],
    ...(settings.reserve ? [[SETTING_RESERVE, settings.reserve] as const] : []),
  ] as const;
  const payload = new Uint8Array(entries.length * 6);
  let at = 0;
  for (const [id, value] of entries) at = writeUint32(payload, writeUint16(payload, at, id), value);
  return payload;
}

function writeUint16(target: Uint8Array, at: number, value: number): number {
  target[at] = value >>> 8;
  target[at + 1] = value;
  return at + 2;
}
