import { once } from 'node:events';
import { startServer } from './server.js';

/** `npm run demo:browser`, and with `-- PORT` where it is to be. */
const server = await startServer(Number(process.argv[2] ?? 0));
console.log(`Open ${server.url}\nCtrl-C ends it.`);
await once(process, 'SIGINT');
await server.close();
