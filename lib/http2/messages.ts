/** What a stream's headers are as the fields of a request or a response, and what those may not be. */
import type { StreamHeaders } from '../api.js';
import { noHeaders } from '../core/headers.js';
import type { HeadersUse, Reason } from '../core/wire.js';
import { requestProblem, responseProblem, trailersProblem } from './fields.js';
import { statusOf } from './reasons.js';

/** The pseudo-headers of a new stream, where it has none of its own. */
export interface Target {
  readonly scheme: string;
  readonly authority: string;
  readonly path: string;
}

const requestPseudo = [':method', ':scheme', ':authority', ':path', ':protocol'] as const;
const accepted: readonly string[] = [':status', '200'];

/** `priority: u=` (RFC 9218 §4.1), left out where it is the default. */
const defaultUrgency = 3;

/** A request's fields: pseudo-headers first, those of the application before the defaults. */
export function requestFields(headers: StreamHeaders, target: Target, urgency: number): string[] {
  const given = headers === noHeaders ? undefined : headers;
  const method = given?.get(':method') ?? 'POST';
  // RFC 9113 §8.5: CONNECT has only an :authority, unless it is an extended one (RFC 8441 §4).
  const whole = method !== 'CONNECT' || given?.has(':protocol') === true;
  const values: Record<(typeof requestPseudo)[number], string | undefined> = {
    ':method': method,
    ':scheme': given?.get(':scheme') ?? (whole ? target.scheme : undefined),
    ':authority': given?.get(':authority') ?? target.authority,
    ':path': given?.get(':path') ?? (whole ? target.path : undefined),
    ':protocol': given?.get(':protocol'),
  };
  const fields: string[] = [];
  for (const name of requestPseudo) {
    const value = values[name];
    if (value !== undefined) fields.push(name, value);
  }
  if (given !== undefined) addRegular(fields, given);
  if (urgency !== defaultUrgency && given?.has('priority') !== true) fields.push('priority', `u=${urgency}`);
  return fields;
}

/** A response's fields; `:status` is 200 unless the application says otherwise. */
export function responseFields(headers: StreamHeaders): readonly string[] {
  if (headers === noHeaders) return accepted;
  const fields = [':status', headers.get(':status') ?? '200'];
  addRegular(fields, headers);
  return fields;
}

/** The fields of a response that refuses. */
export function refusalFields(headers: StreamHeaders, code: Reason): string[] {
  const fields = [':status', headers.get(':status') ?? statusOf(code)];
  addRegular(fields, headers);
  return fields;
}

export function trailerFields(headers: StreamHeaders): string[] {
  const fields: string[] = [];
  addRegular(fields, headers);
  return fields;
}

/** Pseudo-headers of other protocols, which a proxy may have passed on, are left out. */
function addRegular(fields: string[], headers: StreamHeaders): void {
  for (const [name, value] of headers) if (!name.startsWith(':')) fields.push(name, value);
}

/** Throws for headers that HTTP/2 cannot carry, in words for whoever gave them. */
export function checkHeaders(headers: StreamHeaders, use: HeadersUse, target: Target): void {
  const problem = problemOf(headers, use, target);
  if (problem !== undefined) {
    throw new TypeError(`these headers cannot go over HTTP/2: ${problem}`);
  }
}

function problemOf(headers: StreamHeaders, use: HeadersUse, target: Target): string | undefined {
  switch (use) {
    case 'open':
      return requestProblem(requestFields(headers, target, defaultUrgency), { extendedConnect: true });
    case 'trailers':
      return trailersProblem(trailerFields(headers));
    default: {
      const least = use === 'accept' ? 200 : 400;
      const status = Number(headers.get(':status') ?? least);
      if (status < least) return `a :status of ${status} cannot ${use} a stream`;
      const fields = use === 'accept' ? responseFields(headers) : refusalFields(headers, 'refused');
      return responseProblem(fields);
    }
  }
}

/** The urgency that a request asks for (RFC 9218 §4.1); anything unclear is the default. */
export function urgencyOf(fields: readonly string[]): number {
  for (let at = 0; at < fields.length; at += 2) {
    if (fields[at] !== 'priority') continue;
    const value = fields[at + 1] as string;
    const digit = value.startsWith('u=') ? value.charCodeAt(2) - 0x30 : defaultUrgency;
    return digit >= 0 && digit <= 7 ? digit : defaultUrgency;
  }
  return defaultUrgency;
}
