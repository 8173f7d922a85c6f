import { spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { type Provider, StreamError } from 'rxmux';
import { framer } from 'rxmux/framer';
import { fromDuplex } from 'rxmux/node';
import { collect } from '../conformance/bytes.js';
import { trackProvider } from '../support/leaks.js';

/** The plugin of docs/recipes.md: it serves on its standard input and output, and ends when the host does. */
const plugin = `
  import { framer } from 'rxmux/framer';
  import { fromDuplex } from 'rxmux/node';

  const host = framer(fromDuplex({ readable: process.stdin, writable: process.stdout }), { role: 'server' });
  host.accept$.subscribe({
    next: (stream) => {
      if (stream.headers.get(':path') === '/print') process.stdout.write('not a frame');
      if (stream.headers.get(':path') === '/exit') process.exit(3);
      void stream.send(stream.data$).catch(() => {});
    },
    error: () => {},
  });
`;

const root = join(import.meta.dirname, '../..');

/** A plugin that runs what was built, and the host's end of its standard input and output. */
function start(): { host: Provider; gone: Promise<number | null> } {
  const child = spawn(process.execPath, ['--input-type=module', '-e', plugin], {
    cwd: root,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [writable, readable] = child.stdio as unknown as [Writable, Readable];
  const host = framer(fromDuplex({ readable, writable }));
  trackProvider(host, 'the host');
  return { host, gone: once(child, 'close').then(([code]) => code as number | null) };
}

describe("a plugin on a child's standard input and output", () => {
  it('carries streams both ways, and ends by itself when the host closes', async () => {
    const { host, gone } = start();
    const sent = randomFillSync(new Uint8Array(1 << 20));
    const echoes = Array.from({ length: 20 }, async () => {
      const stream = host.newStream({ ':path': '/echo' });
      const [got] = await Promise.all([collect(stream), stream.send(sent)]);
      return Buffer.from(got).equals(sent);
    });
    expect(await Promise.all(echoes)).toEqual(new Array(20).fill(true));
    await host.close();
    expect(await gone).toBe(0);
  }, 30_000);

  it('ends with the host, also when that is cut off', async () => {
    const { host, gone } = start();
    const stream = host.newStream({ ':path': '/echo' });
    await stream.write(new Uint8Array(10));
    await stream.read();
    host.abort();
    expect(await gone).toBe(0);
  }, 30_000);

  it('that prints to its standard output is told apart from a stream that ends', async () => {
    const { host, gone } = start();
    const error = await collect(host.newStream({ ':path': '/print' })).catch((reason) => reason);
    expect(error).toBeInstanceOf(StreamError);
    expect(error.code).toBe('protocol');
    await gone;
  }, 30_000);

  it('that exits loses its streams', async () => {
    const { host, gone } = start();
    const error = await collect(host.newStream({ ':path': '/exit' })).catch((reason) => reason);
    expect(error).toBeInstanceOf(StreamError);
    expect(error.code).toBe('closed');
    expect(await gone).toBe(3);
  }, 30_000);

  it('that lingers with its standard output open holds nothing of the host open', async () => {
    const child = spawn('/bin/sh', ['-c', 'cat >/dev/null; exec sleep 60'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const { stdout: readable, stdin: writable } = child;
    const host = trackProvider(framer(fromDuplex({ readable, writable }), { limits: { closeMs: 20 } }));
    await host.close().catch(() => {});
    await host.closed.catch(() => {});
    expect([readable.destroyed, writable.destroyed]).toEqual([true, true]);
    child.kill('SIGKILL');
    await once(child, 'close');
  });
});
