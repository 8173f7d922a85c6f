import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Provider, Stream } from 'rxmux';
import { fromDuplex } from 'rxmux/node';
import { spdy } from 'rxmux/spdy';
import { channelNames, channelProtocol, sizeLine } from './channels.js';
import { forwardProtocol } from './port-forward.js';
import type { Size } from './process.js';
import { exitCodeOf } from './status.js';

/** Asks a server for a SPDY connection, as `kubectl` does. Rejects with what the server says instead. */
async function upgrade(url: URL, protocol: string): Promise<Provider> {
  const asking = request(url, {
    method: 'POST',
    agent: false,
    headers: { Connection: 'Upgrade', Upgrade: 'SPDY/3.1', 'X-Stream-Protocol-Version': protocol },
  });
  asking.end();
  return new Promise((resolve, reject) => {
    asking.on('upgrade', (_response, socket: Duplex, head: Buffer) => {
      resolve(spdy(fromDuplex(socket, { head }), { role: 'client' }));
    });
    asking.on('response', (response) => void explain(response).then(reject, reject));
    asking.on('error', reject);
  });
}

async function explain(response: IncomingMessage): Promise<Error> {
  let body = '';
  response.setEncoding('utf8').on('data', (text: string) => {
    body += text;
  });
  await once(response, 'end');
  return new Error(`${response.statusCode}: ${(JSON.parse(body) as { message: string }).message}`);
}

export interface ExecOptions {
  /** The command gets a terminal of this size. */
  readonly size?: Size;
}

/** A command that runs in a pod. */
export interface RemoteCommand {
  readonly stdin: Stream;
  readonly stdout: Stream;
  /** Undefined on a terminal. */
  readonly stderr: Stream | undefined;
  /** Tells the command's terminal that it has another size. */
  resize(size: Size): Promise<void>;
  /** How the command ended. Its outputs can be read to the end after this. Rejects if it could not be run. */
  readonly exitCode: Promise<number>;
  close(): Promise<void>;
}

/** `kubectl exec -i`, and `-t` where there is a size. */
export async function exec(
  server: string,
  pod: string,
  command: readonly string[],
  { size }: ExecOptions = {},
): Promise<RemoteCommand> {
  const tty = size !== undefined;
  const options = { stdin: true, stdout: true, stderr: !tty, tty };
  const query = new URLSearchParams(command.map((word) => ['command', word]));
  for (const [name, value] of Object.entries(options)) query.set(name, String(value));
  const url = new URL(`/api/v1/namespaces/default/pods/${pod}/exec?${query}`, server);
  const provider = await upgrade(url, channelProtocol);
  const channels = new Map<string, Stream>();
  for (const name of channelNames(options)) {
    const stream = provider.newStream({ streamtype: name });
    // Go hands streams to its application in the order of their answers.
    await stream.reply;
    channels.set(name, stream);
  }
  const channel = (name: string): Stream => channels.get(name) as Stream;
  const resize = (to: Size): Promise<void> => channel('resize').write(sizeLine(to));
  if (tty) await resize(size);
  const exitCode = textOf(channel('error')).then(exitCodeOf);
  exitCode.catch(() => {});
  return {
    stdin: channel('stdin'),
    stdout: channel('stdout'),
    stderr: channels.get('stderr'),
    resize,
    exitCode,
    close: async () => provider.abort(),
  };
}

/** Ports of a pod, over one connection. */
export interface Forwarding {
  /** Connects to a port of the pod. `failure` is what the server says is wrong, or empty at a good end. */
  open(port: number): Promise<{ readonly data: Stream; readonly failure: Promise<string> }>;
  close(): Promise<void>;
}

/** `kubectl port-forward`, without the ports on this side. */
export async function portForward(server: string, pod: string): Promise<Forwarding> {
  const url = new URL(`/api/v1/namespaces/default/pods/${pod}/portforward`, server);
  const provider = await upgrade(url, forwardProtocol);
  let requests = 0;
  return {
    open: async (port) => {
      const headers = { port: String(port), requestid: String(requests++) };
      const error = provider.newStream({ streamtype: 'error', ...headers });
      await error.end();
      await error.reply;
      const data = provider.newStream({ streamtype: 'data', ...headers });
      await data.reply;
      const failure = textOf(error);
      failure.catch(() => {});
      return { data, failure };
    },
    close: () => provider.close(),
  };
}

/** All that a stream says. */
export async function textOf(stream: Stream): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of stream) text += decoder.decode(chunk, { stream: true });
  return text;
}
