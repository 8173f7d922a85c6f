import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { connect, type Provider } from 'rxmux/node';
import { forward, ssh } from 'rxmux/ssh';
import { describeWithPeer, type Peer } from '../support/interop.js';
import { trackProvider } from '../support/leaks.js';
import { ended, type Keyring, keygen, makeKeys, run } from './openssh.js';

/** It lets everybody in, for which the other one of the package wants an account of its own. */
const tinyssh: Peer = { name: 'tinyssh', path: '/usr/sbin/tinysshnoneauthd', debianPackage: 'tinysshd' };

/** It refuses to be root. */
const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

/** A server that knows channels, and nothing of global requests. */
describeWithPeer('tinyssh', [tinyssh, keygen], () => {
  let keys: Keyring;
  let inetd: Server;
  let provider: Provider;
  const children: ChildProcess[] = [];

  beforeAll(async () => {
    keys = await makeKeys();
    const folder = join(keys.folder, 'tinyssh');
    const { code, stderr } = await run('/usr/sbin/tinysshd-makekey', [folder]);
    if (code !== 0) throw new Error(stderr);
    if (nobody.uid !== undefined) {
      await chmod(keys.folder, 0o711);
      await chown(join(folder, '.ed25519.sk'), nobody.uid, nobody.gid);
    }
    inetd = createServer({ allowHalfOpen: true }, (socket) => {
      const args = ['-q', '-e', 'true', folder];
      const child = spawn(tinyssh.path as string, args, { ...nobody, stdio: ['pipe', 'pipe', 'ignore'] });
      children.push(child);
      for (const end of [socket, child.stdin]) end.on('error', () => {});
      socket.pipe(child.stdin);
      child.stdout.pipe(socket);
    }).listen(0, '127.0.0.1');
    await once(inetd, 'listening');
    const { port } = inetd.address() as AddressInfo;
    const { stdout } = await run('/usr/sbin/tinysshd-printkey', [folder]);
    const protocol = ssh({ username: 'alice', knownHosts: `[127.0.0.1]:${port} ${stdout}` });
    provider = trackProvider(await connect(`tcp://127.0.0.1:${port}`, protocol));
  }, 30_000);

  afterAll(async () => {
    provider?.abort(new Error('the test is over'));
    await Promise.all(children.map(ended));
    inetd?.close();
    await keys?.remove();
  });

  it('answers pings, by not knowing them', async () => {
    expect(await provider.ping()).toBeGreaterThan(0);
    await Promise.all([provider.ping(), provider.ping()]);
  });

  it('refuses to listen', async () => {
    await expect(forward(provider, { port: 0 })).rejects.toMatchObject({ code: 'refused', remote: true });
  });
});
