import { utf8 } from '../core/bytes.js';

/**
 * What fields may be (RFC 9113 §8.2, §8.3), for both directions: what comes in wrong is a stream error, what an
 * application gives wrong throws before it reaches the encoder. Lists are names and values in turn.
 *
 * Each `…Problem` says in words what is wrong, or gives undefined. All by table: no RegExp on a peer's text.
 */

/** RFC 9110 §5.6.2: what a token has. */
const TOKEN = 1;
/** The same without capital letters (RFC 9113 §8.2.1). */
const NAME = 2;
const DIGIT = 4;

const kinds = new Uint8Array(256);
for (const character of "!#$%&'*+-.^_`|~abcdefghijklmnopqrstuvwxyz")
  kinds[character.charCodeAt(0)] = TOKEN | NAME;
for (const character of 'ABCDEFGHIJKLMNOPQRSTUVWXYZ') kinds[character.charCodeAt(0)] = TOKEN;
for (const character of '0123456789') kinds[character.charCodeAt(0)] = TOKEN | NAME | DIGIT;

/** These are about one hop of HTTP/1.1 (RFC 9113 §8.2.2). */
const connectionSpecific: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/** How much of a peer's text a message repeats. */
const MAX_QUOTED = 64;

const COLON = 0x3a;

function allOf(text: string, kind: number): boolean {
  for (let at = 0; at < text.length; at++) {
    if (((kinds[text.charCodeAt(at)] as number) & kind) === 0) return false;
  }
  return text.length > 0;
}

/** No blank, control character or delete in it. */
function isSolid(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code <= 0x20 || code === 0x7f) return false;
  }
  return text.length > 0;
}

function quoted(text: string): string {
  return JSON.stringify(text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text);
}

/** RFC 9113 §8.2.1, and stricter: a name is a token of RFC 9110 without capital letters. Not for pseudo-headers. */
export function nameProblem(name: string): string | undefined {
  return allOf(name, NAME) ? undefined : `${quoted(name)} cannot be a header's name`;
}

/** RFC 9113 §8.2.1: no NUL, CR or LF, no blank at either end; and one byte per character. */
export function valueProblem(name: string, value: string): string | undefined {
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at);
    if (code === 0 || code === 10 || code === 13)
      return `the value of ${quoted(name)} has a NUL or a line break`;
    if (code > 0xff) return `the value of ${quoted(name)} has characters above U+00FF`;
  }
  if (isBlank(value.charCodeAt(0)) || isBlank(value.charCodeAt(value.length - 1))) {
    return `the value of ${quoted(name)} begins or ends with a blank`;
  }
  return undefined;
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** The rules for one field that is no pseudo-header. */
export function fieldProblem(name: string, value: string): string | undefined {
  const problem = nameProblem(name) ?? valueProblem(name, value);
  if (problem !== undefined) return problem;
  if (connectionSpecific.has(name)) return `${quoted(name)} has no place in HTTP/2`;
  // RFC 9113 §8.2.2
  if (name === 'te' && value.toLowerCase() !== 'trailers') return `"te" can only be "trailers"`;
  return undefined;
}

/** What a server can take. */
export interface RequestRules {
  /** We announced SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 §3). Default false. */
  readonly extendedConnect?: boolean;
}

type RequestPseudoHeaders = {
  ':method': string | undefined;
  ':scheme': string | undefined;
  ':authority': string | undefined;
  ':path': string | undefined;
  ':protocol': string | undefined;
};

/** RFC 9113 §8.3.1, §8.5 */
export function requestProblem(fields: readonly string[], rules: RequestRules = {}): string | undefined {
  const pseudo: RequestPseudoHeaders = {
    ':method': undefined,
    ':scheme': undefined,
    ':authority': undefined,
    ':path': undefined,
    ':protocol': undefined,
  };
  return pseudoProblem(fields, pseudo) ?? requestLineProblem(pseudo, rules) ?? regularProblem(fields);
}

/** RFC 9113 §8.3.2; 101 does not exist (§8.6). */
export function responseProblem(fields: readonly string[]): string | undefined {
  const pseudo: { ':status': string | undefined } = { ':status': undefined };
  const problem = pseudoProblem(fields, pseudo);
  if (problem !== undefined) return problem;
  const status = pseudo[':status'];
  if (status === undefined) return 'there is no :status';
  if (status.length !== 3 || !allOf(status, DIGIT) || status < '100' || status === '101') {
    return `${quoted(status)} cannot be a :status`;
  }
  return regularProblem(fields);
}

/** RFC 9113 §8.1: trailers have no pseudo-headers. */
export function trailersProblem(fields: readonly string[]): string | undefined {
  return fields.length > 0 && isPseudo(fields[0] as string)
    ? `trailers cannot have ${quoted(fields[0] as string)}`
    : regularProblem(fields);
}

function isPseudo(name: string): boolean {
  return name.charCodeAt(0) === COLON;
}

