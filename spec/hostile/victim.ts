/** The server under attack, in a process of its own: what it costs can then be seen from outside. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Limits, type Provider, type Stream, StreamError } from 'rxmux';
import { framer } from 'rxmux/framer';
import { http2 } from 'rxmux/http2';
import { type Listener, listen } from 'rxmux/node';
import { spdy } from 'rxmux/spdy';
import type { End, Ports, Question, Report } from './messages.js';
import { residentBytes } from './resident.js';
import { sshVictim } from './ssh-login.js';

/** Times so short that a spec can wait for them. */
const quick: Partial<Limits> = {
  // On a machine that is busy, a first read may take its time.
  handshakeMs: 500,
  keepaliveMs: 100,
  deadMs: 300,
  stallMs: 200,
  openMs: 10_000,
  halfClosedMs: 300,
};

const protocol = { framer, spdy, http2, ssh: sshVictim }[process.argv[2] ?? 'framer'] ?? framer;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const ends: End[] = [];
const streamEnds: string[] = [];
const mishaps: string[] = [];
const listeners: Listener[] = [];
const cleanPrototype = Object.getOwnPropertyNames(Object.prototype).length;
let start = { held: 0, resident: 0 };
let residentPeak = 0;

process.on('uncaughtException', (error) => mishaps.push(String(error.stack)));
process.on('unhandledRejection', (error) => mishaps.push(`rejected: ${String(error)}`));

function* zeros(): Generator<Uint8Array> {
  const chunk = new Uint8Array(16 * 1024);
  for (;;) yield chunk;
}

const ways: Readonly<Record<string, (stream: Stream) => void>> = {
  '/echo': (stream) => {
    void stream.send(stream.data$);
  },
  '/give': (stream) => {
    void stream.send(zeros());
  },
  '/ignore': (stream) => {
    stream.accept();
  },
  '/reject': (stream) => stream.reject(),
  '/reset': (stream) => stream.accept().reset(),
};

function serve(stream: Stream): void {
  stream.closed.catch((error) => streamEnds.push(StreamError.is(error) ? error.code : 'other'));
  const way = ways[stream.headers.get(':path') ?? ''];
  if (way !== undefined) {
    way(stream);
    return;
  }
  stream.data$.subscribe({ error: () => {}, complete: () => void stream.end() });
}

function take(provider: Provider): void {
  const began = performance.now();
  const ended = (error: unknown): void => {
    const code = error === undefined ? 'none' : StreamError.is(error) ? error.code : 'other';
    const message = error === undefined ? '' : String((error as Error).message);
    ends.push({ code, message, ms: performance.now() - began });
  };
  provider.closed.then(() => ended(undefined), ended);
  provider.accept$.subscribe({ next: serve, error: () => {} });
}

function look(): void {
  residentPeak = Math.max(residentPeak, residentBytes() - start.resident);
}

/** What is freed by a finalizer is only gone after the next collection. */
async function used(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function begin(): Promise<void> {
  start = { held: await used(), resident: residentBytes() };
  residentPeak = 0;
  ends.length = 0;
  streamEnds.length = 0;
}

async function report(): Promise<Report> {
  look();
  const held = (await used()) - start.held;
  const resources: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) {
    // The pipes are those of this process with its parent.
    if (/TCP|Timeout/.test(name)) resources[name] = (resources[name] ?? 0) + 1;
  }
  const providers = listeners.flatMap((listener) => [...listener.providers]);
  if (Object.getOwnPropertyNames(Object.prototype).length !== cleanPrototype)
    mishaps.push('Object.prototype is polluted');
  const streams = providers.reduce((sum, provider) => sum + provider.streams.size, 0);
  return { ends, streamEnds, mishaps, connections: providers.length, streams, resources, residentPeak, held };
}

async function port(limits: Partial<Limits>): Promise<number> {
  const listener = await listen('tcp://127.0.0.1:0', protocol, { limits });
  listeners.push(listener);
  listener.accept$.subscribe({ next: take, error: (error) => mishaps.push(`listener: ${String(error)}`) });
  return Number(listener.address.slice(listener.address.lastIndexOf(':') + 1));
}

const ports: Ports = { usual: await port({}), quick: await port(quick) };
setInterval(look, 5).unref();
process.on('message', async (question: Question) => {
  if (question === 'ports') process.send?.(ports);
  else if (question === 'report') process.send?.(await report());
  else {
    await begin();
    process.send?.('begun');
  }
});
process.on('disconnect', () => process.exit());
