import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { framer } from 'rxmux/framer';
import { connect, fromWebSocket, type Provider } from 'rxmux/node';
import { WebSocket } from 'ws';
import { selfSigned } from '../../demos/transfer/tls.js';
import { zeros } from '../bounded/load.js';
import { collect } from '../conformance/bytes.js';
import { trackProvider } from '../support/leaks.js';

const MiB = 1024 * 1024;

/** Tells of each stream, at its end, how often the heap was collected in full meanwhile. */
const receiver = `
  import { constants, PerformanceObserver } from 'node:perf_hooks';
  import { framer } from 'rxmux/framer';
  import { fromWebSocket, listen } from 'rxmux/node';
  import { WebSocketServer } from 'ws';

  let full = 0;
  new PerformanceObserver((list) => {
    for (const { detail } of list.getEntries()) if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) full++;
  }).observe({ entryTypes: ['gc'] });

  const serve = (provider) => provider.accept$.subscribe({
    next: (stream) => {
      const before = full;
      let bytes = 0;
      stream.data$.subscribe({
        next: (chunk) => { bytes += chunk.byteLength; },
        // What is observed is told in a later turn.
        complete: () => setTimeout(() => stream.send([Buffer.from(JSON.stringify({ bytes, full: full - before }))]), 5),
        error: () => {},
      });
    },
    complete: () => process.exit(),
    error: () => process.exit(1),
  });

  const { ADDRESS: address, KEY: key, CERT: cert } = process.env;
  if (address.startsWith('ws:')) {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    server.on('listening', () => process.stdout.write('ws://127.0.0.1:' + server.address().port));
    server.on('connection', (socket) => serve(framer(fromWebSocket(socket), { role: 'server' })));
  } else {
    const listener = await listen(address, framer, { tls: { key, cert } });
    process.stdout.write(listener.address);
    listener.accept$.subscribe(serve);
  }
`;

const dial = async (address: string, ca: string): Promise<Provider> =>
  address.startsWith('ws:')
    ? framer(fromWebSocket(new WebSocket(address)), { role: 'client' })
    : await connect(address, framer, { tls: { ca, servername: 'localhost' } });

const root = join(import.meta.dirname, '../..');

describe('a receiver of bytes that keeps none of them', () => {
  it.each(['tcp://127.0.0.1:0', 'tls://127.0.0.1:0', 'ws://127.0.0.1:0'])(
    'hardly has its heap collected in full: %s',
    async (address) => {
      const { key, cert } = selfSigned('localhost');
      const child = spawn(process.execPath, ['--input-type=module', '-e', receiver], {
        cwd: root,
        env: { ...process.env, ADDRESS: address, KEY: key, CERT: cert },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exited = once(child, 'close');
      const [listening] = (await once(child.stdout, 'data')) as [Buffer];
      const provider = await dial(listening.toString(), cert);
      trackProvider(provider, 'the sender');
      const receive = async (bytes: number): Promise<{ bytes: number; full: number }> => {
        const stream = provider.newStream();
        const [told] = await Promise.all([collect(stream), stream.send(zeros(bytes, 64 * 1024))]);
        return JSON.parse(Buffer.from(told).toString());
      };
      // Once, for what it makes at first.
      expect((await receive(64 * MiB)).bytes).toBe(64 * MiB);
      const { bytes, full } = await receive(192 * MiB);
      expect(bytes).toBe(192 * MiB);
      expect(full).toBeLessThanOrEqual(2);
      await provider.close();
      expect(await exited).toEqual([0, null]);
    },
    60_000,
  );
});
