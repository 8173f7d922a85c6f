import { type Limits, memoryPair, type Provider } from 'rxmux';
import { type Http2Options, http2 } from 'rxmux/http2';
import { errorCode, frameFlag, frameType } from '../../lib/http2/frames.js';
import { HpackEncoder } from '../../lib/http2/hpack.js';
import type { Http2Provider } from '../../lib/http2/provider.js';
import { until } from '../conformance/wait.js';
import { trackProvider } from '../support/leaks.js';
import { ScriptedTransport } from '../support/scripted-transport.js';
import { frame, hex, join, parseChunks, preface, settings } from './support.js';

const options: Http2Options = { serverOpens: false };

/** A client and a server that have not agreed on a server that opens. */
function pair(client: Http2Options = {}, server: Http2Options = {}): [Provider, Provider] {
  const [near, far] = memoryPair();
  return [
    trackProvider(http2(near, { ...options, ...client, role: 'client' })),
    trackProvider(http2(far, { ...options, ...server, role: 'server' })),
  ];
}

/** A client whose POST has come to a server that answers it when it has ended, as most handlers do. */
async function askedFor(): Promise<{
  client: Provider;
  transport: ScriptedTransport;
  resets: () => readonly unknown[];
}> {
  const transport = new ScriptedTransport();
  const client = trackProvider(http2(transport, { role: 'client', reverse: true }));
  const heard = (kind: string): readonly unknown[] =>
    parseChunks([transport.written.subarray(preface.length)]).events.filter((event) => kind in Object(event));
  transport.feed(settings);
  await until(() => heard('headers').length > 0, 'the POST');
  return { client, transport, resets: () => heard('rstStream') };
}

/** Resets the POST under the reverse session. */
function cutCarrier(provider: Provider): void {
  const { outer } = provider as Http2Provider;
  for (const stream of outer.streams.values()) stream.reset();
}

/** For the whole handshake too, which takes its time where the code is cold. */
const short: Partial<Limits> = { handshakeMs: 1500 };

async function close(...providers: Provider[]): Promise<void> {
  await Promise.all(providers.map((provider) => provider.close()));
}

