import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { build, stop } from 'esbuild';
import { interval, map } from 'rxjs';
import { framer, fromWebSocket, type Stream } from 'rxmux/node';
import { type WebSocket, WebSocketServer } from 'ws';

/** Serves the page, and the WebSocket behind it, on 127.0.0.1. */
export async function startServer(port: number): Promise<{ url: string; close(): Promise<void> }> {
  const document = `${html}<script>${await bundle()}</script>`;
  const web = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8').end(document);
  });
  const url = (): string => `http://127.0.0.1:${(web.address() as AddressInfo).port}/`;
  // Any page may open a WebSocket to this machine: only our own is let in.
  const verifyClient = ({ origin }: { origin?: string }): boolean => `${origin}/` === url();
  const sockets = new WebSocketServer({ server: web, maxPayload: 1 << 20, verifyClient });
  sockets.on('connection', serve);
  web.listen(port, '127.0.0.1');
  await once(web, 'listening');
  const close = async (): Promise<void> => {
    for (const socket of sockets.clients) socket.terminate();
    sockets.close();
    web.closeAllConnections();
    web.close();
    await once(web, 'close');
  };
  return { url: url(), close };
}

/** One page. It opens streams, and so do we. */
function serve(socket: WebSocket): void {
  const connection = framer(fromWebSocket(socket), { role: 'server' });
  const hoses: Stream[] = [];
  connection.accept$.subscribe({
    next: (stream) => {
      if (stream.headers.get('path') === '/hose') {
        hoses.push(stream);
        void stream.send(endless());
      } else void answerWithHash(stream).catch(() => {});
    },
    // The page was closed.
    error: () => {},
  });
  const status = (): string => {
    const sent = hoses.reduce((sum, { stats }) => sum + stats.bytesOut, 0);
    return `${JSON.stringify({ clock: new Date().toLocaleTimeString('en-GB'), sent })}\n`;
  };
  void connection.newStream({ path: '/status' }).send(interval(100).pipe(map(status)));
}

function* endless(): Generator<Uint8Array> {
  const chunk = new Uint8Array(16_384);
  for (;;) yield chunk;
}

async function answerWithHash(stream: Stream): Promise<void> {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk);
  await stream.send(hash.digest('hex'));
}

async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, 'page')],
    bundle: true,
    minify: true,
    target: 'es2022',
    write: false,
    logLevel: 'error',
  });
  await stop();
  return (outputFiles[0] as { text: string }).text;
}

const html = `<!doctype html>
<title>rxmux in a browser</title>
<style>
  body { font: 18px/1.7 system-ui; max-width: 34em; margin: 3em auto; padding: 0 1em; color-scheme: light dark }
  b { font-variant-numeric: tabular-nums } input { width: 100% } ul { padding: 0; list-style: none; overflow-wrap: anywhere }
</style>
<h1>One WebSocket</h1>
<p>On a stream that the server has opened, it is <b id="clock">connecting…</b></p>
<p>On an endless stream the server has sent <b id="sent"></b>, of which this page has read <b id="read"></b>.
  <label>Read slowly, or fast, and look at the server stop one window ahead.
    <input id="pace" type="range" max="100" value="50"></label></p>
<p><label>Meanwhile, each of these files goes up on a stream of its own, and its SHA-256 comes back.
  <input id="files" type="file" multiple></label></p>
<ul id="uploads"></ul>
`;
