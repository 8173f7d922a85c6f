import type { StreamHeaders } from '../api.js';
import { StreamError } from '../core/errors.js';
import { toHeaders } from '../core/headers.js';
import { FLAG_UNIDIRECTIONAL, MAX_STREAM_ID } from './frames.js';

/** DATA has no type on the wire; this one is for who tells of frames. */
export const FRAME_DATA = 0;

/**
 * What SYN_STREAM has beside its headers, as two headers that exist on this side of the wire only: both when a stream
 * is opened with them, and when the peer has. `:associated-to` is the id of another stream; `:unidirectional` (with
 * any value) says that only the opener sends, and that nobody answers.
 */
const associated = ':associated-to';
const oneWay = ':unidirectional';

/** Whether only the opener of the stream sends. */
export function isOneWay(headers: StreamHeaders): boolean {
  return headers.has(oneWay);
}

export function associatedTo(headers: StreamHeaders): number {
  const id = Number(headers.get(associated) ?? 0);
  return Number.isInteger(id) && id > 0 && id <= MAX_STREAM_ID ? id : 0;
}

/** What goes into the header block. */
export function withoutOptions(headers: StreamHeaders): StreamHeaders {
  if (!headers.has(oneWay) && !headers.has(associated)) return headers;
  return toHeaders([...headers].filter(([name]) => name !== oneWay && name !== associated));
}

/** The peer's block with what its SYN_STREAM says, and without headers that only look like that. */
export function withOptions(
  flat: string[] | StreamError,
  associatedId: number,
  flags: number,
): string[] | StreamError {
  if (StreamError.is(flat)) return flat;
  const forged = flat.includes(oneWay) || flat.includes(associated);
  const result = forged ? withoutForged(flat) : flat;
  if (associatedId !== 0) result.push(associated, String(associatedId));
  if ((flags & FLAG_UNIDIRECTIONAL) !== 0) result.push(oneWay, '1');
  return result;
}

function withoutForged(flat: readonly string[]): string[] {
  const isForged = (name: string | undefined): boolean => name === oneWay || name === associated;
  return flat.filter((_, at) => !isForged(flat[at - (at % 2)]));
}
