import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { framer, type Limits, memoryPair, type Provider, type Stream } from 'rxmux';
import { type WebSocket, WebSocketServer } from 'ws';
import { type ChannelName, type ChannelOptions, channelNames } from './channels.js';

/** What newer kubectls ask for first: SPDY/3.1 in binary messages, for port-forward. */
export const tunnelProtocol = 'SPDY/3.1+portforward.k8s.io';
/** For exec, attach and cp: a byte before each message tells its channel. Nothing there holds a sender back. */
export const messageProtocol = 'v5.channel.k8s.io';

export function offersOf({ headers }: IncomingMessage): string[] {
  return (headers['sec-websocket-protocol'] ?? '').split(',').map((offer) => offer.trim());
}

/** Answers a WebSocket's handshake. */
export function upgrade(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  protocol: string,
  take: (webSocket: WebSocket) => void,
): void {
  // The names of protocols have no slash in RFC 6455 §4.1, and ws refuses what has: it is not shown this one.
  delete request.headers['sec-websocket-protocol'];
  const server = new WebSocketServer({ noServer: true, clientTracking: false, maxPayload: mostMessageBytes });
  server.on('headers', (lines) => lines.push(`Sec-WebSocket-Protocol: ${protocol}`));
  server.handleUpgrade(request, socket, head, take);
}

/** kubectl writes 32 KiB at a time. */
const mostMessageBytes = 1024 * 1024;

const numbers: Readonly<Record<ChannelName, number>> = {
  stdin: 0,
  stdout: 1,
  stderr: 2,
  error: 3,
  resize: 4,
};
/** The next byte is the number of a channel that ends. */
const closeNumber = 255;
const heartbeatMs = 1000;

/** The streams of such messages, on a connection within this process: the commands need not know where they are from. */
export function channels(webSocket: WebSocket, options: ChannelOptions, limits: Partial<Limits>): Provider {
  const [near, far] = memoryPair();
  const client = framer(near, { role: 'client', limits });
  const streams = new Map<number, Stream>();
  for (const name of channelNames(options))
    streams.set(numbers[name], client.newStream({ streamtype: name }));

  const send = (number: number, chunk: Uint8Array): Promise<void> =>
    new Promise((resolve, reject) => {
      webSocket.send(Buffer.concat([Buffer.of(number), chunk]), (error) =>
        error ? reject(error) : resolve(),
      );
    });
  const relay = async ([number, stream]: [number, Stream]): Promise<void> => {
    for await (const chunk of stream) await send(number, chunk);
  };
  // Each of them ends, and the Status is the last word.
  void Promise.all([...streams].map(relay))
    .catch(() => {})
    .finally(() => webSocket.close(1000));

  let writing: Promise<void> = Promise.resolve();
  let waiting = 0;
  const write = async (message: Uint8Array): Promise<void> => {
    const [number = -1, ending = -1] = message;
    if (number === closeNumber) await streams.get(ending)?.end();
    else await streams.get(number)?.write(message.subarray(1));
  };
  webSocket.on('message', (message: Buffer) => {
    // Until all that came has been taken: this is all the backpressure there is.
    webSocket.pause();
    waiting++;
    writing = writing
      .then(() => write(message))
      .catch(() => {})
      .finally(() => {
        if (--waiting === 0) webSocket.resume();
      });
  });
  // Whoever does not read sees only by writing that the client has left.
  const beating = setInterval(() => webSocket.ping(), heartbeatMs);
  webSocket.on('error', () => {});
  webSocket.on('close', () => {
    clearInterval(beating);
    client.abort(new Error('the client has left'));
  });
  return framer(far, { role: 'server', limits });
}
