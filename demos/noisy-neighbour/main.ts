/**
 * Bulk beside small messages on one connection: `npm run demo:noisy-neighbour [-- --ms 1000]`.
 *
 * One stream sends without a pause. What does that do to round trips of 64 bytes on another stream? Ours, and the peers
 * that are there: node:http2 always, ssh2 and spdy-transport where spec/bench has them installed. Each has a process of
 * its own with both ends in it, on loopback. Who has more of the bulk in its queues makes the neighbour wait longer.
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { framer } from 'rxmux/framer';
import { spdy } from 'rxmux/spdy';
import { type Neighbours, ours, peer } from './neighbours.js';

interface Figures {
  readonly mibPerSecond: number;
  readonly count: number;
  /** Milliseconds, of a round trip alone and beside the bulk. */
  readonly alone: number;
  readonly median: number;
  readonly p99: number;
  readonly worst: number;
}

const contenders: Record<string, () => Promise<Neighbours | null>> = {
  'rxmux framer': () => ours(framer),
  'rxmux spdy': () => ours(spdy),
  'node:http2': () => peer('http2'),
  'spdy-transport': () => peer('spdy-transport'),
  ssh2: () => peer('ssh2'),
};

const values = readOptions();
const ms = Number(values.ms);

if (values.of !== undefined) {
  const figures = await measure(values.of);
  // The benchmark's adapters leave their servers open: the process is what ends them.
  process.send?.(figures, () => process.exit());
} else {
  process.stdout.write(
    `${'one connection'.padEnd(15)} bulk MiB/s  round trips  alone ms  beside it: median    p99  worst\n`,
  );
  for (const name of Object.keys(contenders))
    process.stdout.write(`${render(name, await measureApart(name))}\n`);
}

/** `of` is for our own processes: whom this one is to measure. */
function readOptions(): { ms: string; of?: string | undefined } {
  try {
    const { values } = parseArgs({
      options: { ms: { type: 'string', default: '1000' }, of: { type: 'string' } },
    });
    if (Number(values.ms) >= 1) return values;
  } catch {
    // Said below.
  }
  console.error(
    'Usage: npm run demo:noisy-neighbour [-- --ms <milliseconds that each one is measured for, 1000>]',
  );
  process.exit(2);
}

function measureApart(name: string): Promise<Figures | null> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), ['--of', name, '--ms', String(ms)]);
    child.once('message', (figures) => resolve(figures as Figures | null));
    child.once('exit', (code) => {
      if (code !== 0) reject(new Error(`${name} ended with ${code}`));
    });
  });
}

async function measure(name: string): Promise<Figures | null> {
  const neighbours = (await contenders[name]?.()) ?? null;
  if (neighbours === null) return null;
  const alone = await roundTrips(neighbours, ms / 4);
  neighbours.startBulk();
  // Windows and buffers fill before anything counts.
  await roundTrips(neighbours, ms / 4);
  const [before, start] = [neighbours.arrived, performance.now()];
  const beside = await roundTrips(neighbours, ms);
  const seconds = (performance.now() - start) / 1000;
  const mibPerSecond = (neighbours.arrived - before) / 1024 ** 2 / seconds;
  await neighbours.close();
  const at = (times: readonly number[], part: number): number =>
    times[Math.min(times.length - 1, Math.floor(times.length * part))] as number;
  return {
    mibPerSecond,
    count: beside.length,
    alone: at(alone, 0.5),
    median: at(beside, 0.5),
    p99: at(beside, 0.99),
    worst: at(beside, 1),
  };
}

/** Milliseconds of each, in order of size. */
async function roundTrips(neighbours: Neighbours, forMs: number): Promise<number[]> {
  const times: number[] = [];
  const start = performance.now();
  for (let now = start; now - start < forMs; ) {
    await neighbours.ping();
    const after = performance.now();
    times.push(after - now);
    now = after;
  }
  return times.toSorted((a, b) => a - b);
}

function render(name: string, figures: Figures | null): string {
  if (figures === null) return `${name.padEnd(15)} not installed: npm ci in spec/bench`;
  const { mibPerSecond, count, alone, median, p99, worst } = figures;
  const cells = [
    mibPerSecond.toFixed(0).padStart(10),
    String(count).padStart(11),
    alone.toFixed(2).padStart(8),
  ];
  const beside = [median.toFixed(2).padStart(17), p99.toFixed(2).padStart(5), worst.toFixed(2).padStart(5)];
  return `${name.padEnd(15)} ${[...cells, ...beside].join('  ')}`;
}
