/** Apache between: what it does with HTTP/2 that no other proxy does. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Provider, Stream } from 'rxmux';
import { http2 } from 'rxmux/http2';
import { connect } from 'rxmux/node';
import { type RunningProgram, startProgram } from '../../demos/programs.js';
import { describeWithPeer, type Peer, peers } from '../support/interop.js';
import { trackProvider } from '../support/leaks.js';
import { digest, noise, noiseHash, type Serving, serving } from './http2-echo.js';

const apache: Peer = { name: 'Apache', path: '/usr/sbin/apache2', debianPackage: 'apache2-bin' };
const modules = ['mpm_event', 'authz_core', 'http2', 'proxy', 'proxy_http', 'proxy_http2'];
/** Only root has another user to be. */
const user = process.getuid?.() === 0 ? 'User www-data\nGroup www-data' : '';

function apacheTo(port: number): Promise<RunningProgram> {
  return startProgram({
    configuration: (from, folder) => `
ServerRoot ${folder}
ServerName localhost
PidFile ${folder}/pid
ErrorLog ${folder}/error
Mutex file:${folder} default
${user}
Listen 127.0.0.1:${from}
${modules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join('\n')}
Protocols h2c http/1.1
ProxyPass / h2c://127.0.0.1:${port}/
`,
    command: (_from, folder) => [apache.path as string, '-X', '-f', join(folder, 'configuration')],
  });
}

describeWithPeer('Apache between a client and our server', [apache, peers.curl], () => {
  let proxy: RunningProgram;
  let server: Serving;
  let serve: (stream: Stream) => Promise<unknown>;

  beforeAll(async () => {
    server = await serving((stream) => void serve(stream).catch(() => {}));
    proxy = await apacheTo(server.port);
  });

  afterAll(async () => {
    await proxy?.close();
    await server?.close();
  });

  it('passes hundreds of short answers with trailers, before which it puts an empty DATA', async () => {
    serve = async (stream) => {
      await stream.write('short');
      await stream.end({ 'grpc-status': '0' });
    };
    const client: Provider = trackProvider(await connect(`tcp://127.0.0.1:${proxy.port}`, http2));
    let empty = 0;
    client.frames$.subscribe(({ direction, name, length, flags }) => {
      if (direction === 'in' && name === 'DATA' && length === 0 && flags === 0) empty++;
    });
    const one = async (): Promise<void> => {
      for (let count = 0; count < 20; count++) {
        const stream = client.newStream();
        void stream.end();
        let text = '';
        for await (const chunk of stream) text += new TextDecoder().decode(chunk);
        expect(text).toBe('short');
        expect((await stream.trailers)?.get('grpc-status')).toBe('0');
      }
    };
    await Promise.all(Array.from({ length: 20 }, one));
    expect(empty).toBeGreaterThan(200);
    client.abort();
    await client.closed.catch(() => {});
  });

  it('passes an upload whose sender waits for 100, as curl does', async () => {
    const size = 3_000_000;
    serve = async (stream) => {
      await stream.send((await digest(stream)).hash);
    };
    const url = `http://127.0.0.1:${proxy.port}/`;
    const options = [
      '-sS',
      '-m',
      '20',
      '--http1.1',
      '--expect100-timeout',
      '60',
      '-H',
      'Expect: 100-continue',
    ];
    const curl = spawn('curl', [...options, '-T', '-', url], { stdio: ['pipe', 'pipe', 'inherit'] });
    const exited = once(curl, 'exit');
    curl.stdin.on('error', () => {});
    for (const piece of noise(size)) curl.stdin.write(piece);
    curl.stdin.end();
    const answer = await curl.stdout.setEncoding('utf8').toArray();
    expect(answer.join('')).toBe(noiseHash(size));
    expect(await exited).toEqual([0, null]);
  }, 30_000);
});
