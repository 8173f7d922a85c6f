/** An end of SSH in a process of its own, since what it must survive would take the process with it. */
import { Module } from 'node:module';
import { connect, listen, type Provider } from 'rxmux/node';
import { type SshOptions, ssh } from 'rxmux/ssh';
import { keyPair } from '../support/ssh.js';

/** Has the program dial a server, or say that it is still there. */
export interface Order {
  readonly dial?: number;
}

/** Where the program listens, how a connection of its own has ended, or just that it is there. */
export interface Word {
  readonly port?: number;
  readonly ended?: string;
}

const say = (word: Word): void => void process.send?.(word);

if (process.argv[2] === 'bare') {
  // As where ssh2 was installed without a compiler.
  const modules = Module as unknown as { _load(request: string, ...more: unknown[]): unknown };
  const load = modules._load;
  modules._load = (request, ...more) => {
    if (request.endsWith('sshcrypto.node')) throw new Error('it was not built');
    return load.call(modules, request, ...more);
  };
}

const options: SshOptions = {
  username: 'alice',
  password: 'open sesame',
  verifyHost: () => true,
  hostKeys: [keyPair().privateKey],
  authenticate: (attempt) => attempt.method === 'password' && attempt.password === 'open sesame',
  algorithms: { cipher: ['aes128-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes128-ctr'] },
  serve: ['exec'],
};

/** Has had enough as soon as something comes. */
function watch(provider: Provider): void {
  provider.closed.then(
    () => say({ ended: 'cleanly' }),
    (error) => say({ ended: String(error) }),
  );
  provider.accept$.subscribe({
    next: (stream) => {
      stream.accept().data$.subscribe({ next: () => provider.abort(new Error('enough')), error: () => {} });
    },
    error: () => {},
  });
}

const listener = await listen('tcp://127.0.0.1:0', ssh(options));
listener.accept$.subscribe(watch);
say({ port: Number(listener.address.split(':').at(-1)) });

process.on('message', async ({ dial }: Order) => {
  if (dial === undefined) say({});
  else watch(await connect(`tcp://127.0.0.1:${dial}`, ssh(options)));
});
process.on('disconnect', () => process.exit());
