import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { Kubectl } from './kubectl.js';
import { Cluster } from './server.js';
import { showAll } from './tour.js';

/** `npm run demo:kubernetes`, and with `-- --serve [port]` a cluster to try one's own `kubectl` on. */
const [word, port] = process.argv.slice(2);
if (word === '--serve') {
  const pods = [{ name: 'web', command: ['cat'], folder: tmpdir(), ports: { 80: 80, 8080: 8080 } }];
  const cluster = await Cluster.start(pods, { port: Number(port ?? 0) });
  console.log(`kubectl --server ${cluster.url} --kubeconfig /dev/null exec -it web -- sh\nCtrl-C ends it.`);
  await once(process, 'SIGINT');
  await cluster.close();
} else if (word === undefined) {
  process.exitCode = await showAll({
    write: (text) => process.stdout.write(text),
    kubectl: Kubectl.find(),
  });
} else {
  console.error('Usage: npm run demo:kubernetes [-- --serve [port]]');
  process.exitCode = 2;
}
