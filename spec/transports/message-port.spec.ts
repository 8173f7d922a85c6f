import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { build, stop } from 'esbuild';
import { framer, fromMessagePort, type MessagePortLike, StreamError, type Transport } from 'rxmux';
import { trackProvider } from '../support/leaks.js';
import { listenTo } from '../support/listen-to.js';

const KiB = 1024;

interface End {
  readonly transport: Transport;
  readonly told: unknown[];
}

function begin(transport: Transport): End {
  return { transport, told: listenTo(transport) };
}

async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 2000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`not within 2 s: ${isSo}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

describe('fromMessagePort()', () => {
  let near: End;
  let far: End;

  beforeEach(() => {
    const { port1, port2 } = new MessageChannel();
    near = begin(fromMessagePort(port1));
    far = begin(fromMessagePort(port2));
  });

  afterEach(() => near.transport.destroy());

  it('says what it needs', () => {
    // What a worker has, and a channel to everybody: neither is a port.
    const half = { postMessage: () => {}, addEventListener: () => {} };
    for (const other of [{}, half]) {
      expect(() => fromMessagePort(other as MessagePortLike)).toThrow('one end of a new MessageChannel()');
    }
  });

  it.each([0, 1])('a port is closed that was so before, by end %i', async (which) => {
    const { port1, port2 } = new MessageChannel();
    [port1, port2][which]?.close();
    await new Promise((resolve) => setTimeout(resolve, 10));
    const end = begin(fromMessagePort(port1));
    await until(() => end.told.length > 0);
    expect(end.told).toEqual([new Error('the port was closed before')]);
  });

  it('and one is open that need not keep a process alive', async () => {
    const { port1, port2 } = new MessageChannel();
    port1.addEventListener('message', () => {});
    (port1 as unknown as { unref(): void }).unref();
    const end = begin(fromMessagePort(port1));
    port2.postMessage(Uint8Array.of(1).buffer);
    await until(() => end.told.length > 0);
    expect(end.told).toEqual([[1]]);
    expect((port1 as unknown as { hasRef(): boolean }).hasRef()).toBe(false);
    end.transport.destroy();
  });

  it('leaves what was written whole, and delivers a copy in one piece', async () => {
    const block = Uint8Array.of(0, 1, 2, 3);
    near.transport.write([block.subarray(1, 3), block.subarray(3)]);
    near.transport.write([block]);
    await until(() => far.told.length === 2);
    expect(far.told).toEqual([
      [1, 2, 3],
      [0, 1, 2, 3],
    ]);
    expect(block.byteLength).toBe(4);
  });

  it('says stop at 256 KiB that are not taken, and go once they are', async () => {
    far.transport.pause();
    expect(near.transport.write([new Uint8Array(256 * KiB - 1)])).toBe(true);
    expect(near.transport.write([new Uint8Array(1)])).toBe(false);
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect([near.told, far.told]).toEqual([[], []]);
    far.transport.resume();
    await until(() => near.told.length > 0);
    expect(near.told).toEqual(['drain']);
    expect(far.told).toHaveLength(2);
  });

  it('keeps what comes while it is paused, in order, and the end behind it', async () => {
    far.transport.pause();
    near.transport.write([Uint8Array.of(1)]);
    near.transport.write([Uint8Array.of(2)]);
    near.transport.end();
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(far.told).toEqual([]);
    far.transport.resume();
    await until(() => far.told.length === 3);
    expect(far.told).toEqual([[1], [2], 'end']);
  });

  it('delivers what came before both had ended once it goes on, and closes then', async () => {
    far.transport.pause();
    far.transport.end();
    await until(() => near.told.length === 1);
    near.transport.write([Uint8Array.of(1)]);
    near.transport.end();
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect([near.told, far.told]).toEqual([['end', 'close'], []]);
    far.transport.resume();
    await until(() => far.told.length === 3);
    expect(far.told).toEqual([[1], 'end', 'close']);
  });

  it('has half-closes, and closes when both ends have ended', async () => {
    near.transport.end();
    expect(near.transport.write([Uint8Array.of(1)])).toBe(false);
    await until(() => far.told.length === 1);
    far.transport.write([Uint8Array.of(2)]);
    await until(() => near.told.length === 1);
    far.transport.end();
    await until(() => near.told.length === 3 && far.told.length === 2);
    expect([near.told, far.told]).toEqual([
      [[2], 'end', 'close'],
      ['end', 'close'],
    ]);
  });

  it('destroy() is told at both ends, once', async () => {
    near.transport.destroy(new Error('enough'));
    near.transport.destroy();
    await until(() => near.told.length > 0 && far.told.length > 0);
    expect(near.told).toEqual([new Error('enough')]);
    expect(far.told).toEqual([new Error('the other end of the port was destroyed')]);
  });

  describe('with a stranger at the other end', () => {
    let port: MessagePort;
    let end: End;

    beforeEach(() => {
      const { port1, port2 } = new MessageChannel();
      port = port1;
      end = begin(fromMessagePort(port2));
    });

    afterEach(() => port.close());

    it.each([
      ['text of its own is its goodbye', 'nothing more', 'nothing more'],
      ['an object is no bytes', {}, 'the other end of the port posts something else than bytes'],
      ['more cannot be taken than was written', 8, 'the other end of the port took 8 bytes of 7'],
      ['nor less than nothing', -1, 'the other end of the port took -1 bytes of 7'],
      ['nor what is no number', Number.NaN, 'the other end of the port took NaN bytes of 7'],
    ])('%s', async (_name, message, sentence) => {
      end.transport.write([new Uint8Array(7)]);
      port.postMessage(message);
      await until(() => end.told.length > 0);
      expect(end.told).toEqual([new Error(sentence)]);
    });

    it('a port that is closed is a bad end', async () => {
      port.close();
      await until(() => end.told.length > 0);
      expect(end.told).toEqual([new Error('the other end of the port is gone')]);
    });

    describe('that is gone after its end', () => {
      const gone = new Error('the other end of the port is gone');

      async function endAndClose(): Promise<void> {
        port.postMessage(new ArrayBuffer(1));
        port.postMessage(null);
        port.close();
        await new Promise((resolve) => setTimeout(resolve, 10));
      }

      it('what it said is delivered to who was paused, whatever that writes', async () => {
        end.transport.pause();
        await endAndClose();
        expect(end.told).toEqual([]);
        expect(end.transport.write([new Uint8Array(256 * KiB)])).toBe(true);
        end.transport.resume();
        await until(() => end.told.length === 3);
        expect(end.told).toEqual([[0], 'end', gone]);
      });

      it('or ends before it goes on', async () => {
        end.transport.pause();
        await endAndClose();
        end.transport.end();
        end.transport.resume();
        await until(() => end.told.length === 3);
        expect(end.told).toEqual([[0], 'end', 'close']);
      });

      it('who waits for room is told at once, since none will come', async () => {
        end.transport.pause();
        end.transport.write([new Uint8Array(256 * KiB)]);
        await endAndClose();
        expect(end.told).toEqual([gone]);
      });

      it('and destroy() needs nobody who reads', async () => {
        end.transport.pause();
        await endAndClose();
        end.transport.destroy();
        await until(() => end.told.length > 0);
        expect(end.told).toEqual(['close']);
      });
    });

    it('what is posted beyond measure while nobody reads is given up on', async () => {
      end.transport.pause();
      for (let count = 0; count < 4; count++) port.postMessage(new ArrayBuffer(256 * KiB));
      port.postMessage(new ArrayBuffer(0));
      await new Promise((resolve) => setTimeout(resolve, 10));
      expect(end.told).toEqual([]);
      port.postMessage(new ArrayBuffer(1));
      await until(() => end.told.length > 0);
      expect(end.told).toEqual([new Error('1048577 bytes in 5 messages came while nobody could read them')]);
    });

    it('so are small messages without number', async () => {
      end.transport.pause();
      for (let count = 0; count < 32 * KiB + 1; count++) port.postMessage(new ArrayBuffer(1));
      await until(() => end.told.length > 0);
      expect(end.told).toEqual([
        new Error('32769 bytes in 32769 messages came while nobody could read them'),
      ]);
    });

    it.each([[null], [new ArrayBuffer(1)]])('and whatever comes after the end: %p', async (message) => {
      end.transport.pause();
      port.postMessage(null);
      port.postMessage(message);
      await until(() => end.told.length > 0);
      expect(end.told).toEqual([new Error('the other end of the port posts after its end')]);
    });
  });
});

it('a provider reads all of a peer that was gone right behind its end', async () => {
  const { port1, port2 } = new MessageChannel();
  const near = fromMessagePort(port1);
  const end = near.end.bind(near);
  near.end = () => {
    end();
    port1.close();
  };
  const client = trackProvider(framer(near, { role: 'client' }));
  const server = trackProvider(
    framer(fromMessagePort(port2), { role: 'server', limits: { maxFramesPerTurn: 4 } }),
  );
  const there: Promise<number>[] = [];
  server.accept$.subscribe({
    next: (stream) => {
      void stream.end();
      there.push(
        (async () => {
          let bytes = 0;
          for await (const chunk of stream) bytes += chunk.byteLength;
          return bytes;
        })(),
      );
    },
    error: () => {},
  });
  const streams = Array.from({ length: 20 }, () => client.newStream());
  for (const stream of streams) for await (const _ of stream) throw new Error('nothing is answered');
  for (const stream of streams) void stream.send(new Uint8Array(2000));
  await client.close();
  expect(await Promise.all(there)).toEqual(streams.map(() => 2000));
  await server.closed;
});

describe('a thread at the other end', () => {
  let script: string;

  beforeAll(async () => {
    const { outputFiles } = await build({
      stdin: {
        contents: `
          import { framer, fromMessagePort } from 'rxmux';
          const { workerData } = require('node:worker_threads');
          const provider = framer(fromMessagePort(workerData), { role: 'server' });
          provider.accept$.subscribe({ next: (stream) => stream.send(stream.data$), error: () => {} });
        `,
        resolveDir: import.meta.dirname,
      },
      alias: { rxmux: join(import.meta.dirname, '../../lib/index.ts') },
      bundle: true,
      platform: 'node',
      write: false,
      logLevel: 'error',
    });
    await stop();
    script = (outputFiles[0] as { text: string }).text;
  });

  it('echoes 8 MiB, and is missed when it is gone', async () => {
    const { port1, port2 } = new MessageChannel();
    const worker = new Worker(script, { eval: true, workerData: port2, transferList: [port2 as never] });
    const provider = trackProvider(framer(fromMessagePort(port1), { role: 'client' }));
    const block = new Uint8Array(64 * KiB).map((_, index) => index);
    const stream = provider.newStream();
    void stream.send(Array.from({ length: 128 }, () => block));
    let bytes = 0;
    for await (const chunk of stream) {
      if (chunk.some((byte, index) => byte !== ((bytes + index) & 255))) throw new Error('other bytes');
      bytes += chunk.byteLength;
    }
    expect(bytes).toBe(8 * KiB * KiB);
    const left = provider.newStream();
    await left.write('hello');
    const exited = once(worker, 'exit');
    await worker.terminate();
    await exited;
    const error: unknown = await left.closed.catch((reason) => reason);
    expect(StreamError.is(error) && [error.code, (error.cause as Error).message]).toEqual([
      'closed',
      'the other end of the port is gone',
    ]);
  });
});
