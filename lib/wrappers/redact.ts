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
  /(^|-)auth(-|$)|authori[sz]|authenticat|cookie|token|secret|passw|passphrase|passcode|pwd|credential|jwt|session|signature|csrf|xsrf|(api|access|private|encryption|sec)-?key|(^|-)(sig|pass|sid|otp)(-|$)/;

/** Azure has its secrets in `ocp-apim-subscription-key` and `x-functions-key`, Datadog in `dd-application-key`. */
const keyName = /(^|-)key$/;
/** Keys that open nothing. */
const plainKeyName =
  /(^|-)(websocket|idempotency|surrogate|cache|public|primary|foreign|partition|routing|row|sort|object)-key$/;

/**
 * Whether a header, or a parameter of a URL, is likely to carry a secret by its name: `authorization`, `cookie`,
 * `set-cookie`, `x-api-key`, whatever speaks of tokens, passwords, credentials, sessions or signatures, and whatever is
 * called a key, but for the likes of `sec-websocket-key` and `idempotency-key`. `accountKey` is one as `account-key` is.
 */
export function isSecretName(name: string): boolean {
  const plain = plainOf(name);
  const words = plainOf(name.replace(wordEnd, '$&-'));
  if (secretName.test(plain) || secretName.test(words)) return true;
  return keyName.test(words) && !plainKeyName.test(words);
}

/** Where a word ends within `subscriptionKey` and `DBKey`. */
const wordEnd = /[a-z\d](?=[A-Z])|[A-Z](?=[A-Z][a-z])/g;

function plainOf(name: string): string {
  return name.toLowerCase().replace(/[_.]/g, '-');
}

/** `Bearer x`, wherever it stands. */
const scheme = /\b(bearer|basic|digest|negotiate)\s+[\w.~+/=-]+/gi;
/** `Digest username="x", response="y"`: all that follows belongs to it. */
const digest = /\b(digest)\s+[\w*-]+\s*=[\s\S]*/i;
/** `?name=`, `&name=`; `#name=` is how OAuth's implicit grant gives out tokens. */
const parameter = /[?&;#]([^=&;?#\s]+)=/g;
/** `://user:password@host:port`. */
const authorityOf = /:\/\/([^/?#\s]*)/g;
/**
 * What is left of an authority behind its user info, `host:port`. It is none if a password has a slash in it; `user:12` of
 * `user:12/34@host` could be one, but hosts that are called with their port have a dot in them, or are `localhost`. So do
 * some users: an `@` in a path with a port before it is to begin a part of it, as in `/@scope`.
 */
const hostAndPort = /^([^:]*|(\[.*\]|localhost|[^:.]*\.[^:]*)(:\d{0,5})?)$/i;

/** Hides what is secret wherever it stands in a text: credentials after `Bearer`, in a URL, or as a parameter of one. */
function redactText(text: string, isSecret: (name: string) => boolean): string {
  // Each of them needs one of these.
  if (!/[=@\s]/.test(text)) return text;
  const shown = text.replace(digest, `$1 ${redacted}`).replace(scheme, `$1 ${redacted}`);
  return redactParameters(redactUserInfo(shown), isSecret);
}

/**
 * `scheme://user:password@host`, any number of times. Passwords that ought to have been escaped are hidden too: those with
 * an `@` in them, and those with a `/`, up to the last `@` before a space: so is what follows the name of a host without a
 * dot and its port, if there is an `@` in it. With a dot, the `@` has to come before a `?` or a `#`. The time it takes grows
 * with the text only.
 */
function redactUserInfo(text: string): string {
  const last = text.lastIndexOf('@');
  let shown = '';
  let done = 0;
  /** The last `@` before the next space, and that space. */
  let at = -1;
  let space = -1;
  /** Where the path ends that was looked at last, or has an `@` in it. */
  let stop = -1;
  for (const match of text.matchAll(authorityOf)) {
    const start = match.index + 3;
    if (start > last) break;
    if (start < done) continue;
    const authority = match[1] as string;
    const own = authority.lastIndexOf('@');
    let end = start + own;
    const host = authority.slice(own + 1);
    const behind = start + authority.length;
    if (stop < behind) stop = stopOf(text, behind);
    const isInPath = host.includes(':') && text[stop] === '@' && text[stop - 1] !== '/';
    if (isInPath || !hostAndPort.test(host)) {
      if (start > space) {
        const word = wordOf(text, start);
        at = start + word.lastIndexOf('@');
        space = start + word.length;
      }
      end = at;
    }
    if (end < start) continue;
    shown += text.slice(done, start) + redacted;
    done = end;
  }
  return shown + text.slice(done);
}

function stopOf(text: string, start: number): number {
  const length = text.slice(start).search(/[?#@\s]/);
  return length < 0 ? text.length : start + length;
}

function wordOf(text: string, start: number): string {
  const rest = text.slice(start);
  const length = rest.search(/\s/);
  return length < 0 ? rest : rest.slice(0, length);
}

/** `?name=value&name=value`. A value that is shown may have further parameters in it, behind a `;`. */
function redactParameters(text: string, isSecret: (name: string) => boolean): string {
  let shown = '';
  let done = 0;
  for (const match of text.matchAll(parameter)) {
    if (match.index < done || !isSecret(match[1] as string)) continue;
    const start = match.index + match[0].length;
    const length = text.slice(start).search(/[&#\s]/);
    shown += text.slice(done, start) + redacted;
    done = length < 0 ? text.length : start + length;
  }
  return shown + text.slice(done);
}

/** The redactor for these options; one list of names for every wrapper, so that no secret slips out by another door. */
export function redactor(options: RedactOptions = {}): Redactor {
  const { redact = [] } = options;
  if (redact === false) return (value) => value;
  const own = new Set(redact.map((name) => name.toLowerCase()));
  const isSecret = (name: string): boolean => own.has(name.toLowerCase()) || isSecretName(name);
  // Names of headers repeat from stream to stream, and are many only if a peer makes them up.
  const known = new Map<string, boolean>();
  const isSecretHeader = (name: string): boolean => {
    let answer = known.get(name);
    if (answer === undefined) {
      answer = isSecret(name);
      if (known.size < mostKnownNames) known.set(name, answer);
    }
    return answer;
  };
  return (value, name) =>
    name !== undefined && isSecretHeader(name) ? redacted : redactText(value, isSecret);
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
