import { once } from 'node:events';
import type { Stream } from 'rxmux';
import { http2 } from 'rxmux/http2';
import { listen } from 'rxmux/node';

/** One server of three: says its name in each reply, and echoes. Drained, it finishes what it has and is gone. */
const name = process.argv[2] ?? '?';
process.on('SIGINT', () => {});

function serve(stream: Stream): void {
  stream.accept({ 'x-server': name });
  void stream.send(stream.data$);
}

const listener = await listen('tcp://127.0.0.1:0', http2);
listener.accept$.subscribe((provider) => {
  provider.accept$.subscribe({ next: serve, error: () => {} });
});
process.send?.(Number(new URL(listener.address).port));
// Told to, or left alone: either way nobody is to be cut off.
await Promise.race([once(process, 'message'), once(process, 'disconnect')]);
await listener.close();
if (process.connected) process.disconnect();
