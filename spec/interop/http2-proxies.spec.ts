import type { Provider, Stream, StreamError } from 'rxmux';
import { http2 } from 'rxmux/http2';
import { connect } from 'rxmux/node';
import type { RunningProgram } from '../../demos/programs.js';
import { until } from '../conformance/wait.js';
import { describeWithPeer, type Peer, peers } from '../support/interop.js';
import { trackProvider } from '../support/leaks.js';
import { digest, echo, noise, noiseHash, type Serving, serving } from './http2-echo.js';
import { type ProxyName, proxyTo } from './http2-proxies.js';

const MiB = 1024 * 1024;

async function textOf(stream: Stream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += new TextDecoder().decode(chunk);
  return text;
}

/** For longer than a proxy takes to say that nobody wants it: that may come a little behind the end of the answer. */
async function* onAndOn(text: string): AsyncGenerator<string> {
  for (let count = 0; count < 400; count++) {
    yield text;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** How a stream ended: cleanly, with the number of a reset, or with its connection. */
type Fate = 'clean' | 'lost' | number;

function fate(closed: Promise<unknown>): Promise<Fate> {
  return closed.then(
    () => 'clean',
    ({ wireCode }: StreamError) => wireCode ?? 'lost',
  );
}

/** What the table in docs/http2.md says of each. */
interface Habits {
  readonly peer: Peer;
  /** What an acceptor that has ended sees of an opener that goes on. */
  readonly afterAcceptorsEnd: 'all of it' | 'nothing more' | 'its connection lost';
  /** What resets with CANCEL and with INTERNAL_ERROR are to the acceptor, and to the opener. */
  readonly resetsByOpener: readonly Fate[];
  readonly resetsByAcceptor: readonly Fate[];
  /** The same, where the opener had ended: `clean` is a truncation that looks like success. */
  readonly resetsAfterEnd: readonly Fate[];
  /** The reader of a stream that is reset sees an end before `closed` says otherwise. */
  readonly endsFirst: boolean;
}

const habits: Readonly<Record<ProxyName, Habits>> = {
  haproxy: {
    peer: peers.haproxy,
    afterAcceptorsEnd: 'all of it',
    resetsByOpener: [8, 8],
    resetsByAcceptor: [8, 8],
    resetsAfterEnd: ['clean', 'clean'],
    endsFirst: true,
  },
  nghttpx: {
    peer: peers.nghttpx,
    afterAcceptorsEnd: 'nothing more',
    resetsByOpener: [2, 2],
    resetsByAcceptor: [2, 2],
    resetsAfterEnd: [2, 2],
    endsFirst: false,
  },
  nginx: {
    peer: peers.nginx,
    afterAcceptorsEnd: 'its connection lost',
    resetsByOpener: ['lost', 'lost'],
    resetsByAcceptor: [2, 2],
    resetsAfterEnd: [2, 2],
    endsFirst: false,
  },
};

describe.each(Object.keys(habits) as ProxyName[])('%s', (name) => {
  const { peer, afterAcceptorsEnd, endsFirst, ...resets } = habits[name];

  describeWithPeer('between our client and our server', peer, () => {
    let proxy: RunningProgram;
    let server: Serving;
    let client: Provider;
    let serve: (stream: Stream) => void;

    beforeEach(async () => {
      serve = echo;
      server = await serving((stream) => serve(stream));
      proxy = await proxyTo(name, server.port);
      client = trackProvider(await connect(`tcp://127.0.0.1:${proxy.port}`, http2));
    });

    afterEach(async () => {
      client.abort();
      await proxy.close();
      await server.close();
    });

    it('passes ten messages to and fro', async () => {
      const stream = client.newStream();
      for (let number = 0; number < 10; number++) {
        await stream.write(`message ${number}`);
        expect(new TextDecoder().decode((await stream.read()) ?? undefined)).toBe(`message ${number}`);
      }
      await stream.end();
      expect(await stream.read()).toBeNull();
    });

    it('passes the half-close of the opener, and what the acceptor says after it', async () => {
      serve = async (stream) => void stream.accept().send(`heard: ${await textOf(stream)}`);
      const stream = client.newStream();
      await stream.send('hello');
      expect(await textOf(stream)).toBe('heard: hello');
    });

    it(`once the acceptor has ended, shows it ${afterAcceptorsEnd} of what the opener says`, async () => {
      let seen = '';
      serve = (stream) => {
        const decoder = new TextDecoder();
        stream.data$.subscribe({
          next: (chunk) => {
            seen += decoder.decode(chunk);
          },
          complete: () => {
            seen += '|';
          },
          error: () => {
            seen += '!';
          },
        });
        void stream.send('done here');
      };
      const stream = client.newStream();
      await stream.write('begun, ');
      expect(await textOf(stream)).toBe('done here');
      if (afterAcceptorsEnd === 'all of it') await stream.send('and not cut');
      else await expect(stream.send(onAndOn('and not cut'))).rejects.toMatchObject({ code: 'stopped' });
      await stream.closed;
      // Another exchange: what there is to see has been seen by then.
      serve = echo;
      const other = client.newStream();
      await other.send('and now?');
      expect(await textOf(other)).toBe('and now?');
      const ends = {
        'all of it': 'begun, and not cut|',
        'nothing more': 'begun, ',
        'its connection lost': 'begun, !',
      };
      expect(seen).toBe(ends[afterAcceptorsEnd]);
    });

    it('cuts nothing of it where the acceptor lets its end wait', async () => {
      let seen: Promise<string> | undefined;
      const patient = await serving(
        (stream) => {
          seen = textOf(stream);
          void stream.send('done here');
        },
        {},
        { lingerEnd: true },
      );
      const way = await proxyTo(name, patient.port);
      const other = trackProvider(await connect(`tcp://127.0.0.1:${way.port}`, http2));
      const stream = other.newStream();
      await stream.write('begun, ');
      await stream.read();
      await stream.send('and not cut');
      expect(await stream.read()).toBeNull();
      expect(await seen).toBe('begun, and not cut');
      other.abort();
      await way.close();
      await patient.close();
    });

    it('keeps the values of a header apart, and brings trailers', async () => {
      serve = (stream) => {
        stream.accept({ 'x-list': ['1', '2'] });
        void stream.end({ 'x-sum': '3' });
      };
      const stream = client.newStream({ 'x-mine': ['a', 'b'] });
      void stream.end();
      expect((await stream.reply).getAll('x-list')).toEqual(['1', '2']);
      expect((await stream.trailers)?.get('x-sum')).toBe('3');
      expect(server.streams[0]?.headers.getAll('x-mine')).toEqual(['a', 'b']);
    });

    it('carries 100 streams at once', async () => {
      const all = Array.from({ length: 100 }, () => client.newStream());
      await Promise.all(
        all.map(async (stream, index) => {
          void stream.send(`stream ${index}`);
          expect(await textOf(stream)).toBe(`stream ${index}`);
        }),
      );
    }, 20_000);

    it('carries 16 MiB each way without a stall', async () => {
      const stream = client.newStream();
      const sent = stream.send(noise(16 * MiB));
      expect(await digest(stream)).toEqual({ bytes: 16 * MiB, hash: noiseHash(16 * MiB) });
      await sent;
    }, 60_000);

    it('makes of a reset what the table says', async () => {
      serve = (stream) => void stream.write('begun');
      const found: Record<keyof typeof resets, Fate[]> = {
        resetsByOpener: [],
        resetsByAcceptor: [],
        resetsAfterEnd: [],
      };
      /** A stream that is open at both ends. */
      async function pair(): Promise<[Stream, Stream]> {
        const stream = client.newStream();
        await stream.read();
        return [stream, server.streams.at(-1) as Stream];
      }
      for (const code of ['cancel', 'internal-error'] as const) {
        const [opener, itsAcceptor] = await pair();
        opener.reset(code);
        found.resetsByOpener.push(await fate(itsAcceptor.closed));
        const [itsOpener, acceptor] = await pair();
        const reading = fate(itsOpener.read());
        acceptor.reset(code);
        found.resetsByAcceptor.push(await fate(itsOpener.closed));
        expect((await reading) === 'clean').toBe(endsFirst);
        const [ended, answering] = await pair();
        void ended.end();
        await answering.read();
        answering.reset(code);
        found.resetsAfterEnd.push(await fate(ended.closed));
      }
      expect(found).toEqual(resets);
    });

    it('shows the loss of the server on `closed`: to the data it may add an end of its own', async () => {
      serve = (stream) => void stream.write('begun');
      const stream = client.newStream();
      expect(await stream.read()).not.toBeNull();
      for (const provider of server.providers) provider.abort();
      await expect(stream.closed).rejects.toMatchObject({ remote: true });
    });

    describe('through a reverse session, for streams that the server opens', () => {
      let opener: Provider;
      const accepted: Stream[] = [];

      beforeEach(async () => {
        accepted.length = 0;
        serve = echo;
        client.accept$.subscribe({
          next: (stream) => {
            accepted.push(stream);
            void serve(stream);
          },
          error: () => {},
        });
        // The POST of the client's brings the connection of the proxy.
        await until(() => server.providers.length > 0, 'the proxy connects to the server');
        opener = server.providers[0] as Provider;
      });

      it('passes ten messages, with even ids', async () => {
        const stream = opener.newStream();
        for (let number = 0; number < 10; number++) {
          await stream.write(`message ${number}`);
          expect(new TextDecoder().decode((await stream.read()) ?? undefined)).toBe(`message ${number}`);
        }
        expect([stream.id, accepted[0]?.id]).toEqual([2, 2]);
        expect([...opener.streams.keys()]).toEqual([2]);
        await stream.end();
        expect(await stream.read()).toBeNull();
      });

      it('cuts nothing, whoever ends first, and keeps headers and trailers', async () => {
        const received: Promise<string>[] = [];
        serve = (stream) => {
          received.push(textOf(stream));
          stream.accept({ 'x-list': ['1', '2'] });
          void stream.write('done here').then(() => stream.end({ 'x-sum': '3' }));
        };
        const stream = opener.newStream({ 'x-mine': ['a', 'b'] });
        expect((await stream.reply).getAll('x-list')).toEqual(['1', '2']);
        expect(await textOf(stream)).toBe('done here');
        expect((await stream.trailers)?.get('x-sum')).toBe('3');
        await stream.send('and not cut');
        expect(await received[0]).toBe('and not cut');
        expect(accepted[0]?.headers.getAll('x-mine')).toEqual(['a', 'b']);
      });

      it('keeps the codes of resets, and never takes one for an end', async () => {
        serve = (stream) => void stream.write('begun');
        for (const [code, wireCode] of [
          ['cancel', 8],
          ['internal-error', 2],
        ] as const) {
          const first = opener.newStream();
          await first.read();
          first.reset(code);
          await expect(accepted.at(-1)?.closed).rejects.toMatchObject({ wireCode, remote: true });
          const second = opener.newStream();
          await second.read();
          accepted.at(-1)?.reset(code);
          await expect(second.closed).rejects.toMatchObject({ wireCode, remote: true });
          await expect(second.read()).rejects.toMatchObject({ wireCode, remote: true });
        }
      });

      it('carries 100 streams at once', async () => {
        const all = Array.from({ length: 100 }, () => opener.newStream());
        await Promise.all(
          all.map(async (stream, index) => {
            void stream.send(`stream ${index}`);
            expect(await textOf(stream)).toBe(`stream ${index}`);
          }),
        );
      }, 20_000);

      it('carries 16 MiB each way without a stall, with one of the client’s own beside it', async () => {
        const stream = opener.newStream();
        const other = client.newStream();
        const sent = [stream.send(noise(16 * MiB)), other.send(noise(16 * MiB))];
        const back = { bytes: 16 * MiB, hash: noiseHash(16 * MiB) };
        expect(await Promise.all([digest(stream), digest(other)])).toEqual([back, back]);
        await Promise.all(sent);
      }, 60_000);

      it('ends with `close()` of the server, after the streams in it', async () => {
        const stream = opener.newStream();
        await stream.write('one, ');
        await until(() => accepted.length > 0, 'the stream arrives');
        const closing = opener.close();
        await stream.send('two');
        expect(await textOf(stream)).toBe('one, two');
        await closing;
        expect(opener.streams.size).toBe(0);
      });
    });
  });
});
