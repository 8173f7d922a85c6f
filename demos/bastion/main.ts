import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stopSignal } from '../stopping.js';
import { fromStock, logIn, serveStock, startService, throughCommand, throughSshd } from './bastion.js';
import { type Bastion, makeKeys, missing, startBastion } from './openssh.js';

/** What streams over SSH are good for where there is only OpenSSH: `npm run demo:bastion`. */
const reason = missing();
if (reason !== undefined) {
  console.error(reason);
  process.exit(1);
}

const tell = (line: string): void => console.log(line);
const signal = stopSignal();
const folder = await mkdtemp(join(tmpdir(), 'rxmux-bastion-'));
let starting: Promise<Bastion> | undefined;
try {
  await Promise.race([show(), once(signal, 'abort')]);
  if (signal.aborted) console.error(`It did not end: ${signal.reason.message}.`);
} finally {
  await starting?.then((bastion) => bastion.close()).catch(() => {});
  await rm(folder, { recursive: true, force: true });
}
// What was under way ends with its connections.
if (signal.aborted) process.exit();

async function show(): Promise<void> {
  const keys = makeKeys(folder);
  const service = await startService();
  starting = startBastion(keys);
  const bastion = await starting;
  const provider = await logIn(keys, bastion.port);
  await throughSshd(provider, service.port, tell);
  const peer = fileURLToPath(new URL('./peer.js', import.meta.url));
  await throughCommand(provider, `'${process.execPath}' '${peer}'`, tell);
  await provider.close();
  await bastion.close();

  const ours = await serveStock(keys);
  await fromStock(keys, ours.port, service.port, tell);
  await ours.close();
  service.server.close();
}
