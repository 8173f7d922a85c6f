/** Streams that are read as fast as they come, and streams that nobody reads. */
import type { Stream } from 'rxmux';
import { defaultLimits } from '../../lib/core/limits.js';
import { until } from '../conformance/wait.js';
import { type Connected, KiB, linked, MiB } from './pairs.js';

export function* zeros(totalBytes: number, chunkBytes: number): Generator<Uint8Array> {
  const chunk = new Uint8Array(chunkBytes);
  for (let left = totalBytes; left > 0; left -= chunkBytes) yield chunk;
}

/** How many bytes per millisecond several streams move at once. */
export async function speed(
  { client, server }: Connected,
  streams: number,
  totalBytes: number,
): Promise<number> {
  const began = performance.now();
  const senders = Array.from({ length: streams }, () => client.newStream());
  const sending = senders.map((near) => near.send(zeros(totalBytes / streams, 16 * KiB)));
  const receiving: Promise<void>[] = [];
  for (let index = 0; index < streams; index++) {
    receiving.push(received((await server.accept()) as Stream, totalBytes / streams));
  }
  await Promise.all([...sending, ...receiving]);
  return totalBytes / (performance.now() - began);
}

async function received(stream: Stream, expected: number): Promise<void> {
  let bytes = 0;
  await new Promise<void>((resolve, reject) => {
    stream.data$.subscribe({
      next: (chunk) => {
        bytes += chunk.byteLength;
      },
      error: reject,
      complete: resolve,
    });
  });
  expect(bytes).toBe(expected);
  await stream.end();
}

/** Fills `count` streams to the brim, and leaves them. */
export async function unread(pair: Connected, count: number): Promise<Stream[]> {
  const left: Stream[] = [];
  for (let index = 0; index < count; index++) {
    const [near, far] = await linked(pair);
    void near.send(zeros(1024 * MiB, 16 * KiB));
    await until(() => far.stats.queuedIn === defaultLimits.windowBytes, 'the window is full');
    left.push(far);
  }
  return left;
}