describe('a reverse session', () => {
  it('is asked for once the client listens, and not before', async () => {
    const [client, server] = pair();
    const paths: string[] = [];
    client.frames$.subscribe(({ name, direction }) => {
      if (name === 'HEADERS' && direction === 'out') paths.push(name);
    });
    await client.ping();
    expect(paths).toEqual([]);
    const accepted = client.accept();
    const stream = server.newStream({ 'x-who': 'server' });
    expect((await accepted)?.headers.get('x-who')).toBe('server');
    expect(paths.length).toBeGreaterThan(0);
    stream.reset();
    await close(client, server);
  });

  it('is hidden: no table, event or accepted stream shows the POST that carries it', async () => {
    const [client, server] = pair({ reverse: true });
    const events: string[] = [];
    for (const provider of [client, server]) {
      provider.events$.subscribe((event) => {
        if ('stream' in event) events.push(`${event.type} ${event.stream.id}`);
      });
    }
    const stream = server.newStream();
    const there = await client.accept();
    there?.accept();
    await stream.reply;
    expect([[...client.streams.keys()], [...server.streams.keys()]]).toEqual([[2], [2]]);
    expect([client.streams.size, client.streams.get(2), client.streams.has(1)]).toEqual([1, there, false]);
    expect(new Set(events)).toEqual(new Set(['open 2', 'accept 2', 'reply 2']));
    await Promise.all([stream.end(), there?.end()]);
    await close(client, server);
  });

  it('brings what the server wrote before it was there, in order', async () => {
    const [client, server] = pair({ reverse: true });
    const first = server.newStream();
    void first.send(['one, ', 'two']);
    const second = server.newStream();
    void second.send('three');
    const texts: string[] = [];
    for (let count = 0; count < 2; count++) {
      const stream = await client.accept();
      let text = '';
      for await (const chunk of stream ?? []) text += new TextDecoder().decode(chunk);
      void stream?.end();
      texts.push(`${stream?.id} ${text}`);
    }
    expect(texts).toEqual(['2 one, two', '4 three']);
    await close(client, server);
  });

  it('that is never offered is not waited for without end', async () => {
    const [client, server] = pair({ reverse: false }, { limits: short });
    const early = server.newStream();
    await expect(early.reply).rejects.toMatchObject({ code: 'refused', remote: true });
    await expect(server.newStream().reply).rejects.toThrow(/the client takes no streams/);
    await close(client, server);
  });

  it('that the server does not take is asked for once, and harms nothing', async () => {
    const [client, server] = pair({ reverse: true }, { reverse: false, limits: short });
    const posts: string[] = [];
    server.accept$.subscribe((stream) => {
      posts.push(stream.headers.get(':path') ?? '');
      stream.reject('refused', { ':status': '404' });
    });
    await until(() => posts.length > 0, 'the POST');
    await expect(server.newStream().reply).rejects.toMatchObject({ code: 'refused' });
    expect(posts).toEqual(['/.well-known/rxmux-reverse']);
    const own = client.newStream();
    await expect(own.reply).rejects.toMatchObject({ wireCode: 404 });
    await close(client, server);
  });

  it('is not taken twice, nor where both ends know the setting', async () => {
    const carrier = { ':path': '/.well-known/rxmux-reverse' };
    const [client, server] = pair({ reverse: true });
    await client.ping();
    await expect(client.newStream(carrier).reply).rejects.toMatchObject({ wireCode: 409 });
    const [near, far] = memoryPair();
    const direct = [http2(near, { role: 'client' }), http2(far, { role: 'server' })] as const;
    await expect(direct[0].newStream(carrier).reply).rejects.toMatchObject({ wireCode: 409 });
    await close(client, server, ...direct);
  });

  it('is there for a second time once the first has ended, and its ids go on', async () => {
    const [client, server] = pair({ reverse: true });
    const first = server.newStream();
    (await client.accept())?.accept();
    await first.reply;
    // What a proxy does whose time is up: the POST is over, and nothing else.
    const ended = new Promise((resolve) => first.closed.catch(resolve));
    cutCarrier(server);
    expect(await ended).toMatchObject({ code: 'closed' });
    const second = server.newStream();
    const there = await client.accept();
    expect([first.id, second.id, there?.id]).toEqual([2, 4, 4]);
    second.reset();
    await close(client, server);
  }, 5000);

  it('is lost with its connection: every stream in it fails', async () => {
    const [client, server] = pair({ reverse: true });
    const stream = server.newStream();
    const there = await client.accept();
    there?.accept();
    await stream.reply;
    client.abort(new Error('enough'));
    await expect(stream.closed).rejects.toMatchObject({ remote: true });
    await expect(there?.closed).rejects.toMatchObject({ code: 'closed' });
    await expect(server.closed).rejects.toMatchObject({ remote: true });
    expect([client.streams.size, server.streams.size]).toEqual([0, 0]);
  });

  it.each(['client', 'server'])('loses no stream that was under way when the %s closed', async (who) => {
    const [client, server] = pair({ reverse: true });
    const texts: string[] = [];
    client.accept$.subscribe(async (stream) => {
      let text = '';
      for await (const chunk of stream) text += new TextDecoder().decode(chunk);
      void stream.end();
      texts.push(text);
    });
    const first = server.newStream();
    await first.write('first, ');
    await first.reply;
    const second = server.newStream();
    void second.send('second');
    const closing = who === 'client' ? client.close() : server.close();
    await first.send('and last');
    await Promise.all([first.closed, second.closed, closing]);
    expect(texts.sort()).toEqual(['first, and last', 'second']);
  });

  it('takes its connection with it when its ids are used up', async () => {
    const [client, server] = pair({ reverse: true }, { limits: { maxStreamId: 5 } });
    client.accept$.subscribe((stream) => void stream.send(stream.data$));
    for (const id of [2, 4]) {
      const stream = server.newStream();
      expect(stream.id).toBe(id);
      await stream.end();
      await stream.closed;
    }
    await expect(server.newStream().reply).rejects.toMatchObject({ code: 'limit', retryable: true });
    await Promise.all([client.closed, server.closed]);
  });

  it('does not keep a connection open whose client has used up its ids', async () => {
    const [client, server] = pair({ reverse: true, limits: { maxStreamId: 1 } });
    const stream = server.newStream();
    (await client.accept())?.reject();
    await stream.closed.catch(() => {});
    await expect(client.newStream().reply).rejects.toMatchObject({ code: 'limit', retryable: true });
    await Promise.all([client.closed, server.closed]);
  });

  it('whose peer breaks the rules over and over costs it the connection', async () => {
    const transport = new ScriptedTransport();
    const server = trackProvider(http2(transport, { role: 'server' }));
    const fields = [':method', 'POST', ':scheme', 'http', ':path', '/.well-known/rxmux-reverse'];
    const block = new HpackEncoder({ tableBytes: 0 }).encode(fields);
    const error = server.closed.catch((reason) => reason);
    transport.feed(join(preface, settings));
    let isOver = false;
    void error.then(() => {
      isOver = true;
    });
    let sessions = 0;
    for (; sessions < 200 && !isOver; sessions++) {
      const id = 2 * sessions + 1;
      transport.feed(frame(frameType.HEADERS, frameFlag.END_HEADERS, id, block));
      // No SETTINGS come first.
      transport.feed(frame(frameType.DATA, frameFlag.END_STREAM, id, frame(frameType.PING, 0, 1, hex('00'))));
      for (let turns = 0; turns < 4; turns++) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await error).toMatchObject({ code: 'limit', remote: true });
    expect(sessions).toBeGreaterThan(100);
  });

  it.each(['we close', 'the server goes away'])('that was not answered is given up when %s', async (who) => {
    const rig = await askedFor();
    if (who === 'we close') await rig.client.close();
    else {
      rig.transport.feed(frame(frameType.GOAWAY, 0, 0, hex('7fffffff 00000000')));
      await rig.client.closed;
    }
    expect(rig.resets()).toEqual([{ rstStream: 1, code: errorCode.CANCEL }]);
  });
});
