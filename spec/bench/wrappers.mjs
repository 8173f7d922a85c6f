/**
 * What wrappers cost: CPU time of the client's process, against that of one without a wrapper. Every variant has a
 * process of its own, so that none is compiled for the others' streams, and their rounds are interleaved; all talk to
 * the same server. Prints the median of the ratios of neighbouring rounds.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { readArguments } from '../support/arguments.mjs';

const usage = `Usage: npm run bench:wrappers -- [options]

  --rounds N    this many rounds (default: 15)
  --only a,b    wrappers with one of these in their names, beside none at all
  --op name     only this operation: bulk or churn100
  --help        this text`;

const root = path.resolve(import.meta.dirname, '../..');
const { resolve } = createRequire(path.join(root, 'package.json'));
const { connect, debug, framer, handle, intercept, limit, listen, span, tapProvider, trace } = await import(
  pathToFileURL(resolve('rxmux/node'))
);

const ignore = () => {};
/** The limits of the acceptance, as a ratio of CPU time, where there is one. */
const variants = {
  bare: { wrap: [] },
  // As good as bare: how far its ratio is from 1 is how far every other may be wrong.
  'nothing, for the noise': { wrap: [] },
  'tapProvider, unobserved': { wrap: [tapProvider({})], most: { bulk: 1.03, churn100: 1.1 } },
  'debug, switched off': { wrap: [debug({ enabled: false })], most: { bulk: 1.03, churn100: 1.1 } },
  'intercept without hooks': { wrap: [intercept({})] },
  'tapProvider, observed': { wrap: [tapProvider(ignore)], most: { churn100: 1.15 } },
  'trace of lifecycles': { wrap: [trace(ignore)], most: { churn100: 1.15 } },
  'trace of frames': { wrap: [trace(ignore, { frames: true })] },
  'debug to a function': { wrap: [debug({ log: ignore })] },
  handle: { wrap: [handle(() => ({ accept: true }))] },
  'limit of streams': { wrap: [limit({ streams: 1000 })] },
  'limit of bytes': { wrap: [limit({ perStream: { bytes: 1e12 } })] },
  'span of one': { wrap: [(provider) => span([provider])] },
};

const chunk = new Uint8Array(64 * 1024);
const message = new Uint8Array(1024);
const limits = { maxStreams: 1 << 16, backlog: 1 << 14 };

const operations = {
  /** 512 MiB on one stream. */
  async bulk(provider) {
    const stream = provider.newStream({ op: 'sink' });
    function* chunks() {
      for (let count = 0; count < 8192; count++) yield chunk;
    }
    await stream.send(chunks());
    for await (const _ of stream) throw new Error('nothing was to come back');
  },
  /** Open, 1 KiB there and back, close; 100 at a time. */
  async churn100(provider) {
    let left = 6000;
    const one = () =>
      new Promise((done, failed) => {
        const stream = provider.newStream();
        let received = 0;
        stream.data$.subscribe({
          next: (bytes) => {
            received += bytes.byteLength;
          },
          error: failed,
          complete: () => (received === message.byteLength ? done() : failed(new Error(`${received} bytes`))),
        });
        stream.send(message);
      });
    const worker = async () => {
      while (left-- > 0) await one();
    };
    await Promise.all(Array.from({ length: 100 }, worker));
  },
};

if (process.send === undefined) await measure();
else if (process.argv[2] === 'server') await serve();
else client(process.argv[2], Number(process.argv[3]));

async function serve() {
  const listener = await listen('tcp://127.0.0.1:0', framer, { limits });
  listener.accept$.subscribe((provider) => {
    provider.accept$.subscribe({
      next: (stream) => {
        if (stream.headers.get('op') !== 'sink') stream.send(stream.data$);
        else stream.data$.subscribe({ complete: () => stream.end(), error: ignore });
      },
      error: ignore,
    });
  });
  process.send(Number(new URL(listener.address).port));
}

function client(name, port) {
  process.on('message', async (op) => {
    const provider = (await connect(`tcp://127.0.0.1:${port}`, framer, { limits })).pipe(
      ...variants[name].wrap,
    );
    await provider.ping();
    globalThis.gc?.();
    const before = process.cpuUsage();
    await operations[op](provider);
    const { user, system } = process.cpuUsage(before);
    await provider.close();
    process.send((user + system) / 1000);
  });
}

async function measure() {
  const values = readArguments(
    usage,
    { rounds: { type: 'string', default: '15' }, only: { type: 'string' }, op: { type: 'string' } },
    ['rounds'],
  );
  if (values.op !== undefined && !(values.op in operations)) {
    console.error(`no operation ${values.op}; there are ${Object.keys(operations).join(' and ')}`);
    process.exit(2);
  }
  const names = Object.keys(variants).filter(
    (name) =>
      name === 'bare' ||
      name.startsWith('nothing') ||
      (values.only ?? '').split(',').some((word) => name.includes(word)),
  );
  const file = fileURLToPath(import.meta.url);
  const start = (...args) => fork(file, args.map(String), { execArgv: ['--expose-gc'] });
  const server = start('server');
  const [port] = await once(server, 'message');
  const clients = new Map(names.map((name) => [name, start(name, port)]));
  const ask = async (name, op) => {
    const child = clients.get(name);
    child.send(op);
    return (await once(child, 'message'))[0];
  };
  for (const op of values.op === undefined ? Object.keys(operations) : [values.op]) {
    const samples = new Map(names.map((name) => [name, []]));
    for (let round = -3; round < Number(values.rounds); round++) {
      for (const name of round % 2 === 0 ? names : names.toReversed()) {
        const ms = await ask(name, op);
        // The first rounds are for the compiler.
        if (round >= 0) samples.get(name).push(ms);
      }
    }
    report(op, samples);
  }
  for (const child of [...clients.values(), server]) child.kill();
}

function median(list) {
  const sorted = list.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

function report(op, samples) {
  const bare = samples.get('bare');
  console.log(
    `\n${op}: ${median(bare).toFixed(0)} ms of CPU in a round without a wrapper, ${bare.length} rounds`,
  );
  for (const [name, list] of samples) {
    if (name === 'bare') continue;
    const ratio = median(list.map((ms, round) => ms / bare[round]));
    const least = Math.min(...list) / Math.min(...bare);
    const most = variants[name].most?.[op];
    const verdict = most === undefined ? '' : `  at most ${most}: ${ratio <= most ? 'met' : 'missed'}`;
    console.log(`${name.padEnd(26)} ${ratio.toFixed(3)}  least to least ${least.toFixed(3)}${verdict}`);
  }
}
