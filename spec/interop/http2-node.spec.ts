import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectNode,
  createServer,
  type Http2Server,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Provider, Stream } from 'rxmux';
import { http2 } from 'rxmux/http2';
import { connect } from 'rxmux/node';
import { trackProvider } from '../support/leaks.js';
import { digest, echo, noise, noiseHash, type Serving, serving } from './http2-echo.js';

const MiB = 1024 * 1024;
const bulk = 64 * MiB;
const bulkHash = noiseHash(bulk);
const windows = { initialWindowSize: MiB };

async function textOf(source: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of source) text += decoder.decode(chunk, { stream: true });
  return text;
}

/** Until it is closed, with an error or without. */
function gone(stream: ClientHttp2Stream | ServerHttp2Stream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed) resolve();
    else stream.once('close', resolve);
  });
}

function post(session: ClientHttp2Session, headers: object = {}): ClientHttp2Stream {
  return session.request({ ':method': 'POST', ':path': '/', ...headers }, { endStream: false });
}

async function answer(stream: ClientHttp2Stream): Promise<Record<string, unknown>> {
  return (await once(stream, 'response'))[0] as Record<string, unknown>;
}

describe('node:http2 as the client of our server', () => {
  let server: Serving;
  let session: ClientHttp2Session;
  let serve: (stream: Stream) => void;

  beforeEach(async () => {
    serve = echo;
    server = await serving((stream) => serve(stream), { maxStreams: 1000, backlog: 1000 });
    session = connectNode(`http://127.0.0.1:${server.port}`, { settings: windows });
    session.on('error', () => {});
    await once(session, 'remoteSettings');
  });

  afterEach(async () => {
    session.destroy();
    await server.close();
  });

  it('is answered before it has sent anything, and sees each line as it comes', async () => {
    const stream = post(session);
    expect(await answer(stream)).toMatchObject({ ':status': 200 });
    for (const line of ['one', 'two', 'three']) {
      stream.write(line);
      expect(String((await once(stream, 'data'))[0])).toBe(line);
    }
    stream.end();
    await once(stream, 'end');
  });

  it('gets 64 MiB back as it sent them', async () => {
    const stream = post(session);
    const back = digest(stream);
    for (const piece of noise(bulk)) if (!stream.write(piece)) await once(stream, 'drain');
    stream.end();
    expect(await back).toEqual({ bytes: bulk, hash: bulkHash });
  }, 60_000);

  it('is seen with its pseudo-headers, whatever its method', async () => {
    serve = (stream) => void stream.accept({ 'x-list': ['1', '2'] }).send(stream.headers.get(':path') ?? '');
    const stream = session.request({ ':path': '/some/where?it=is', 'x-mine': ['a', 'b'] });
    expect((await answer(stream))['x-list']).toBe('1, 2');
    expect(await textOf(stream)).toBe('/some/where?it=is');
    const { headers } = server.streams[0] as Stream;
    expect([headers.get(':method'), headers.getAll('x-mine')]).toEqual(['GET', ['a', 'b']]);
  });

  it('half-closes first, and the server goes on', async () => {
    serve = async (stream) => {
      expect(await textOf(stream)).toBe('all of it');
      await stream.write('late ');
      await stream.end();
    };
    const stream = post(session);
    stream.end('all of it');
    expect(await textOf(stream)).toBe('late ');
  });

  it('goes on after the server has half-closed', async () => {
    const received: Promise<string>[] = [];
    serve = (stream) => {
      received.push(textOf(stream));
      void stream.end();
    };
    const stream = post(session);
    stream.resume();
    await once(stream, 'end');
    stream.write('still ');
    stream.end('here');
    expect(await received[0]).toBe('still here');
  });

  it.each([
    ['cancel', 8],
    ['internal-error', 2],
    ['protocol-error', 1],
    ['flow-control', 3],
    [4711, 4711],
  ] as const)('hears reset(%p) as code %p, and never as an end', async (code, number) => {
    serve = (stream) => {
      stream.accept();
      void stream.write('begun').then(() => stream.reset(code));
    };
    const stream = post(session);
    stream.on('error', () => {});
    stream.resume();
    await gone(stream);
    expect(stream.rstCode).toBe(number);
  });

  it.each([
    [8, 'cancel'],
    [2, 'internal-error'],
  ] as const)('resets with code %p, which arrives as %p', async (number, code) => {
    const stream = post(session);
    stream.on('error', () => {});
    await answer(stream);
    const theirs = server.streams[0] as Stream;
    stream.close(number);
    await expect(theirs.closed).rejects.toMatchObject({ reset: code, wireCode: number, remote: true });
  });

  it('is refused with a status and reasons, or safely with REFUSED_STREAM', async () => {
    serve = (stream) => stream.reject('refused', { 'x-reason': 'busy' });
    const told = post(session);
    told.on('error', () => {});
    expect(await answer(told)).toMatchObject({ ':status': 503, 'x-reason': 'busy' });
    serve = (stream) => stream.reject();
    const refused = post(session);
    refused.on('error', () => {});
    await gone(refused);
    expect(refused.rstCode).toBe(7);
  });

  it('gets trailers, and its own arrive', async () => {
    const theirs: Promise<string | undefined>[] = [];
    serve = (stream) => {
      theirs.push(stream.trailers.then((trailers) => trailers?.get('x-sum')));
      stream.data$.subscribe({ complete: () => void stream.end({ 'grpc-status': '0' }) });
    };
    const stream = session.request({ ':method': 'POST' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '42' }));
    stream.end('body');
    stream.resume();
    const [trailers] = await once(stream, 'trailers');
    expect(trailers).toMatchObject({ 'grpc-status': '0' });
    expect(await theirs[0]).toBe('42');
  });

  it('holds 1,000 streams open at once', async () => {
    const streams = Array.from({ length: 1000 }, () => post(session));
    await Promise.all(streams.map(answer));
    expect(server.providers[0]?.streams.size).toBe(1000);
    const echoed = streams.map(textOf);
    for (const [index, stream] of streams.entries()) stream.end(`stream ${index}`);
    expect(await Promise.all(echoed)).toEqual(streams.map((_, index) => `stream ${index}`));
  }, 20_000);

  it('is told to take no streams of the server, which fail as refused with the reason', async () => {
    const provider = server.providers[0] as Provider;
    await expect(provider.newStream().reply).rejects.toMatchObject({ code: 'refused' });
    await expect(provider.newStream().closed).rejects.toThrow(/server open/);
  });

  it('sees a graceful close: what is open finishes', async () => {
    const stream = post(session);
    await answer(stream);
    const gone = once(session, 'goaway');
    const closing = (server.providers[0] as Provider).close();
    expect((await gone)[0]).toBe(0);
    const back = textOf(stream);
    stream.end('last words');
    expect(await back).toBe('last words');
    await closing;
  });
});

