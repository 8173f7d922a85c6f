import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import {
  fromMessagePort,
  fromWebSocket,
  type Limits,
  memoryPair,
  type Protocol,
  type Provider,
  type Transport,
} from 'rxmux';
import type { Open, Pair } from 'rxmux/conformance';
import { connect, fromDuplex, listen } from 'rxmux/node';
import { WebSocket, WebSocketServer } from 'ws';
import { selfSigned } from '../../demos/transfer/tls.js';
import { trackPair } from './leaks.js';

/** Connected pairs of a protocol over every transport there is, as the conformance kit wants them. */
export function pairsOver(
  protocol: Protocol,
): Record<'memory' | 'tcp' | 'tls' | 'unix' | 'stdio' | 'webSocket' | 'messagePort', Open> {
  return {
    memory: async ({ limits = {} } = {}) => {
      const [near, far] = memoryPair();
      const client = protocol(near, { role: 'client', limits: limits.client ?? {} });
      const server = protocol(far, { role: 'server', limits: limits.server ?? {} });
      return tracked(client, server, (error = new Error('the connection is lost')) => {
        near.destroy(error);
        far.destroy(error);
      });
    },
    tcp: ({ limits = {} } = {}) => dialled(protocol, 'tcp://127.0.0.1:0', limits),
    tls: ({ limits = {} } = {}) => dialled(protocol, 'tls://127.0.0.1:0', limits),
    unix: ({ limits = {} } = {}) => dialled(protocol, `unix:${socketPath()}`, limits),
    stdio: ({ limits = {} } = {}) => throughChild(protocol, limits),
    messagePort: async ({ limits = {} } = {}) => {
      const { port1, port2 } = new MessageChannel();
      const [near, far] = [fromMessagePort(port1), fromMessagePort(port2)];
      const client = protocol(near, { role: 'client', limits: limits.client ?? {} });
      const server = protocol(far, { role: 'server', limits: limits.server ?? {} });
      return tracked(client, server, (error) => {
        near.destroy(error);
        far.destroy(error);
      });
    },
    webSocket: ({ limits = {} } = {}) => throughWebSocket(protocol, limits),
  };
}

type BothLimits = { client?: Partial<Limits>; server?: Partial<Limits> };

let identity: ReturnType<typeof selfSigned> | undefined;
let paths = 0;

function socketPath(): string {
  return join(tmpdir(), `rxmux-${process.pid}-${++paths}.sock`);
}

function tracked(
  client: Provider,
  server: Provider,
  lose: (error?: Error) => void,
  close?: () => Promise<void>,
): Pair {
  trackPair([client, server]);
  return { client, server, cut: () => lose(), fail: lose, ...(close === undefined ? {} : { close }) };
}

/** `connect` to `listen`, as an application does it; the sockets are kept so that the connection can be cut. */
async function dialled(protocol: Protocol, address: string, limits: BothLimits): Promise<Pair> {
  identity ??= selfSigned('localhost');
  const { key, cert } = identity;
  const transports: { destroy(error?: unknown): void }[] = [];
  const kept: Protocol = Object.assign(
    ((transport, options) => {
      transports.push(transport);
      return protocol(transport, options);
    }) as Protocol,
    { alpn: protocol.alpn },
  );
  const listener = await listen(address, kept, { limits: limits.server ?? {}, tls: { key, cert } });
  const accepted = new Promise<Provider>((resolve) => {
    const taking = listener.accept$.subscribe((provider) => {
      resolve(provider);
      queueMicrotask(() => taking.unsubscribe());
    });
  });
  const tls = { ca: cert, servername: 'localhost' };
  const client = await connect(listener.address, kept, { limits: limits.client ?? {}, tls });
  const lose = (error?: Error): void => {
    for (const transport of transports) transport.destroy(error);
  };
  return tracked(client, await accepted, lose, () => listener.close());
}

/** What a child does that carries our bytes: what comes in at its stdin goes out at 4, and from 3 to its stdout. */
const carrier = 'cat <&3 3<&- 4>&- & exec cat >&4 3<&- 4>&-';

/** The client speaks over the stdio of a child process, which passes the bytes on to the server. */
async function throughChild(protocol: Protocol, limits: BothLimits): Promise<Pair> {
  const child = spawn('/bin/sh', ['-c', carrier], { stdio: ['pipe', 'pipe', 'inherit', 'pipe', 'pipe'] });
  const exited = once(child, 'close');
  const [stdin, stdout, , toChild, fromChild] = child.stdio as [Writable, Readable, null, Writable, Readable];
  const near = fromDuplex({ readable: stdout, writable: stdin });
  const far = fromDuplex({ readable: fromChild, writable: toChild });
  const client = protocol(near, { role: 'client', limits: limits.client ?? {} });
  const server = protocol(far, { role: 'server', limits: limits.server ?? {} });
  const lose = (error?: Error): void => {
    child.kill('SIGKILL');
    if (error !== undefined) near.destroy(error);
    far.destroy(error);
  };
  return tracked(client, server, lose, async () => {
    lose();
    await exited;
  });
}

/** A WebSocket of npm's `ws`, at both ends. */
async function throughWebSocket(protocol: Protocol, limits: BothLimits): Promise<Pair> {
  const listener = new WebSocketServer({ host: '127.0.0.1', port: 0, maxPayload: 1 << 20 });
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const accepted = new Promise<Transport>((resolve) =>
    listener.once('connection', (socket) => resolve(fromWebSocket(socket))),
  );
  const near = fromWebSocket(new WebSocket(`ws://127.0.0.1:${port}/`));
  const client = protocol(near, { role: 'client', limits: limits.client ?? {} });
  const far = await accepted;
  const server = protocol(far, { role: 'server', limits: limits.server ?? {} });
  const lose = (error?: Error): void => {
    near.destroy(error);
    far.destroy(error);
  };
  return tracked(client, server, lose, () => new Promise((resolve) => listener.close(() => resolve())));
}
