import type { HeadersInit, StreamHeaders } from '../api.js';
import { StreamError, violation } from './errors.js';
import type { LimitValues } from './limits.js';

/** RFC 9110 §5.6.2 `token`, lower-case, with the leading colon of pseudo-headers. By table: no RegExp on peer text. */
const allowedInName = new Uint8Array(128);
for (const character of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") {
  allowedInName[character.charCodeAt(0)] = 1;
}

function isName(name: string): boolean {
  const start = name.charCodeAt(0) === 0x3a ? 1 : 0;
  if (name.length === start) return false;
  for (let at = start; at < name.length; at++) {
    if (allowedInName[name.charCodeAt(at)] !== 1) return false;
  }
  return true;
}

/** A command of SSH may have several lines; anywhere else a line break could begin another header. */
function isValue(name: string, value: string): boolean {
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at);
    if (code === 0 || ((code === 10 || code === 13) && name !== ':command')) return false;
  }
  return true;
}

/** A list of names and values in turn, names in lower case: compact, since most streams have few. */
class HeaderList implements StreamHeaders {
  readonly #flat: readonly string[];

  constructor(flat: readonly string[]) {
    this.#flat = flat;
  }

  get(name: string): string | undefined {
    const wanted = name.toLowerCase();
    for (let at = 0; at < this.#flat.length; at += 2) {
      if (this.#flat[at] === wanted) return this.#flat[at + 1];
    }
    return undefined;
  }

  getAll(name: string): string[] {
    const wanted = name.toLowerCase();
    return this.#flat.filter((_, at) => at % 2 === 1 && this.#flat[at - 1] === wanted);
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  *[Symbol.iterator](): IterableIterator<[string, string]> {
    for (let at = 0; at < this.#flat.length; at += 2) {
      yield [this.#flat[at] as string, this.#flat[at + 1] as string];
    }
  }

  toJSON(): Record<string, string | string[]> {
    const result: Record<string, string | string[]> = Object.create(null);
    for (const [name, value] of this) {
      const all = this.getAll(name);
      result[name] = all.length > 1 ? all : value;
    }
    return result;
  }
}

/** No headers at all; one object for every stream that has none. */
export const noHeaders: StreamHeaders = new HeaderList([]);

/** Makes headers of what an application gives. A malformed name or value is its mistake, and throws. */
export function toHeaders(init: HeadersInit | undefined): StreamHeaders {
  if (init === undefined) return noHeaders;
  if (init instanceof HeaderList) return init;
  const flat: string[] = [];
  const add = (name: unknown, value: unknown): void => {
    if (typeof name !== 'string' || typeof value !== 'string') {
      throw new TypeError(`header "${String(name)}" needs a string as its value, not ${typeof value}`);
    }
    const lower = name.toLowerCase();
    if (!isName(lower)) throw new TypeError(`"${name}" cannot be a header's name: use letters, digits and -`);
    if (!isValue(lower, value))
      throw new TypeError(`the value of header "${name}" has a NUL or a line break in it`);
    flat.push(lower, value);
  };
  if (Symbol.iterator in init) {
    for (const pair of init as Iterable<readonly [string, string]>) add(pair[0], pair[1]);
  } else {
    for (const [name, value] of Object.entries(init)) {
      for (const one of Array.isArray(value) ? value : [value]) add(name, one);
    }
  }
  return flat.length === 0 ? noHeaders : new HeaderList(flat);
}

/** Throws if headers are more than a frame, and a peer with our limits, would take: the caller's mistake. */
export function checkHeaders(
  headers: StreamHeaders,
  limits: LimitValues,
  wireBytes: (headers: StreamHeaders) => number,
): StreamHeaders {
  if (headers === noHeaders) return headers;
  let count = 0;
  let length = 0;
  for (const [name, value] of headers) {
    count++;
    length += name.length + value.length;
    if (name.length > limits.maxHeaderNameBytes || value.length > limits.maxHeaderValueBytes) {
      throw new RangeError(`header "${name.slice(0, 40)}" is too long: ${value.length} characters`);
    }
  }
  if (count > limits.maxHeaders)
    throw new RangeError(`${count} headers are too many: ${limits.maxHeaders} is the limit`);
  // Counting the bytes means encoding them, which only long ones need.
  const bytes = length * 4 + count * 8 > limits.maxHeaderBlockBytes ? wireBytes(headers) : 0;
  if (bytes > limits.maxHeaderBlockBytes) {
    throw new RangeError(
      `headers of ${bytes} bytes are too long: ${limits.maxHeaderBlockBytes} is the limit`,
    );
  }
  return headers;
}

/**
 * Makes headers of what a peer sent: names and values in turn, whose lengths have been checked already. Gives the error
 * that the stream is to be refused with, if the peer broke the rules.
 */
export function fromPeer(flat: readonly string[], limits: LimitValues): StreamHeaders | StreamError {
  if (flat.length === 0) return noHeaders;
  const count = flat.length / 2;
  if (count > limits.maxHeaders) return tooMuch(`${count} headers`, limits.maxHeaders);
  for (let at = 0; at < flat.length; at += 2) {
    if (!isName(flat[at] as string) || !isValue(flat[at] as string, flat[at + 1] as string)) {
      return violation('the peer sent a header with a forbidden character');
    }
  }
  return new HeaderList(flat);
}

/** The peer sent more than it may. */
export function tooMuch(what: string, limit: number): StreamError {
  return new StreamError('limit', `the peer sent ${what}, and ${limit} are allowed`, { remote: true });
}
