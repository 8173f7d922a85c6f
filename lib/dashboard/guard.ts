import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** Who may look at the dashboard. */
export interface GuardOptions {
  /** Names by which it may be called, without ports. */
  readonly hosts: ReadonlySet<string>;
  /** Null: whoever reaches the address may look. */
  readonly token: string | null;
}

/** Why a request gets no answer, and the status that says so. */
export interface Denial {
  readonly status: 401 | 403 | 405;
  readonly reason: string;
}

/**
 * Null if the request may pass. A page of another origin must not read ours, even if a name of its own leads to this
 * address (DNS rebinding), so Host and Origin are checked before anything else; the token keeps out other people.
 */
export function denialOf(request: IncomingMessage, { hosts, token }: GuardOptions): Denial | null {
  const { origin } = request.headers;
  const { host = request.headers.host } = targetOf(request);
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return { status: 405, reason: 'only GET is served' };
  if (host === undefined || !hosts.has(nameOf(host))) {
    return { status: 403, reason: `this dashboard is not called ${JSON.stringify(host ?? '')}` };
  }
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) {
    return { status: 403, reason: 'pages of other origins may not look' };
  }
  const site = request.headers['sec-fetch-site'];
  if (site === 'cross-site' && request.headers['sec-fetch-mode'] !== 'navigate') {
    return { status: 403, reason: 'pages of other origins may not look' };
  }
  if (token === null || hasToken(request, token)) return null;
  return { status: 401, reason: 'open the address that was printed: it has a token' };
}

/** The cookie that has the token, encoded; ports share a host's cookies, so it has the port in its name. */
export function cookieName(port: number): string {
  return `rxmux-${port}`;
}

/** A host without its port; `[::1]:80` and `[::1]` are `[::1]`. */
function nameOf(host: string): string {
  return host.replace(/:\d+$/, '').toLowerCase();
}

/** What is asked for. */
export interface Target {
  /** Only a target in absolute form has one, which is then meant whatever `Host` says (RFC 9112, section 3.2.2). */
  readonly host: string | undefined;
  readonly path: string;
  readonly query: URLSearchParams;
}

/** A target may be anything, and none is refused here: an error in a handler would end the process. */
export function targetOf({ url = '/' }: IncomingMessage): Target {
  const [origin = '', host] = /^https?:\/\/([^/?]+)/i.exec(url) ?? [];
  const [path = '', ...rest] = url.slice(origin.length).split('?');
  return { host, path: path || '/', query: new URLSearchParams(rest.join('?')) };
}

function hasToken(request: IncomingMessage, token: string): boolean {
  const { authorization = '', cookie = '' } = request.headers;
  const inQuery = targetOf(request).query.get('token');
  if (inQuery !== null && isEqual(inQuery, token)) return true;
  const bearer = /^bearer (.+)$/i.exec(authorization)?.[1];
  if (bearer !== undefined && isEqual(bearer, token)) return true;
  const name = `${cookieName(request.socket.localPort ?? 0)}=`;
  return cookie
    .split(/;\s*/)
    .some((each) => each.startsWith(name) && isEqual(each, name + encodeURIComponent(token)));
}

/** Takes the same time wherever the difference is. */
function isEqual(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
