/** golang.org/x/net/http2 as a client and as a server: see go/http2/main.go. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Provider, Stream, StreamError } from 'rxmux';
import { http2 } from 'rxmux/http2';
import { connect } from 'rxmux/node';
import { describeWithPeer, peers } from '../support/interop.js';
import { trackProvider } from '../support/leaks.js';
import { buildGo, serveGo } from './go-program.js';
import { digest, echo, noise, noiseHash, run, type Serving, serving } from './http2-echo.js';

const MiB = 1024 * 1024;
const bulk = { bytes: 64 * MiB, hash: '' };

async function textOf(stream: Stream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += new TextDecoder().decode(chunk);
  return text;
}

describeWithPeer('Go x/net/http2', peers.goHttp2, () => {
  let program: string;
  let remove: () => Promise<void>;

  beforeAll(async () => {
    ({ program, remove } = await buildGo('http2'));
    bulk.hash = noiseHash(bulk.bytes);
  }, 120_000);

  afterAll(() => remove?.());

  describe('as a client of our server', () => {
    let server: Serving;
    let serve: (stream: Stream) => void;

    beforeEach(async () => {
      serve = echo;
      server = await serving((stream) => void serve(stream), { maxStreams: 1000, backlog: 1000 });
    });

    afterEach(() => server.close());

    async function go(act: string, ...args: readonly (string | number)[]): Promise<Record<string, unknown>> {
      const { code, out, err } = await run(program, [act, `127.0.0.1:${server.port}`, ...args.map(String)]);
      expect([code, err]).toEqual([0, '']);
      return JSON.parse(out) as Record<string, unknown>;
    }

    it('posts 64 MiB and gets them back', async () => {
      expect(await go('echo', bulk.bytes)).toEqual(bulk);
    }, 60_000);

    it('has 1,000 streams open at once', async () => {
      // No answer before all of them are there.
      const waiting: Stream[] = [];
      serve = (stream) => {
        waiting.push(stream);
        if (waiting.length === 1000) for (const one of waiting) echo(one);
      };
      expect(await go('many', 1000)).toEqual({ right: 1000 });
      expect(server.providers).toHaveLength(1);
    }, 30_000);

    it('sends and receives line by line, and half-closes first', async () => {
      expect(await go('lines', 100)).toEqual({ lines: 100, rest: 0 });
    });

    it('goes on sending when our answer has ended', async () => {
      let arrived: Promise<unknown> | undefined;
      serve = (stream) => {
        void stream.send('done here');
        arrived = digest(stream);
      };
      const child = spawn(program, ['late', `127.0.0.1:${server.port}`, String(MiB)], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      const exited = once(child, 'exit');
      const [said] = await once(child.stdout, 'data');
      expect(JSON.parse(String(said))).toEqual({ body: 'done here' });
      expect(await arrived).toEqual({ bytes: MiB, hash: noiseHash(MiB) });
      await (server.streams[0] as Stream).closed;
      child.stdin.end();
      await exited;
    });

    it('reads multi-valued headers, and trailers', async () => {
      serve = (stream) => {
        stream.accept({ 'x-list': stream.headers.getAll('x-mine') });
        void stream.write('an answer').then(() => stream.end({ 'x-sum': '3' }));
      };
      const list = ['a', 'b'];
      expect(await go('trailers')).toEqual({ status: 200, list, body: 'an answer', sum: '3' });
    });

    it('gives up: we see CANCEL', async () => {
      const child = spawn(program, ['cancel', `127.0.0.1:${server.port}`], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      const exited = once(child, 'exit');
      const [said] = await once(child.stdout, 'data');
      expect(String(said)).toContain('context canceled');
      const error = await (server.streams[0] as Stream).closed.catch((reason: StreamError) => reason);
      expect(error).toMatchObject({ code: 'reset', wireCode: 8, remote: true });
      child.stdin.end();
      await exited;
    });

    it.each([
      ['cancel', 8],
      ['internal-error', 2],
      ['protocol-error', 1],
      ['overflow', 11],
      [13, 13],
    ] as const)('sees our reset with %s as %i, and not as an end', async (code, number) => {
      serve = (stream) => void stream.write('half of i').then(() => stream.reset(code));
      expect(await go('fate')).toEqual({ status: 200, body: 'half of i', reset: true, code: number });
    });

    it('sees a refusal with headers as a status', async () => {
      serve = (stream) => stream.reject('refused', { ':status': '429' });
      expect(await go('fate')).toMatchObject({ status: 429, body: '' });
    });
  });

  describe('as a server for our client', () => {
    let server: { port: string; end(): Promise<void> };
    let client: Provider;

    beforeEach(async () => {
      server = await serveGo(program);
      client = trackProvider(await connect(`tcp://127.0.0.1:${server.port}`, http2));
    });

    afterEach(async () => {
      client.abort();
      await server.end();
    });

    const post = (path: string, headers: Record<string, string | string[]> = {}): Stream =>
      client.newStream({ ':path': path, ...headers });

    it('takes 64 MiB and sends them back', async () => {
      const stream = post('/echo');
      const sent = stream.send(noise(bulk.bytes));
      expect(await digest(stream)).toEqual(bulk);
      await sent;
    }, 60_000);

    it('takes 64 MiB, and 64 MiB come one way', async () => {
      const up = post('/late');
      await up.send(noise(bulk.bytes));
      expect(await textOf(up)).toBe(`${bulk.bytes} ${bulk.hash}`);
      const down = post('/give', { 'x-bytes': String(bulk.bytes) });
      void down.end();
      expect(await digest(down)).toEqual(bulk);
    }, 60_000);

    it('has 1,000 streams open at once', async () => {
      const all = Array.from({ length: 1000 }, () => post('/echo'));
      await Promise.all(all.map((stream) => stream.reply));
      expect(client.streams.size).toBe(1000);
      await Promise.all(
        all.map(async (stream, index) => {
          void stream.send(`stream ${index}`);
          expect(await textOf(stream)).toBe(`stream ${index}`);
        }),
      );
    }, 30_000);

    it('echoes message by message, and sends what it has after our half-close', async () => {
      const stream = post('/echo');
      for (let number = 0; number < 10; number++) {
        await stream.write(`message ${number}`);
        expect(new TextDecoder().decode((await stream.read()) ?? undefined)).toBe(`message ${number}`);
      }
      await stream.end();
      expect(await stream.read()).toBeNull();
      await stream.closed;
    });

    it('ends before we do: the rest of our half is stopped, and its answer is whole', async () => {
      const stream = post('/early');
      expect(await textOf(stream)).toBe('done here');
      await stream.closed;
    });

    it('keeps the values of a header apart, and sends trailers', async () => {
      const stream = post('/headers', { 'x-mine': ['1', '2'] });
      expect((await stream.reply).getAll('x-list')).toEqual(['1', '2']);
      void stream.end();
      expect((await stream.trailers)?.get('x-sum')).toBe('3');
    });

    it('refuses with a status, and resets with a code', async () => {
      await expect(post('/refuse').reply).rejects.toMatchObject({ code: 'refused', wireCode: 404 });
      const aborted = post('/abort');
      void aborted.end();
      await expect(textOf(aborted)).rejects.toMatchObject({ code: 'reset', wireCode: 2, remote: true });
    });

    it('does not open streams, and does not mind being asked for a reverse session', async () => {
      const accepted = client.accept();
      const stream = post('/echo');
      await stream.send('still here');
      expect(await textOf(stream)).toBe('still here');
      client.abort(new Error('enough'));
      await expect(accepted).rejects.toMatchObject({ code: 'closed' });
    });
  });
});
