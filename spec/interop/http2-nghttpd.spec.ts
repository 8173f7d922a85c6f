import type { Provider, Stream } from 'rxmux';
import { http2 } from 'rxmux/http2';
import { connect } from 'rxmux/node';
import { type RunningProgram, startProgram } from '../../demos/programs.js';
import { describeWithPeer, peers } from '../support/interop.js';
import { trackProvider } from '../support/leaks.js';
import { digest, noise, noiseHash } from './http2-echo.js';

const MiB = 1024 * 1024;

async function textOf(stream: Stream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += new TextDecoder().decode(chunk);
  return text;
}

describeWithPeer('nghttpd as a server for our client', peers.nghttpd, () => {
  let server: RunningProgram;
  let client: Provider;

  beforeEach(async () => {
    server = await startProgram({
      command: (port) => [
        'nghttpd',
        ...['--no-tls', '-a', '127.0.0.1', '--echo-upload', '-w', '24', '-W', '26', '-m', '1000'],
        String(port),
      ],
    });
    client = trackProvider(await connect(`tcp://127.0.0.1:${server.port}`, http2));
  });

  afterEach(async () => {
    client.abort();
    await server.close();
  });

  it('takes 64 MiB, and sends them back once we have ended', async () => {
    const stream = client.newStream({ ':path': '/echo' });
    await stream.send(noise(64 * MiB));
    expect(await digest(stream)).toEqual({ bytes: 64 * MiB, hash: noiseHash(64 * MiB) });
  }, 60_000);

  it('has 1,000 streams open at once', async () => {
    const all = Array.from({ length: 1000 }, () => client.newStream({ ':path': '/echo' }));
    await Promise.all(all.map((stream, index) => stream.write(`stream ${index}`)));
    expect(client.streams.size).toBe(1000);
    await Promise.all(
      all.map(async (stream, index) => {
        void stream.end();
        expect(await textOf(stream)).toBe(`stream ${index}`);
      }),
    );
  }, 30_000);

  it('refuses with a status, and streams that we reset trouble no other', async () => {
    const missing = client.newStream({ ':method': 'GET', ':path': '/there-is-no-such-file' });
    void missing.end();
    expect((await missing.reply).get(':status')).toBe('404');
    const reset = client.newStream({ ':path': '/echo' });
    await reset.write('half of i');
    reset.reset('internal-error');
    const stream = client.newStream({ ':path': '/echo' });
    await stream.send('still here');
    expect(await textOf(stream)).toBe('still here');
  });
});
