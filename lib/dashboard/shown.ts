import type { Redactor } from '../wrappers/redact.js';

/** Shown of one text, and of all headers of a stream, in characters: peers may send as much as they like of them. */
const mostOfText = 256;
export const mostOfStream = 4096;
/** What a header costs beside its characters. */
const ofHeader = 8;

export type Headers = Iterable<readonly [name: string, value: string]>;

/** What a stream's row shows of what it was given. */
export interface Shown {
  readonly label: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** Hides secrets first, since a part of one may not look like it, and then says how much it leaves out. */
export function shownOf(label: string, headers: Headers, redact: Redactor): Shown {
  const shown: [string, string][] = [];
  let size = 0;
  let omitted = 0;
  for (const [name, value] of headers) {
    if (size >= mostOfStream) {
      omitted++;
      continue;
    }
    const header: [string, string] = [cut(name), cut(redact(value, name))];
    size += sizeOfHeader(header);
    shown.push(header);
  }
  if (omitted > 0) shown.push(['…', `${omitted} more`]);
  return { label: cut(redact(label)), headers: shown };
}

export function cut(text: string): string {
  return text.length <= mostOfText ? text : `${text.slice(0, mostOfText)}… ${text.length - mostOfText} more`;
}

/** In characters. */
export function sizeOf(label: string, headers: Headers): number {
  let size = label.length;
  for (const header of headers) size += sizeOfHeader(header);
  return size;
}

function sizeOfHeader([name, value]: readonly [string, string]): number {
  return name.length + value.length + ofHeader;
}
