import type { Chunk, Stream } from '../api.js';
import { onAbort } from './abort.js';

/** `for await` over a stream; leaving the loop early stops it. */
export function iterate(stream: Stream): AsyncIterator<Uint8Array> {
  return {
    async next() {
      const value = await stream.read();
      return value === null ? { done: true, value: undefined } : { done: false, value };
    },
    async return() {
      stream.stop();
      return { done: true, value: undefined };
    },
  };
}

/** The platform's view of the receiving half. It takes a chunk only when asked for one. */
export function readableOf(stream: Stream): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const chunk = await stream.read();
        if (chunk === null) controller.close();
        else controller.enqueue(chunk);
      },
      cancel() {
        stream.stop();
      },
    },
    { highWaterMark: 0 },
  );
}

/**
 * The platform's view of the sending half. Aborting it resets the stream, also while a write waits for the peer, which the
 * platform's `abort()` of a sink would wait for.
 */
export function writableOf(stream: Stream): WritableStream<Chunk> {
  return new WritableStream<Chunk>({
    start: (controller) => {
      onAbort(controller.signal, (reason) => stream.reset('cancel', reason));
      stream.closed.catch((error) => controller.error(error));
    },
    write: (chunk) => stream.write(chunk),
    close: () => stream.end(),
  });
}
