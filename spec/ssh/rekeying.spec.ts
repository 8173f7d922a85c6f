/** What may come at any time comes while keys are exchanged too: asyncssh sends an IGNORE in each exchange. */
import { type EventEmitter, once } from 'node:events';
import type { Limits } from 'rxmux';
import { connect, type Listener, listen, type Provider } from 'rxmux/node';
import { encodeMessage } from '../../lib/ssh/codec.js';
import * as wire from '../../lib/ssh/frames.js';
import type { Internals } from '../../lib/ssh/library.js';
import { SshLink } from '../../lib/ssh/link.js';
import { trackProvider } from '../support/leaks.js';
import { keys, trustedSsh } from '../support/ssh.js';
import { type Stock, type StockServer, stockServer } from '../support/stock-ssh2.js';

interface Connection extends EventEmitter {
  readonly _protocol: Pick<Internals, '_cipher' | 'rekey'> & {
    readonly _packetRW: {
      readonly write: { alloc(bytes: number, always: true): Uint8Array; readonly allocStartKEX: number };
    };
  };
  end(): void;
}

const ignore = encodeMessage(wire.MSG_IGNORE, 'nothing');
const idle = [
  ignore,
  encodeMessage(wire.MSG_UNIMPLEMENTED, 7),
  encodeMessage(wire.MSG_DEBUG, false, 'nothing', ''),
  ignore,
];

/** Has a peer send messages right behind its next KEXINIT. */
function sendInExchange({ _protocol }: Connection, messages: readonly Uint8Array[]): void {
  const { _cipher } = _protocol;
  const encrypt = _cipher.encrypt;
  _cipher.encrypt = (packet) => {
    const isExchange = packet[5] === wire.MSG_KEXINIT;
    encrypt.call(_cipher, packet);
    if (!isExchange) return;
    const { write } = _protocol._packetRW;
    for (const message of messages) {
      const own = write.alloc(message.byteLength, true);
      own.set(message, write.allocStartKEX);
      encrypt.call(_cipher, own);
    }
  };
}

describe.each(['client', 'server'] as const)('a peer that is the %s', (role) => {
  let ours: Provider;
  let peer: Connection;
  let listener: Listener | null = null;
  let server: StockServer | null = null;

  /** `first` is sent in the first exchange. */
  const begin = async (first: readonly Uint8Array[] = [], limits: Partial<Limits> = {}): Promise<void> => {
    const met = (connection: Connection): void => {
      peer = connection;
      peer.on('error', () => {});
      if (first.length > 0) sendInExchange(peer, first);
    };
    if (role === 'client') {
      listener = await listen('tcp://127.0.0.1:0', trustedSsh(), { limits });
      const accepted = new Promise<Provider>((resolve) => listener?.accept$.subscribe(resolve));
      const ssh2 = (await import('ssh2' as string)).default as Stock<Connection>;
      const client = new ssh2.Client();
      client.connect({
        host: '127.0.0.1',
        port: Number(listener.address.split(':').at(-1)),
        username: 'alice',
        privateKey: keys().user.privateKey,
      });
      met(client);
      ours = trackProvider(await accepted);
      if (first.length === 0) await once(client, 'ready');
    } else {
      const stock = await stockServer<Connection>((connection) => {
        met(connection);
        connection.on('authentication', (context: { accept(): void }) => context.accept());
      });
      server = stock.server;
      ours = trackProvider(await connect(stock.address, trustedSsh(), { limits }));
      if (first.length === 0) await ours.ping();
    }
  };

  afterEach(async () => {
    ours.abort(new Error('the test is over'));
    peer.end();
    server?.close();
    await listener?.close();
    listener = server = null;
  });

  /** Waits until new keys are agreed on. */
  const keyed = async (act: () => void): Promise<void> => {
    const count = SshLink.prototype.keyed;
    const spy = jest.spyOn(SshLink.prototype, 'keyed');
    const over = new Promise<void>((resolve) => {
      spy.mockImplementation(function (this: SshLink) {
        count.call(this);
        resolve();
      });
    });
    act();
    await over;
    spy.mockRestore();
  };

  it('sends messages that do nothing when it asks for new keys, again and again', async () => {
    await begin();
    for (let times = 0; times < 3; times++) {
      await keyed(() => {
        sendInExchange(peer, idle);
        peer._protocol.rekey();
      });
      await ours.ping();
    }
  });

  it('sends them when we ask', async () => {
    await begin([], { rekeyMs: 20 });
    await keyed(() => sendInExchange(peer, idle));
    await keyed(() => sendInExchange(peer, idle));
    await ours.ping();
  });

  it('sends so many of them that it is thrown out', async () => {
    await begin();
    sendInExchange(peer, Array<Uint8Array>(2000).fill(ignore));
    peer._protocol.rekey();
    await expect(ours.closed).rejects.toMatchObject({ code: 'limit', remote: true });
  });

  it('says goodbye, and is understood', async () => {
    await begin();
    sendInExchange(peer, [encodeMessage(wire.MSG_DISCONNECT, 11, 'so long', '')]);
    peer._protocol.rekey();
    await expect(ours.closed).resolves.toBeUndefined();
  });

  it.each([
    ['anything else', encodeMessage(wire.MSG_GLOBAL_REQUEST, 'x', false)],
    ['a broken one', Uint8Array.of(wire.MSG_DEBUG)],
  ])('sends %s, and is thrown out', async (_name, message) => {
    await begin();
    sendInExchange(peer, [message]);
    peer._protocol.rekey();
    await expect(ours.closed).rejects.toMatchObject({ cause: { reason: 'transport' } });
  });

  it.each([wire.MSG_IGNORE, wire.MSG_UNIMPLEMENTED, wire.MSG_DEBUG])(
    'sends message %d in the first exchange, which strict key exchange forbids',
    async (type) => {
      const message = idle.find((one) => one[0] === type) as Uint8Array;
      await begin([message]);
      await expect(ours.closed).rejects.toThrow(`unexpected packet type ${type}`);
    },
  );
});
