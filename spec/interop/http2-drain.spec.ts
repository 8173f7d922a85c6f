/** A server of ours behind HAProxy that drains, or is lost, while streams are on their way to it. */
import type { Provider, Stream, StreamError } from 'rxmux';
import { http2 } from 'rxmux/http2';
import { connect } from 'rxmux/node';
import type { RunningProgram } from '../../demos/programs.js';
import { startHaproxy } from '../../demos/scale-out/haproxy.js';
import { within } from '../conformance/wait.js';
import { describeWithPeer, peers } from '../support/interop.js';
import { trackProvider } from '../support/leaks.js';
import { echo, type Serving, serving } from './http2-echo.js';

const streamsPerRound = 20;
/** A stream that hangs does so until its server is gone; this is far longer than any takes. */
const hangMs = 3000;

const decoder = new TextDecoder();

async function textOf(stream: Stream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += decoder.decode(chunk);
  return text;
}

/** Says something, and hears it. */
async function exchange(stream: Stream, words: string): Promise<void> {
  await stream.write(words);
  let heard = '';
  while (heard.length < words.length) {
    const chunk = await stream.read();
    if (chunk === null) throw new Error(`"${heard}" and then the end, for "${words}"`);
    heard += decoder.decode(chunk);
  }
  expect(heard).toBe(words);
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** When the server is told to close, around the opening of streams. */
const moments: Readonly<Record<string, (open: () => void, drain: () => void) => Promise<void> | void>> = {
  'before they are opened, in the same turn': (open, drain) => {
    drain();
    open();
  },
  'after they are opened, in the same turn': (open, drain) => {
    open();
    drain();
  },
  'a microtask later': async (open, drain) => {
    open();
    await Promise.resolve();
    drain();
  },
  'a turn later': async (open, drain) => {
    open();
    await turn();
    drain();
  },
  'once they are on their way': async (open, drain) => {
    open();
    await new Promise((resolve) => setTimeout(resolve, 1));
    drain();
  },
};

describeWithPeer('two servers of ours behind HAProxy', peers.haproxy, () => {
  let a: Serving;
  let b: Serving;
  let proxy: RunningProgram;
  let client: Provider;

  beforeEach(async () => {
    [a, b] = [await serving(), await serving()];
    proxy = await startHaproxy(new Map([a, b].map(({ port }) => [`s${port}`, port])));
    client = trackProvider(await connect(`tcp://127.0.0.1:${proxy.port}`, http2));
    // The proxy has a connection to each from here on.
    const first = [client.newStream(), client.newStream()];
    await Promise.all(first.map((stream) => exchange(stream, 'hello')));
    await Promise.all(first.map((stream) => stream.end()));
    await Promise.all(first.map((stream) => stream.closed));
  });

  afterEach(async () => {
    client.abort();
    await proxy.close();
    await Promise.all([a.close(), b.close()]);
  });

  const servedAt = (path: string): number =>
    [...a.streams, ...b.streams].filter(({ headers }) => headers.get(':path') === path).length;

  /** Opens a stream and goes through a whole conversation: true. False if it was refused, and by nobody else seen. */
  async function converse(path: string): Promise<boolean> {
    const stream = client.newStream({ ':path': path });
    try {
      await exchange(stream, 'one, ');
      await exchange(stream, 'two');
      await stream.end();
      expect(await stream.read()).toBeNull();
      await stream.closed;
      expect(servedAt(path)).toBe(1);
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: 'refused', retryable: true });
      expect(servedAt(path)).toBe(0);
      return false;
    }
  }

  describe.each(Object.keys(moments))('of which one drains %s', (moment) => {
    it.each([
      ['no stream', 0],
      ['streams', 4],
    ])('with %s on it: none hangs or looks complete, and they are served', async (_, held) => {
      const before = Array.from({ length: held }, () => client.newStream());
      await Promise.all(before.map((stream) => exchange(stream, 'held, ')));
      const conversations: Promise<boolean>[] = [];
      let closing: Promise<void> | undefined;
      await moments[moment]?.(
        () => {
          for (let number = 0; number < streamsPerRound; number++) conversations.push(converse(`/${number}`));
        },
        () => {
          closing = b.close();
        },
      );
      const served = await within(Promise.all(conversations), hangMs, () => 'all conversations');
      // A proxy may still send what it had begun when it heard: that is refused, and rare.
      expect(served.filter((whole) => whole).length).toBeGreaterThanOrEqual(streamsPerRound * 0.9);
      for (const stream of before) {
        await exchange(stream, 'and finished');
        await stream.end();
        expect(await stream.read()).toBeNull();
      }
      await within(closing ?? Promise.resolve(), hangMs, () => 'the close of the drained server');
    });
  });
});

describeWithPeer('a server of ours behind HAProxy that is lost before it has answered', peers.haproxy, () => {
  it('has read a request, which the proxy sends to no other, and calls refused all the same', async () => {
    const read: string[] = [];
    const server = await serving((stream) => {
      if (stream.headers.get(':path') === '/first') {
        echo(stream);
        return;
      }
      // The answer is to come; what is asked is read meanwhile.
      stream.accept(new Promise(() => {}));
      void textOf(stream).then((text) => {
        read.push(text);
        for (const one of server.providers) one.abort();
      });
    });
    const proxy = await startHaproxy(new Map([['only', server.port]]));
    const client = trackProvider(await connect(`tcp://127.0.0.1:${proxy.port}`, http2));
    const first = client.newStream({ ':path': '/first' });
    void first.send('hello');
    expect(await textOf(first)).toBe('hello');
    const stream = client.newStream({ ':path': '/second' });
    void stream.send('pay 100');
    const error = (await stream.reply.catch((reason: unknown) => reason)) as StreamError;
    expect([error.code, error.retryable]).toEqual(['refused', true]);
    expect(read).toEqual(['pay 100']);
    client.abort();
    await proxy.close();
    await server.close();
  });
});
