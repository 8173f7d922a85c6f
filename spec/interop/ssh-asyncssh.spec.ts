import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { connect as dial } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { connect, type Provider, type Stream } from 'rxmux/node';
import { forward, ssh } from 'rxmux/ssh';
import { describeWithPeer, type Peer } from '../support/interop.js';
import { trackProvider } from '../support/leaks.js';
import { ended, type Keyring, keygen, makeKeys, type OurServer, run, startOurs } from './openssh.js';

/** Debian's own Python, which has Debian's packages. */
const python: Peer = { name: 'Python', path: '/usr/bin/python3', debianPackage: 'python3' };
const asyncssh: Peer = {
  name: 'asyncssh',
  pythonPackage: 'asyncssh',
  debianPackage: 'python3-asyncssh',
};

const MiB = 1024 * 1024;
/** More packets than useless ones are taken at once: asyncssh sends an IGNORE before each. */
const much = 48 * MiB;

const program = join(import.meta.dirname, 'python', 'asyncssh_peer.py');

async function answer(stream: Stream): Promise<void> {
  const [name, argument] = (stream.headers.get(':command') ?? '').split(' ');
  if (name === 'cat') await stream.send(stream.data$);
  else if (name === 'give') await stream.send(supply(Number(argument)));
  else await stream.send(await hashOf(stream));
}

function* supply(bytes: number): Generator<Uint8Array> {
  for (let left = bytes; left > 0; left -= 65_536)
    yield new Uint8Array(Math.min(left, 65_536)).fill(left % 251);
}

async function hashOf(chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
}

describeWithPeer('asyncssh', [python, asyncssh, keygen], () => {
  let keys: Keyring;

  beforeAll(async () => {
    keys = await makeKeys();
  }, 30_000);

  afterAll(() => keys?.remove());

  describe('as a client', () => {
    let ours: OurServer;

    beforeAll(async () => {
      ours = await startOurs(keys, { serve: ['exec'] }, (provider) => {
        provider.accept$.subscribe({
          next: (stream) => void answer(stream).catch(() => {}),
          error: () => {},
        });
      });
    });

    afterAll(() => ours?.end());

    const client = async (what: string, count: number): Promise<string> => {
      const { port } = ours;
      const known = join(keys.folder, `known_hosts-${port}`);
      const args = ['client', port, keys.files.user, known, what, count].map(String);
      const { code, stdout, stderr } = await run('/usr/bin/python3', [program, ...args]);
      if (code !== 0) throw new Error(stderr);
      return stdout.toString().trim();
    };

    it('sends 48 MiB', async () => {
      const [sent, told] = (await client('up', much)).split(' ');
      expect(told).toBe(sent);
    }, 30_000);

    it('gets 48 MiB', async () => {
      expect(await client('down', much)).toBe(await hashOf(supply(much)));
    }, 30_000);

    it('has 3,000 single bytes back, one after the other', async () => {
      expect(await client('echo', 3000)).toBe('3000');
    }, 30_000);
  });

  describe('as a server', () => {
    let child: ChildProcessWithoutNullStreams;
    let provider: Provider;

    beforeAll(async () => {
      const args = [program, 'server', keys.files.host, `${keys.files.user}.pub`];
      child = spawn('/usr/bin/python3', args);
      let said = '';
      child.stderr.on('data', (text) => {
        said += text;
      });
      const port = await new Promise<string>((resolve, reject) => {
        createInterface(child.stdout).once('line', resolve);
        child.once('exit', () => reject(new Error(`asyncssh did not start: ${said}`)));
      });
      const protocol = ssh({
        username: 'alice',
        privateKey: await keys.privateKey('user'),
        knownHosts: `[127.0.0.1]:${port} ${await keys.publicKey('host')}\n`,
      });
      provider = trackProvider(await connect(`tcp://127.0.0.1:${port}`, protocol));
    }, 30_000);

    afterAll(async () => {
      provider?.abort(new Error('the test is over'));
      await ended(child);
    });

    it('gives 48 MiB back', async () => {
      const stream = provider.newStream({ ':ssh': 'exec', ':command': 'cat' });
      const [received] = await Promise.all([hashOf(stream), stream.send(supply(much))]);
      expect(received).toBe(await hashOf(supply(much)));
    }, 30_000);

    it('listens for us on a port of its choice', async () => {
      const { port, close } = await forward(provider, { host: '127.0.0.1', port: 0 });
      const socket = dial({ host: '127.0.0.1', port });
      socket.end('hello');
      const stream = (await provider.accept()) as Stream;
      expect(stream.headers.get(':port')).toBe(String(port));
      await stream.send(stream.data$);
      const back: Buffer[] = [];
      for await (const chunk of socket) back.push(chunk as Buffer);
      expect(Buffer.concat(back).toString()).toBe('hello');
      await close();
    });
  });
});
