/** Connected pairs over each transport, and what the specs of this folder measure with. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { firstValueFrom } from 'rxjs';
import type { Limits, Provider, Stream } from 'rxmux';
import { framer, memoryPair } from 'rxmux';
import { connect, listen } from 'rxmux/node';
import { trackProvider } from '../support/leaks.js';

export const KiB = 1024;
export const MiB: number = 1024 * KiB;

export interface Connected {
  readonly client: Provider;
  readonly server: Provider;
}

const clean: (() => Promise<void> | void)[] = [];

type Transport = 'memory' | 'tcp';
export const transports: readonly Transport[] = ['memory', 'tcp'];

/** A fresh connection, its windows known to both sides. `disconnect` ends it, in an `afterEach`. */
export async function connected(transport: Transport, limits: Partial<Limits> = {}): Promise<Connected> {
  const made = transport === 'memory' ? inMemory(limits) : await overTcp(limits);
  const { client, server } = made;
  trackProvider(client, 'the client');
  trackProvider(server, 'the server');
  clean.push(() => {
    client.abort();
    server.abort();
  });
  await Promise.all([client.ping(), server.ping()]);
  return made;
}

function inMemory(limits: Partial<Limits>): Connected {
  const [near, far] = memoryPair();
  return {
    client: framer(near, { role: 'client', limits }),
    server: framer(far, { role: 'server', limits }),
  };
}

async function overTcp(limits: Partial<Limits>): Promise<Connected> {
  const listener = await listen('tcp://127.0.0.1:0', framer, { limits });
  const taken = firstValueFrom(listener.accept$);
  const client = await connect(listener.address, framer, { limits });
  const server = await taken;
  clean.push(() => listener.close());
  return { client, server };
}

export async function disconnect(): Promise<void> {
  for (const task of clean.splice(0).reverse()) await task();
}

/** A stream that is open at both ends. */
export async function linked({ client, server }: Connected): Promise<[Stream, Stream]> {
  const taken = server.accept();
  const near = client.newStream();
  const far = (await taken) as Stream;
  far.accept();
  await near.reply;
  return [near, far];
}

/** One turn of the event loop, input and timers included. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Resolves once a figure has not changed for ten turns in which nothing else happened either. */
export async function still(read: () => number): Promise<number> {
  let value = read();
  for (let quiet = 0; quiet < 10; quiet++) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    const now = read();
    if (now !== value) quiet = -1;
    value = now;
  }
  return value;
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes of JavaScript in this thread that are in use, buffers included. */
export async function heldBytes(): Promise<number> {
  // What a finalizer frees is only gone after the next collection.
  for (let round = 0; round < 3; round++) {
    collect();
    await turn();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] as number;
  return sorted.length % 2 === 1 ? high : (high + (sorted[middle - 1] as number)) / 2;
}

/** A line among the output of the run; Jest's own console would add where it came from. */
export function figure(text: string): void {
  process.stdout.write(`    figure: ${text}\n`);
}
