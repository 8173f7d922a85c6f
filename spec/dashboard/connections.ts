import { memoryPair, type Protocol, type Provider, type Stream, type Transport } from 'rxmux';
import { framer } from 'rxmux/framer';
import { trackPair } from '../support/leaks.js';

export interface Linked {
  readonly client: Provider;
  readonly server: Provider;
  /** While true, the client's transport says that it is full. */
  jam(isJammed: boolean): void;
  close(): Promise<void>;
}

/** Two connected providers in this process. The far end takes streams, and leaves them to the spec. */
export function linked(protocol: Protocol = framer): Linked {
  const [near, far] = memoryPair();
  const jammed = jammable(near);
  const limits = { maxStreams: 4096, backlog: 4096 };
  const client = protocol(jammed.transport, { role: 'client', limits });
  const server = protocol(far, { role: 'server', limits });
  trackPair([client, server]);
  return {
    client,
    server,
    jam: jammed.jam,
    close: async () => {
      jammed.jam(false);
      client.abort();
      server.abort();
      await Promise.allSettled([client.closed, server.closed]);
    },
  };
}

function jammable(inner: Transport): { transport: Transport; jam(isJammed: boolean): void } {
  let isFull = false;
  let drain = (): void => {};
  const transport: Transport = {
    ...(inner.local === undefined ? {} : { local: inner.local }),
    ...(inner.remote === undefined ? {} : { remote: inner.remote }),
    start: (handlers) => {
      const onDrain = (): void => {
        if (!isFull) handlers.onDrain();
      };
      drain = onDrain;
      inner.start({ ...handlers, onDrain });
    },
    write: (chunks) => inner.write(chunks) && !isFull,
    pause: () => inner.pause(),
    resume: () => inner.resume(),
    end: () => inner.end(),
    destroy: (error) => inner.destroy(error),
  };
  return {
    transport,
    jam: (isJammed) => {
      isFull = isJammed;
      if (!isJammed) drain();
    },
  };
}

/** Sends every stream back to where it came from. */
export function echoAll(server: Provider): void {
  server.accept$.subscribe({ next: (stream: Stream) => void stream.send(stream.data$), error: () => {} });
}

/** Reads a stream to its end; how many bytes there were. */
export async function drain(stream: Stream): Promise<number> {
  let total = 0;
  for await (const chunk of stream) total += chunk.byteLength;
  return total;
}