/** Reads the pseudo-headers at the front, each one that is known and once. */
function pseudoProblem(
  fields: readonly string[],
  known: { [name: `:${string}`]: string | undefined },
): string | undefined {
  for (let at = 0; at < fields.length && isPseudo(fields[at] as string); at += 2) {
    const name = fields[at] as `:${string}`;
    const value = fields[at + 1] as string;
    // What a peer names is only looked up, and no inherited property begins with a colon.
    if (!(name in known)) return `${quoted(name)} is not a pseudo-header that belongs here`;
    if (known[name] !== undefined) return `there are two ${name}`;
    const problem = valueProblem(name, value);
    if (problem !== undefined) return problem;
    known[name] = value;
  }
  return undefined;
}

function requestLineProblem(pseudo: RequestPseudoHeaders, rules: RequestRules): string | undefined {
  const {
    ':method': method,
    ':scheme': scheme,
    ':authority': authority,
    ':path': path,
    ':protocol': protocol,
  } = pseudo;
  if (method === undefined) return 'there is no :method';
  if (!allOf(method, TOKEN)) return `${quoted(method)} cannot be a :method`;
  if (authority !== undefined && authority !== '' && (!isSolid(authority) || authority.includes('@'))) {
    return `${quoted(authority)} cannot be an :authority`;
  }
  if (protocol !== undefined) {
    if (method !== 'CONNECT') return 'only CONNECT can have a :protocol';
    if (rules.extendedConnect !== true) return 'CONNECT with a :protocol was not offered';
    if (!allOf(protocol, TOKEN)) return `${quoted(protocol)} cannot be a :protocol`;
  }
  if (method === 'CONNECT') {
    if (authority === undefined || authority === '') return 'CONNECT needs an :authority';
    if (protocol === undefined) {
      return scheme === undefined && path === undefined ? undefined : 'CONNECT has no :scheme and no :path';
    }
  }
  if (scheme === undefined) return 'there is no :scheme';
  if (!allOf(scheme, TOKEN)) return `${quoted(scheme)} cannot be a :scheme`;
  if (path === undefined) return 'there is no :path';
  const web = scheme === 'http' || scheme === 'https';
  const rooted = path.startsWith('/') || (path === '*' && method === 'OPTIONS');
  return isSolid(path) && (rooted || !web) ? undefined : `${quoted(path)} cannot be a :path`;
}

/** The fields behind the pseudo-headers; those among them have come too late, or are unknown. */
function regularProblem(fields: readonly string[]): string | undefined {
  let length: string | undefined;
  let at = 0;
  while (at < fields.length && isPseudo(fields[at] as string)) at += 2;
  for (; at < fields.length; at += 2) {
    const name = fields[at] as string;
    const value = fields[at + 1] as string;
    if (isPseudo(name)) return `${quoted(name)} comes after a regular header`;
    const problem = fieldProblem(name, value);
    if (problem !== undefined) return problem;
    if (name !== 'content-length') continue;
    // 15 digits are an exact number; no body is longer.
    if (!allOf(value, DIGIT) || value.length > 15) return `${quoted(value)} cannot be a content-length`;
    if (length !== undefined && value !== length) return 'there are two content-length that differ';
    length = value;
  }
  return undefined;
}

/** What the list says about the sum of the DATA (RFC 9113 §8.1.1). The list must have been found in order. */
export function contentLength(fields: readonly string[]): number | undefined {
  for (let at = 0; at < fields.length; at += 2) {
    if (fields[at] === 'content-length') return Number(fields[at + 1]);
  }
  return undefined;
}

/** RFC 9113 §8.2.3: a cookie that was sent in crumbs is one value again, where the first crumb was. */
export function joinCookies(fields: readonly string[]): readonly string[] {
  let first = 0;
  let crumbs: string[] | undefined;
  let joined: string[] | undefined;
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] as string;
    const value = fields[at + 1] as string;
    if (name !== 'cookie') {
      joined?.push(name, value);
    } else if (crumbs === undefined) {
      first = at;
      crumbs = [value];
    } else {
      joined ??= fields.slice(0, at);
      crumbs.push(value);
    }
  }
  if (joined === undefined || crumbs === undefined) return fields;
  joined[first + 1] = crumbs.join('; ');
  return joined;
}

/** A text that no field can carry, as the value of a field whose name ends in `-bin`: UTF-8 in base64, unpadded. */
export function toBinaryValue(text: string): string {
  let bytes = '';
  for (const byte of utf8.encode(text)) bytes += String.fromCharCode(byte);
  return btoa(bytes).replaceAll('=', '');
}

/** The text in the value of a `-bin` field, padded or not; undefined if that is no base64 or no UTF-8. */
export function fromBinaryValue(value: string): string | undefined {
  try {
    const bytes = Uint8Array.from(atob(value), (character) => character.charCodeAt(0));
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
