import { Duplex } from 'node:stream';
import { framer } from 'rxmux/framer';
import { fromDuplex } from 'rxmux/node';
import { trackProvider } from '../support/leaks.js';
import { hello, join, open } from './frames.js';
import { settled } from './raw-peer.js';

/** As a socket is whose peer has reset it: a write fails at once, and the error is told a moment later. */
class Broken extends Duplex {
  isGone = false;
  writes = 0;

  override _read(): void {}

  override _write(_chunk: Uint8Array, _encoding: string, done: (error?: Error) => void): void {
    this.#fail(done);
  }

  override _writev(_chunks: unknown, done: (error?: Error) => void): void {
    this.#fail(done);
  }

  #fail(done: (error?: Error) => void): void {
    if (!this.isGone) {
      done();
      return;
    }
    this.writes++;
    done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
  }
}

describe('a peer that asked for much and is gone', () => {
  it('is not written to until its window is full', async () => {
    const socket = new Broken();
    const provider = trackProvider(framer(fromDuplex(socket), { role: 'server' }));
    let pulled = 0;
    provider.accept$.subscribe({
      next: (stream) => {
        const source = (function* () {
          for (; pulled < 64 * 1024 * 1024; pulled += 16_384) yield new Uint8Array(16_384);
        })();
        void stream.send(source);
      },
      error: () => {},
    });
    await settled();
    socket.isGone = true;
    socket.push(join(hello(), open(1)));
    await expect(provider.closed).rejects.toMatchObject({ code: 'closed' });
    await settled();
    expect(provider.streams.size).toBe(0);
    expect(socket.writes).toBeLessThan(10);
    expect(pulled).toBeLessThanOrEqual(1024 * 1024);
  });
});