describe('node:http2 as the server of our client', () => {
  let server: Http2Server;
  let client: Provider;
  let serve: (stream: ServerHttp2Stream, headers: Record<string, unknown>) => void;
  let streams: ServerHttp2Stream[];

  beforeEach(async () => {
    streams = [];
    serve = (stream) => {
      stream.respond({ ':status': 200 });
      stream.pipe(stream);
    };
    server = createServer({ settings: { ...windows, maxConcurrentStreams: 1000 } });
    server.on('stream', (stream, headers) => {
      stream.on('error', () => {});
      streams.push(stream);
      serve(stream, headers);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    client = await connect(`tcp://127.0.0.1:${(server.address() as AddressInfo).port}`, http2);
    trackProvider(client);
  });

  afterEach(async () => {
    client.abort();
    server.close();
    await once(server, 'close');
  });

  it('echoes what a stream sends, line by line', async () => {
    const stream = client.newStream();
    for (const line of ['one', 'two', 'three']) {
      await stream.write(line);
      expect(new TextDecoder().decode((await stream.read()) ?? undefined)).toBe(line);
    }
    expect((await stream.reply).get(':status')).toBe('200');
    await stream.end();
    expect(await stream.read()).toBeNull();
  });

  it('gives 64 MiB back as they were sent', async () => {
    const stream = client.newStream();
    const sent = stream.send(noise(bulk));
    expect(await digest(stream)).toEqual({ bytes: bulk, hash: bulkHash });
    await sent;
  }, 60_000);

  it('sees our headers, and its reply and trailers arrive', async () => {
    let seen: Record<string, unknown> = {};
    serve = (stream, headers) => {
      seen = headers;
      stream.respond({ ':status': 201, 'x-list': ['1', '2'] }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '7' }));
      stream.end('body');
    };
    const stream = client.newStream({ ':path': '/there', 'x-mine': ['a', 'b'] });
    const reply = await stream.reply;
    expect([reply.get(':status'), reply.getAll('x-list')]).toEqual(['201', ['1', '2']]);
    expect(seen).toMatchObject({ ':method': 'POST', ':path': '/there', 'x-mine': 'a, b' });
    expect(await textOf(stream)).toBe('body');
    expect((await stream.trailers)?.get('x-sum')).toBe('7');
    await stream.end({ 'x-dropped': 'a request has no trailers here' });
    await stream.closed;
  });

  it('half-closes first, and we go on', async () => {
    const received: Promise<string>[] = [];
    serve = (stream) => {
      received.push(textOf(stream));
      stream.respond({ ':status': 200 });
      stream.end('mine');
    };
    const stream = client.newStream();
    expect(await textOf(stream)).toBe('mine');
    await stream.send('still here');
    expect(await received[0]).toBe('still here');
    await stream.closed;
  });

  it('refuses with a status that comes with the end; one with a body is an answer', async () => {
    serve = (stream) => stream.respond({ ':status': 404, 'x-why': 'nothing here' }, { endStream: true });
    const refused = await client.newStream().reply.catch((error) => error);
    expect(refused).toMatchObject({ code: 'refused', wireCode: 404, retryable: false, remote: true });
    expect(refused.headers.get('x-why')).toBe('nothing here');
    serve = (stream) => {
      stream.respond({ ':status': 404 });
      stream.end('a page about it');
    };
    const told = client.newStream();
    expect((await told.reply).get(':status')).toBe('404');
    expect(await textOf(told)).toBe('a page about it');
    await told.end();
  });

  it.each([
    ['cancel', 8],
    ['internal-error', 2],
    [4711, 4711],
  ] as const)('hears reset(%p) as code %p', async (code, number) => {
    const stream = client.newStream();
    await stream.reply;
    stream.reset(code);
    const theirs = streams[0] as ServerHttp2Stream;
    await gone(theirs);
    expect(theirs.rstCode).toBe(number);
  });

  it('refuses with REFUSED_STREAM, which can be retried', async () => {
    serve = (stream) => stream.close(7);
    await expect(client.newStream().reply).rejects.toMatchObject({ code: 'refused', retryable: true });
  });

  it('lets as many streams be open as it says; the others wait, and come in their turn', async () => {
    server.close();
    client.abort();
    await once(server, 'close');
    server = createServer({ settings: { maxConcurrentStreams: 10 } });
    let most = 0;
    let open = 0;
    server.on('stream', (stream) => {
      most = Math.max(most, ++open);
      stream.respond({ ':status': 200 });
      stream.on('close', () => open--);
      stream.pipe(stream);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    client = await connect(`tcp://127.0.0.1:${(server.address() as AddressInfo).port}`, http2);
    await client.ping();
    const echoed = (stream: Stream, index: number): Promise<void> => {
      void stream.send(`stream ${index}`);
      return textOf(stream).then((text) => expect(text).toBe(`stream ${index}`));
    };
    const all = Array.from({ length: 50 }, (_, index) => client.newStream({ 'x-index': String(index) }));
    await Promise.all(all.slice(0, 10).map((stream) => stream.reply));
    expect(all.slice(10).every((stream) => stream.state === 'opening')).toBe(true);
    await Promise.all(all.map(echoed));
    // A graceful end waits for those that wait.
    const last = Array.from({ length: 50 }, () => client.newStream());
    const closing = client.close();
    await Promise.all(last.map(echoed));
    await closing;
    expect(most).toBe(10);
  });

  it('holds 1,000 of our streams open at once', async () => {
    await client.ping();
    const all = Array.from({ length: 1000 }, () => client.newStream());
    await Promise.all(all.map((stream) => stream.reply));
    const echoed = all.map(textOf);
    for (const [index, stream] of all.entries()) void stream.send(`stream ${index}`);
    expect(await Promise.all(echoed)).toEqual(all.map((_, index) => `stream ${index}`));
  }, 20_000);

  it('goes away: streams end, and new ones are refused as retryable', async () => {
    const stream = client.newStream();
    await stream.reply;
    const session = streams[0]?.session;
    session?.close();
    await new Promise<void>((resolve) => {
      const watching = client.events$.subscribe((event) => {
        if (event.type === 'goaway' && event.remote) resolve();
      });
      stream.closed.finally(() => watching.unsubscribe()).catch(() => {});
    });
    await expect(client.newStream().reply).rejects.toMatchObject({ retryable: true });
    void stream.send('the rest');
    expect(await textOf(stream)).toBe('the rest');
    await client.closed;
  });
});
