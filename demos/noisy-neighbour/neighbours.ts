/** One connection with two streams, whoever multiplexes them: bulk that is thrown away, and pings that are sent back. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Protocol, Stream } from 'rxmux';
import { connect, listen } from 'rxmux/node';

export interface Neighbours {
  /** Sends without a pause until the process ends, as fast as flow control lets it. */
  startBulk(): void;
  /** One round trip on a stream of its own. */
  ping(): Promise<void>;
  /** What of the bulk has arrived. */
  readonly arrived: number;
  close(): Promise<void>;
}

const bulkByte = 0x62;
const pingByte = 0x70;
const chunk: Uint8Array = new Uint8Array(64 * 1024).fill(bulkByte);
const message: Uint8Array = new Uint8Array(64).fill(pingByte);

/** Ours, by the public interface. */
export async function ours(protocol: Protocol): Promise<Neighbours> {
  let arrived = 0;
  const listener = await listen('tcp://127.0.0.1:0', protocol);
  const take = async (stream: Stream): Promise<void> => {
    const first = await stream.read();
    if (first?.[0] === pingByte) {
      await stream.write(first);
      await stream.send(stream.data$);
    } else {
      arrived += first?.byteLength ?? 0;
      stream.data$.subscribe({
        next: (bytes) => {
          arrived += bytes.byteLength;
        },
        error: () => {},
      });
    }
  };
  listener.accept$.subscribe((connection) => {
    connection.accept$.subscribe({ next: (stream) => void take(stream).catch(() => {}), error: () => {} });
  });
  const client = await connect(listener.address, protocol);
  const pings = client.newStream();
  return {
    startBulk() {
      const forever = function* (): Generator<Uint8Array> {
        for (;;) yield chunk;
      };
      void client.newStream().send(forever());
    },
    async ping() {
      await pings.write(message);
      for (let left = message.byteLength; left > 0; ) left -= (await pings.read())?.byteLength ?? left;
    },
    get arrived() {
      return arrived;
    },
    async close() {
      client.abort();
      await client.closed.catch(() => {});
      await listener.close();
    },
  };
}

/** What the benchmark's adapters have in common. */
interface Adapter {
  readonly io: {
    write(stream: unknown, bytes: Uint8Array): boolean;
    onData(stream: unknown, next: (bytes: Uint8Array) => void): void;
    onDrain(stream: unknown, drained: () => void): void;
    onError?(stream: unknown, failed: (error: unknown) => void): void;
  };
  listen(onStream: (stream: unknown) => void): Promise<number>;
  connect(port: number): Promise<unknown>;
  open(session: unknown, opened: (stream: unknown) => void): void;
}

/** A peer of the benchmark, or null if it is not installed there (`npm ci` in spec/bench). */
export async function peer(name: string): Promise<Neighbours | null> {
  const folder = benchFolder();
  const isBuiltIn = name === 'http2';
  if (!isBuiltIn && !existsSync(join(folder, 'node_modules', name))) return null;
  const file = pathToFileURL(join(folder, 'adapters', `${name}.mjs`)).href;
  const { default: adapter } = (await import(file)) as { default: Adapter };
  const { io } = adapter;
  let arrived = 0;
  const port = await adapter.listen((stream) => {
    io.onError?.(stream, () => {});
    io.onData(stream, (bytes) => {
      if (bytes[0] === pingByte) io.write(stream, bytes);
      else arrived += bytes.byteLength;
    });
  });
  const session = await adapter.connect(port);
  const open = (): Promise<unknown> => new Promise((resolve) => adapter.open(session, resolve));
  const pings = await open();
  let left = 0;
  let answered = (): void => {};
  io.onError?.(pings, () => {});
  io.onData(pings, (bytes) => {
    left -= bytes.byteLength;
    if (left <= 0) answered();
  });
  return {
    startBulk() {
      void open().then((stream) => {
        io.onError?.(stream, () => {});
        io.onData(stream, () => {});
        const pump = (): void => {
          while (io.write(stream, chunk));
          io.onDrain(stream, pump);
        };
        pump();
      });
    },
    ping: () =>
      new Promise((resolve) => {
        answered = resolve;
        left = message.byteLength;
        io.write(pings, message);
      }),
    get arrived() {
      return arrived;
    },
    // The benchmark ends its peers with their process, and so does this.
    close: async () => {},
  };
}

/** In the repository around this file, which runs from dist/ as well as from its source. */
function benchFolder(): string {
  let root = import.meta.dirname;
  while (!existsSync(join(root, 'spec/bench/adapters'))) {
    if (root === dirname(root)) throw new Error('There is no spec/bench around this program');
    root = dirname(root);
  }
  return join(root, 'spec/bench');
}
