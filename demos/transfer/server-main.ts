import { once } from 'node:events';
import { type ServerRequest, serve } from './server.js';
import type { ServerAnswer } from './server-process.js';
import { messageOf } from './text.js';

/** The server's process: told once what to serve, it serves until whoever started it lets go, or is gone. */
const say = (answer: ServerAnswer): void => {
  process.send?.(answer);
};
// Ctrl-C reaches the whole group of processes; the client's is the one that tidies up.
process.on('SIGINT', () => {});

const released = once(process, 'disconnect');
const [request] = (await once(process, 'message')) as [ServerRequest];
try {
  const server = await serve(request);
  say({ address: server.address });
  await released;
  await server.close();
} catch (error) {
  say({ error: messageOf(error) });
}
