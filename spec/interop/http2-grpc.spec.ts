/** grpc-go with the options it comes with, which measures with pings: see go/grpc/main.go. */
import type { Provider, Stream } from 'rxmux';
import { http2 } from 'rxmux/http2';
import { connect } from 'rxmux/node';
import { describeWithPeer, peers } from '../support/interop.js';
import { trackProvider } from '../support/leaks.js';
import { buildGo, serveGo } from './go-program.js';
import { run, type Serving, serving } from './http2-echo.js';

/** A message as it is in DATA: not compressed, and its length. */
function message(text: string): Buffer {
  const bytes = Buffer.alloc(5 + text.length);
  bytes.writeUInt32BE(text.length, 1);
  bytes.write(text, 5);
  return bytes;
}

async function readAll(stream: Stream, bytes: number): Promise<Buffer> {
  let all: Buffer = Buffer.alloc(0);
  while (all.length < bytes) {
    const chunk = await stream.read();
    if (chunk === null) throw new Error(`the stream ended after ${all.length} of ${bytes} bytes`);
    all = Buffer.concat([all, chunk]);
  }
  return all;
}

/** A handler that echoes what comes; messages are not looked into. */
async function serveEcho(stream: Stream): Promise<void> {
  stream.accept({ 'content-type': 'application/grpc' });
  for await (const chunk of stream) await stream.write(chunk.slice());
  await stream.end({ 'grpc-status': '0' });
}

describeWithPeer('grpc-go', peers.goGrpc, () => {
  let program: string;
  let remove: () => Promise<void>;

  beforeAll(async () => {
    ({ program, remove } = await buildGo('grpc'));
  }, 120_000);

  afterAll(() => remove?.());

  describe('as a client of our server', () => {
    let server: Serving;
    let pings = 0;

    beforeEach(async () => {
      pings = 0;
      server = await serving((stream) => {
        const session = server.providers.at(-1);
        if (server.streams.length === 1)
          session?.frames$.subscribe(({ name, direction }) => {
            if (name === 'PING' && direction === 'in') pings++;
          });
        void serveEcho(stream).catch(() => {});
      });
    });

    afterEach(() => server.close());

    it.each([
      ['reads the messages of a stream', 'stream'],
      ['calls again and again', 'calls'],
    ])(
      '%s, and pings for each',
      async (_does, act) => {
        const { code, out, err } = await run(program, [act, `127.0.0.1:${server.port}`, '200']);
        expect([code, err, out]).toEqual([0, '', '{"right":200}\n']);
        expect(server.providers).toHaveLength(1);
        expect(pings).toBeGreaterThan(100);
      },
      20_000,
    );
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

    it('echoes the messages of a stream, and pings for each', async () => {
      let pings = 0;
      client.frames$.subscribe(({ name, direction }) => {
        if (name === 'PING' && direction === 'in') pings++;
      });
      const headers = { 'content-type': 'application/grpc', te: 'trailers' };
      const stream = client.newStream({ ':path': '/spec.Spec/Stream', ...headers });
      for (let number = 0; number < 200; number++) {
        const sent = message(`message ${number}`);
        await stream.write(sent);
        expect(await readAll(stream, sent.length)).toEqual(sent);
      }
      await stream.end();
      expect(await stream.read()).toBeNull();
      expect((await stream.trailers)?.get('grpc-status')).toBe('0');
      expect(pings).toBeGreaterThan(100);
    }, 20_000);
  });
});
