import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Provider } from 'rxmux/node';
import {
  fromStock,
  logIn,
  serveStock,
  startService,
  throughCommand,
  throughSshd,
} from '../../demos/bastion/bastion.js';
import { type Bastion, type Keys, makeKeys, startBastion } from '../../demos/bastion/openssh.js';
import { keygen, openssh, sshd } from '../interop/openssh.js';
import { describeWithPeer } from '../support/interop.js';
import { trackProvider } from '../support/leaks.js';

const root = join(import.meta.dirname, '../..');

describeWithPeer('the bastion', [sshd, openssh, keygen], () => {
  let folder: string;
  let keys: Keys;
  let service: { server: Server; port: number };
  let bastion: Bastion;
  let provider: Provider;
  const tell = (): void => {};

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rxmux-bastion-'));
    keys = makeKeys(folder);
    service = await startService();
    bastion = await startBastion(keys);
    provider = trackProvider(await logIn(keys, bastion.port));
  }, 30_000);

  afterAll(async () => {
    await provider?.close();
    await bastion?.close();
    service?.server.close();
    if (service !== undefined) await once(service.server, 'close');
    rmSync(folder, { recursive: true, force: true });
  });

  it('reaches a service through sshd, with a stream as its socket', async () => {
    expect(await throughSshd(provider, service.port, tell)).toBe('hello from /inside\n');
  });

  it('carries streams both ways over one command', async () => {
    const peer = join(folder, 'peer.mjs');
    const options = ['--bundle', '--format=esm', '--platform=node', '--target=node20', '--log-level=warning'];
    const esbuild = join(root, 'node_modules/.bin/esbuild');
    execFileSync(esbuild, [join(root, 'demos/bastion/peer.ts'), ...options, `--outfile=${peer}`]);
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    expect(await throughCommand(provider, `'${process.execPath}' '${peer}'`, tell)).toEqual([
      'echo of one',
      'echo of three',
      'echo of two',
      expect.stringMatching(/^who are you\? \((one|two|three)\)$/),
      expect.stringMatching(/^who are you\?/),
      expect.stringMatching(/^who are you\?/),
    ]);
  }, 20_000);

  it('serves stock ssh with -W, -L and -R', async () => {
    const ours = await serveStock(keys);
    expect(await fromStock(keys, ours.port, service.port, tell)).toEqual([
      'hello from /by-W\n',
      'hello from /by-L\n',
      'hello from /by-R\n',
    ]);
    await ours.close();
  }, 20_000);

  it('refuses a stream that has no destination', async () => {
    const ours = await serveStock(keys);
    const client = trackProvider(await logIn(keys, ours.port));
    await expect(client.newStream({ ':path': '/' }).reply).rejects.toMatchObject({ code: 'refused' });
    await client.close();
    await ours.close();
  });
});
