import type { Provider } from '../../lib/api.js';
import type * as Ssh from '../../lib/ssh/index.js';
import type * as Library from '../../lib/ssh/library.js';
import { memoryPair } from '../../lib/transports/memory.js';
import { trusting } from '../support/ssh.js';

const { version } = jest.requireActual('ssh2/package.json') as { version: string };

/** Runs a program in which ssh2 is something else. */
function withSsh2(ssh2: () => unknown, program: (entry: typeof Ssh) => void): void {
  jest.isolateModules(() => {
    jest.doMock('ssh2', ssh2);
    program(require('../../lib/ssh/index.js') as typeof Ssh);
    jest.dontMock('ssh2');
  });
}

const actual = jest.requireActual('ssh2') as {
  Client: new () => { _protocol: Record<string, unknown>; connect(config: object): void };
};

describe('ssh2, which the entry needs', () => {
  it('is not there: the entry loads, and says what to install once it is used', () => {
    const missing = (): never => {
      throw new Error("Cannot find module 'ssh2'");
    };
    withSsh2(missing, ({ ssh }) => {
      expect(() => ssh({ hostKeys: ['key'] })).toThrow(
        'rxmux/ssh needs the package ssh2 beside rxmux: npm install ssh2@~1.17',
      );
    });
  });

  const parts: readonly string[] = ['_onPayload', '_onHandshakeComplete', '_cipher', 'parse', 'rekey'];
  it.each(parts)('has no %s: the connection fails, naming the version and what differs', async (name) => {
    class Changed extends actual.Client {
      override connect(config: object): void {
        super.connect(config);
        Object.defineProperty(this._protocol, name, { value: undefined, writable: true });
      }
    }
    let provider: Provider | undefined;
    withSsh2(
      () => ({ ...actual, Client: Changed }),
      ({ ssh }) => {
        const [near, far] = memoryPair();
        far.start({ onData: () => {}, onEnd: () => far.end(), onDrain: () => {}, onClose: () => {} });
        provider = ssh(trusting())(near, { role: 'client' });
      },
    );
    const error = (await provider?.closed.catch((reason: unknown) => reason)) as Error;
    expect(error.message).toContain(`ssh2 ${version} is not built as rxmux knows it (`);
    expect(error.message).toContain(name);
    expect(error).toMatchObject({ code: 'closed', remote: false, cause: { reason: 'library' } });
  });

  it('is as it should be', () => {
    const { readPrivateKey } = jest.requireActual('../../lib/ssh/library.js') as typeof Library;
    expect(readPrivateKey('a key', trusting().privateKey as string).type).toBe('ssh-ed25519');
  });
});
