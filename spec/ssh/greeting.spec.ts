/** What a peer says before anything else may come in pieces. */
import { memoryPair, type Provider } from 'rxmux';
import { ssh } from 'rxmux/ssh';
import type { Transport } from '../../lib/api.js';
import { Greeting } from '../../lib/ssh/greeting.js';
import { trackPair } from '../support/leaks.js';
import { trusting } from '../support/ssh.js';

const ascii = (text: string): Uint8Array => Buffer.from(text, 'latin1');

/** What a greeting gives for each of some reads. */
function given(of: 'client' | 'server', reads: readonly string[]): (string | null)[] {
  const greeting = new Greeting(of);
  return reads.map((read) => {
    const bytes = greeting.push(ascii(read));
    return bytes === null ? null : Buffer.from(bytes).toString('latin1');
  });
}

describe('a greeting', () => {
  it('of a client is over with its first line, whatever that is', () => {
    expect(given('client', ['SS', 'H-2.0', '-x\r', '\n'])).toEqual([null, null, null, 'SSH-2.0-x\r\n']);
    expect(given('client', ['GET / HTTP/1.1\r', '\nHo'])).toEqual([null, 'GET / HTTP/1.1\r\nHo']);
  });

  it('of a server is over with the line that says what it is', () => {
    const reads = ['hello\r\n', 'not SSH-2.0-y\r\n', 'SSH-2.0', '-x\r', '\nmore'];
    expect(given('server', reads)).toEqual([null, null, null, null, reads.join('')]);
    expect(given('server', ['SSH-2.0-x\n'])).toEqual(['SSH-2.0-x\n']);
  });

  it('that goes on and on is given as it is', () => {
    for (const of of ['client', 'server'] as const) {
      expect(given(of, ['x'.repeat(8192)])).toEqual([null]);
      expect(given(of, ['x'.repeat(8192), 'y'])).toEqual([null, `${'x'.repeat(8192)}y`]);
    }
  });
});

/** A transport whose reads are of so many bytes at most, for the first 64 KiB. */
function cut(raw: Transport, most: number): Transport {
  let left = 64 * 1024;
  return {
    start: (handlers) =>
      raw.start({
        ...handlers,
        onData(chunk) {
          let at = 0;
          for (; left > 0 && at < chunk.byteLength; at += most) {
            handlers.onData(chunk.subarray(at, at + most));
            left -= most;
          }
          if (at < chunk.byteLength) handlers.onData(chunk.subarray(at));
        },
      }),
    write: (chunks) => raw.write(chunks),
    pause: () => raw.pause(),
    resume: () => raw.resume(),
    end: () => raw.end(),
    destroy: (error) => raw.destroy(error),
  };
}

describe('a login', () => {
  it.each([1, 2, 3, 5, 8])('whose bytes come %i at a time succeeds', async (most) => {
    const [near, far] = memoryPair();
    const client: Provider = ssh(trusting())(cut(near, most), { role: 'client' });
    const server: Provider = ssh(trusting())(cut(far, most), { role: 'server' });
    trackPair([client, server]);
    await client.ping();
    await server.ping();
    await client.close();
    await server.closed;
  });
});
