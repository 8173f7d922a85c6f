import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { StreamError } from '../core/errors.js';
import { cookieName, denialOf, type GuardOptions, targetOf } from './guard.js';
import type { Viewer } from './hub.js';
import { pageHtml } from './page-html.js';

/** A page that reads slower than this is behind: it gets a whole picture once it has caught up. */
const mostUnsentBytes = 4 << 20;

export interface WebServerOptions extends GuardOptions {
  readonly host: string;
  readonly port: number;
  readonly join: (viewer: Viewer) => void;
  readonly leave: (viewer: Viewer) => void;
}

/** The HTTP side: the page at `/`, and what happens at `/events`. It keeps no process alive. */
export class WebServer {
  readonly #options: WebServerOptions;
  readonly #server: Server;
  readonly #viewers: Set<ServerResponse> = new Set();
  /** The token, as addresses and cookies have it. */
  readonly #encoded: string | null;

  constructor(options: WebServerOptions) {
    this.#options = options;
    this.#encoded = options.token === null ? null : encodeURIComponent(options.token);
    this.#server = createServer({ keepAliveTimeout: 5000 }, (request, response) => {
      this.#answer(request, response);
    });
    this.#server.on('connection', (socket) => socket.unref());
    this.#server.unref();
  }

  /** Resolves with the address of the page; rejects if the port is taken, or if it is closed before. */
  listen(): Promise<string> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.once('close', () => reject(new StreamError('closed', 'the dashboard was closed')));
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        // What goes wrong later is one connection's trouble.
        this.#server.on('error', () => {});
        resolve(this.#address());
      });
    });
  }

  close(): Promise<void> {
    for (const response of this.#viewers) response.end();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #address(): string {
    const { host } = this.#options;
    const { port } = this.#server.address() as AddressInfo;
    const name = host.includes(':') ? `[${host}]` : host;
    return `http://${name}:${port}/${this.#encoded === null ? '' : `?token=${this.#encoded}`}`;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const denial = denialOf(request, this.#options);
    for (const [name, value] of Object.entries(commonHeaders)) response.setHeader(name, value);
    if (denial !== null) {
      say(response, denial.status, `${denial.reason}\n`);
      return;
    }
    const { path, query } = targetOf(request);
    if (path === '/events') this.#stream(request, response);
    else if (path !== '/') say(response, 404, 'there is nothing here\n');
    else if (query.has('token')) this.#keepToken(response);
    else {
      response.setHeader('content-security-policy', contentPolicy);
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end(pageHtml);
    }
  }

  /** Takes the token out of the address bar, where it would be copied and photographed. */
  #keepToken(response: ServerResponse): void {
    const { port } = this.#server.address() as AddressInfo;
    if (this.#encoded !== null) {
      response.setHeader(
        'set-cookie',
        `${cookieName(port)}=${this.#encoded}; HttpOnly; SameSite=Strict; Path=/`,
      );
    }
    response.writeHead(303, { location: '/' }).end();
  }

  #stream(request: IncomingMessage, response: ServerResponse): void {
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    response.setHeader('content-type', 'text/event-stream; charset=utf-8');
    response.flushHeaders();
    const viewer: Viewer = {
      get isBehind() {
        return response.writableLength > mostUnsentBytes;
      },
      send: (message) => void response.write(`data: ${message}\n\n`),
    };
    this.#viewers.add(response);
    response.on('close', () => {
      this.#viewers.delete(response);
      this.#options.leave(viewer);
    });
    this.#options.join(viewer);
  }
}

function say(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(text);
}

const commonHeaders: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

/** The page's own script and nothing else; no address but ours can be reached from it. */
const contentPolicy: string = [
  "default-src 'none'",
  `script-src ${hashesOf('script')}`,
  "style-src 'unsafe-inline'",
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

function hashesOf(tag: string): string {
  const bodies = pageHtml.matchAll(new RegExp(`<${tag}[^>]*>([\\s\\S]*?)</${tag}>`, 'g'));
  return Array.from(bodies, ([, body]) => {
    return `'sha256-${createHash('sha256')
      .update(body as string)
      .digest('base64')}'`;
  }).join(' ');
}
