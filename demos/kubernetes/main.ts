import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { stopSignal } from '../stopping.js';
import { wholeNumber } from '../whole-number.js';
import { Kubectl } from './kubectl.js';
import { Cluster } from './server.js';
import { messageOf } from './text.js';
import { showAll } from './tour.js';

/** `npm run demo:kubernetes`, and with `-- --serve [port]` a cluster to try one's own `kubectl` on. */
const [word, port = '0'] = process.argv.slice(2);
if (word === '--serve' && wholeNumber(port) <= 65_535) {
  const signal = stopSignal();
  const pods = [{ name: 'web', command: ['cat'], folder: tmpdir(), ports: { 80: 80, 8080: 8080 } }];
  const cluster = await Cluster.start(pods, { port: Number(port) }).catch((error: unknown) => {
    console.error(messageOf(error));
    process.exit(1);
  });
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
  console.error('Usage: npm run demo:kubernetes [-- --serve [port, 0 to 65535]]');
  process.exitCode = 2;
}
