/** When a command is over: its server may tell the exit behind the end of the output, wait for our CLOSE, and never answer it. */
import { type EventEmitter, once } from 'node:events';
import { connect, type Provider } from 'rxmux/node';
import { trackProvider } from '../support/leaks.js';
import { trustedSsh } from '../support/ssh.js';
import { type StockServer, stockServer } from '../support/stock-ssh2.js';

/** The end of a command that is served. */
interface Command extends EventEmitter {
  readonly outgoing: { readonly id: number };
  readonly _client: {
    readonly _protocol: {
      exitStatus(channel: number, status: number): void;
      channelClose(channel: number): void;
    };
  };
  eof(): void;
  close(): void;
  resume(): void;
}

const exit = (command: Command): void => command._client._protocol.exitStatus(command.outgoing.id, 5);

/** What a server says in the end, at once and when we have ended. */
const servers: Record<string, readonly [(command: Command) => void, (command: Command) => void]> = {
  'tells the exit and ends, and waits for our CLOSE': [
    (command) => {
      exit(command);
      command.eof();
    },
    () => {},
  ],
  'ends and tells the exit, and waits for our CLOSE': [
    (command) => {
      command.eof();
      exit(command);
    },
    () => {},
  ],
  'ends, tells the exit when we have ended, and waits for our CLOSE': [(command) => command.eof(), exit],
  'ends and tells the exit, and never closes': [
    (command) => {
      command._client._protocol.channelClose = () => {};
      command.eof();
      exit(command);
    },
    () => {},
  ],
  'ends, tells the exit when we have ended, and closes': [
    (command) => command.eof(),
    (command) => {
      exit(command);
      command.close();
    },
  ],
};

describe.each(Object.entries(servers))('a server that %s', (_what, [first, then]) => {
  let server: StockServer;
  let ours: Provider;

  beforeEach(async () => {
    const stock = await stockServer((connection) => {
      connection.on('error', () => {});
      connection.on('authentication', (context: { accept(): void }) => context.accept());
      connection.on('session', (take: () => EventEmitter) => {
        take().on('exec', (start: () => Command) => {
          const command = start();
          command.resume();
          command.on('end', () => then(command));
          first(command);
        });
      });
    });
    server = stock.server;
    ours = trackProvider(await connect(stock.address, trustedSsh()));
  });

  afterEach(async () => {
    ours.abort(new Error('the test is over'));
    server.close();
    await once(server, 'close');
  });

  it.each(['before', 'behind'])(
    'gives the exit, and its stream closes; we end %s the output',
    async (when) => {
      const stream = ours.newStream({ ':ssh': 'exec', ':command': 'x' });
      if (when === 'before') await stream.end();
      for await (const chunk of stream) expect(chunk).toBeUndefined();
      if (when === 'behind') await stream.end();
      expect((await stream.trailers)?.get(':exit-status')).toBe('5');
      await stream.closed;
      expect(ours.streams.size).toBe(0);
    },
  );
});
