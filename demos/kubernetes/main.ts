import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { stopSignal } from '../stopping.js';
import { Kubectl } from './kubectl.js';
import { Cluster } from './server.js';
import { showAll } from './tour.js';

/** `npm run demo:kubernetes`, and with `-- --serve [port]` a cluster to try one's own `kubectl` on. */
const [word, port] = process.argv.slice(2);
if (word === '--serve') {
  const signal = stopSignal();
  const pods = [{ name: 'web', command: ['cat'], folder: tmpdir(), ports: { 80: 80, 8080: 8080 } }];
  const cluster = await Cluster.start(pods, { port: Number(port ?? 0) });
  console.log(`kubectl --server ${cluster.url} --kubeconfig /dev/null exec -it web -- sh\nCtrl-C ends it.`);
  // Nothing else ends it: being told to is no failure.
  process.exitCode = 0;
  if (!signal.aborted) await once(signal, 'abort');
  await cluster.close();
} else if (word === undefined) {
  const write = (text: string): unknown => process.stdout.write(text);
  const exitCode = await showAll({ write, kubectl: Kubectl.find(), signal: stopSignal() });
  process.exitCode ??= exitCode;
} else {
  console.error('Usage: npm run demo:kubernetes [-- --serve [port]]');
  process.exitCode = 2;
}
