/** The portable entry over the WebSocket that the platform brings, in a page and in Node, against one of npm's `ws`. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { framer, fromWebSocket, type Provider, StreamError } from 'rxmux';
import { WebSocketServer } from 'ws';
import { describeWithPeer, peers } from '../support/interop.js';
import { trackProvider } from '../support/leaks.js';
import { bundled, type Platform, type Platforms, pages, processes } from './platforms.js';
import { digest, piecesOf, sendRandom, serve } from './program.js';

const MiB = 1024 * 1024;

// A browser takes a while to start where the machine is busy.
jest.setTimeout(60_000);

describeWithPeer('in Chromium', peers.chromium, () => cases(pages));
describe('in a Node of its own', () => cases(processes));

function cases(start: () => Promise<Platforms>): void {
  let platforms: Platforms;
  let web: Server;
  let listener: WebSocketServer;
  let platform: Platform;
  let server: Provider;
  let url: string;

  beforeAll(async () => {
    const script = await bundled();
    web = createServer((_request, response) => {
      response.setHeader('content-type', 'text/html').end(`<title>rxmux</title><script>${script}</script>`);
    });
    listener = new WebSocketServer({ server: web });
    web.listen(0, '127.0.0.1');
    await once(web, 'listening');
    url = `ws://127.0.0.1:${(web.address() as AddressInfo).port}/`;
    platforms = await start();
  });

  afterAll(async () => {
    await platforms.close();
    listener.close();
    web.closeAllConnections();
    web.close();
  });

  beforeEach(async () => {
    platform = await platforms.open(url.replace('ws:', 'http:'));
    const accepted = once(listener, 'connection');
    const connecting = platform.call('connect', url);
    const [socket] = await accepted;
    server = trackProvider(framer(fromWebSocket(socket), { role: 'server' }));
    server.accept$.subscribe({ next: (stream) => void serve(stream), error: () => {} });
    await connecting;
  });

  afterEach(async () => {
    await platform.leave();
    await server.closed.catch(() => {});
  });

  it('both ends open streams, and 16 MiB go each way at once', async () => {
    const [up, down] = await Promise.all([platform.call('send', 16 * MiB), sendRandom(server, 16 * MiB)]);
    expect(up.got).toBe(up.sent);
    expect(down.got).toBe(down.sent);
  });

  it('bytes come out of shared and resizable memory', async () => {
    for (const { sent, got } of await platform.call('sendFromOddMemory')) expect(got).toBe(sent);
  });

  it('a reader that does not read holds its sender to the window, and nobody else', async () => {
    const all = new Uint8Array(4 * MiB).fill(5);
    const stream = server.newStream({ do: 'keep' });
    const sending = stream.send(piecesOf(all));
    await stream.reply;
    const { sent, got } = await sendRandom(server, MiB);
    expect(got).toBe(sent);
    expect(stream.stats).toMatchObject({ bytesOut: 256 * 1024, blockedOn: 'window' });
    const hash = platform.call('readKept');
    await sending;
    expect(await hash).toBe(await digest(all));
    await stream.end();
    stream.stop();
  });

  it('a reset is seen as a reset, with its code', async () => {
    const error: unknown = await server.newStream({ do: 'reset' }).closed.catch((reason) => reason);
    expect(error).toMatchObject({ code: 'reset', wireCode: 7, remote: true });
    expect(await platform.call('openDoomed')).toEqual({ code: 'reset', wireCode: 7, remote: true });
  });

  it('who leaves takes its streams along, as an error', async () => {
    const stream = server.newStream({ do: 'keep' });
    await stream.reply;
    await platform.leave();
    const error: unknown = await stream.closed.catch((reason) => reason);
    expect(StreamError.is(error) && error.code).toBe('closed');
    await expect(server.closed).rejects.toBe(error);
  });

  it('close() is a good end at both ends', async () => {
    await platform.call('close');
    await expect(server.closed).resolves.toBeUndefined();
    expect(await platform.call('fate')).toBeUndefined();
  });

  it('abort() is a bad one', async () => {
    server.abort();
    expect(await platform.call('fate')).toMatch('the peer aborted the connection');
  });

  it('text is refused in a sentence', async () => {
    const accepted = once(listener, 'connection');
    const closing = platform.call('speakText', url);
    const [socket] = await accepted;
    const { closed } = framer(fromWebSocket(socket), { role: 'server' });
    const sentence = 'the peer sent a text message, and only binary messages carry bytes';
    await expect(closed).rejects.toMatchObject({ code: 'closed', cause: { message: sentence } });
    expect(await closing).toEqual({ code: 4000, reason: sentence });
  });
}
