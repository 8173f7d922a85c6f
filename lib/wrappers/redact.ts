import type { StreamHeaders } from '../api.js';

/** Stands where a secret was. */
export const redacted = '[redacted]';

/** What wrappers that show headers (`debug`, `trace`, the dashboard) leave out. */
export interface RedactOptions {
  /**
   * Names of headers whose values are hidden beside those that look secret by themselves (`isSecretName`). `false` hides
   * nothing: for a log that nobody else reads.
   */
  redact?: false | readonly string[];
}

/** Hides what is secret in a header's value, given its lower-case name, or in any other text, without a name. */
export type Redactor = (value: string, name?: string) => string;

const secretName =
  /(^|-)auth(-|$)|authori[sz]|authenticat|cookie|token|secret|passw|passphrase|pwd|credential|jwt|session|signature|csrf|xsrf|(api|access|private|encryption|sec)-?key/;

/**
 * Whether a header, or a parameter of a URL, is likely to carry a secret by its name: `authorization`, `cookie`,
 * `set-cookie`, `x-api-key`, and whatever speaks of tokens, passwords, credentials, sessions, signatures or keys.
 */
export function isSecretName(name: string): boolean {
  return secretName.test(name.toLowerCase().replaceAll('_', '-'));
}

/** `Bearer x`, wherever it stands. */
const scheme = /\b(bearer|basic|digest|negotiate)\s+[\w.~+/=-]+/gi;
/** `scheme://user:password@host`. */
const userInfo = /(\w:\/\/)[^\s/@]{1,512}@/g;
/** `?name=value&name=value`. */
const parameter = /([?&;]([^=&;?#\s]{1,128})=)[^&;#\s]*/g;

/** Hides what is secret wherever it stands in a text: credentials after `Bearer`, in a URL, or as a parameter of one. */
function redactText(text: string, isSecret: (name: string) => boolean): string {
  // Each of them needs one of these.
  if (!/[=@\s]/.test(text)) return text;
  return text
    .replace(scheme, `$1 ${redacted}`)
    .replace(userInfo, `$1${redacted}@`)
    .replace(parameter, (whole, start: string, name: string) => (isSecret(name) ? start + redacted : whole));
}

/** The redactor for these options; one list of names for every wrapper, so that no secret slips out by another door. */
export function redactor(options: RedactOptions = {}): Redactor {
  const { redact = [] } = options;
  if (redact === false) return (value) => value;
  const own = new Set(redact.map((name) => name.toLowerCase()));
  // Names repeat from stream to stream, and are many only if a peer makes them up.
  const known = new Map<string, boolean>();
  const isSecret = (name: string): boolean => {
    let answer = known.get(name);
    if (answer === undefined) {
      answer = own.has(name.toLowerCase()) || isSecretName(name);
      if (known.size < mostKnownNames) known.set(name, answer);
    }
    return answer;
  };
  return (value, name) => (name !== undefined && isSecret(name) ? redacted : redactText(value, isSecret));
}

const mostKnownNames = 256;

/** Names and values in their order, without secrets. */
export function redactHeaders(
  headers: StreamHeaders,
  redact: Redactor = redactor(),
): [name: string, value: string][] {
  const result: [string, string][] = [];
  for (const [name, value] of headers) result.push([name, redact(value, name)]);
  return result;
}
