import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import type { Provider, Stream } from 'rxmux';
import { toDuplex } from 'rxmux/node';
import { messageOf } from './text.js';

export const forwardProtocol = 'portforward.k8s.io';

/** How long half of a pair waits for its other half. */
const pairingMs = 30_000;

interface Half {
  readonly stream: Stream;
  readonly timer: NodeJS.Timeout;
}

/**
 * `kubectl port-forward`: for each connection to one of its ports the client opens two streams, with the same
 * `requestid`: one for the bytes, one to be told what is wrong. Goes on for as long as the connection.
 */
export async function forward(provider: Provider, ports: Readonly<Record<number, number>>): Promise<void> {
  const halves = new Map<string, Half>();
  const forget = (key: string): Stream | undefined => {
    const half = halves.get(key);
    clearTimeout(half?.timer);
    halves.delete(key);
    return half?.stream;
  };
  const take = (stream: Stream): void => {
    const type = stream.headers.get('streamtype') ?? '';
    const requestId = stream.headers.get('requestid') ?? '';
    if (type !== 'error' && type !== 'data') {
      stream.reject();
      return;
    }
    stream.accept();
    const other = forget(`${type === 'error' ? 'data' : 'error'} ${requestId}`);
    if (other !== undefined) {
      void (type === 'error' ? relay(stream, other, ports) : relay(other, stream, ports));
      return;
    }
    const key = `${type} ${requestId}`;
    forget(key)?.reset();
    const timer = setTimeout(() => forget(key)?.reset(), pairingMs);
    halves.set(key, { stream, timer });
  };
  provider.accept$.subscribe({ next: take, error: () => {} });
  await provider.closed.finally(() => [...halves.keys()].map(forget));
}

async function relay(error: Stream, data: Stream, ports: Readonly<Record<number, number>>): Promise<void> {
  const port = Number(data.headers.get('port'));
  try {
    const socket = await dial(ports[port]);
    // Both ways, with either half-close and with the pace of the slower side.
    await pipeline(socket, toDuplex(data), socket);
    await error.end();
  } catch (reason) {
    // A stream that the client has given up needs no explanation.
    await error.send(`port ${port}: ${messageOf(reason)}`).catch(() => {});
    data.reset();
  }
}

async function dial(target: number | undefined): Promise<Socket> {
  if (target === undefined) throw new Error('the container does not listen there');
  const socket = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true });
  await once(socket, 'connect');
  return socket;
}
