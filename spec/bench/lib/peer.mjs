/**
 * One process: one end of one contender. Commands come as JSON lines on stdin, answers go as JSON lines to stdout.
 *
 *   node --expose-gc peer.mjs <adapter file> server | client <port> | memory
 */
import readline from 'node:readline';
import { pathToFileURL } from 'node:url';
import { clientOperations } from './client-operations.mjs';
import { serverOperations, stats } from './server-operations.mjs';

const [, , file, role, port] = process.argv;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
const describe = (error) => String(error?.stack ?? error).slice(0, 600);

console.log = console.error; // stdout belongs to the answers
process.on('uncaughtException', (error) => say({ fatal: describe(error) }));
process.on('unhandledRejection', (error) => say({ fatal: describe(error) }));

/** Set by an adapter whose work is done by other processes as well. */
let cpuElsewhere = () => 0;
let operations;
let session;
let highestRss = 0;

const cpuSeconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6 + cpuElsewhere();
};
const watchRss = () => {
  highestRss = Math.max(highestRss, process.memoryUsage.rss());
};

const questions = {
  cpu: () => ({ cpu: cpuSeconds() }),
  stats: () => stats,
  async rss() {
    for (let i = 0; i < 3; i++) {
      globalThis.gc();
      await sleep(30);
    }
    const { rss, heapUsed } = process.memoryUsage();
    return { rss, heap: heapUsed };
  },
  rssmax() {
    watchRss();
    setInterval(watchRss, 50).unref();
    return { rss: process.memoryUsage.rss() };
  },
  rssget() {
    watchRss();
    return { max: highestRss };
  },
};

async function start() {
  const { default: adapter } = await import(pathToFileURL(file));
  cpuElsewhere = adapter.cpuElsewhere ?? cpuElsewhere;
  if (role === 'server') return { ready: true, port: await adapter.listen(serverOperations(adapter.io)) };
  operations = clientOperations(adapter);
  if (role === 'client') session = await adapter.connect(Number(port));
  else if (adapter.pair) session = await adapter.pair(serverOperations(adapter.io));
  else return { ready: false, error: 'it cannot run in memory' };
  return { ready: true };
}

async function answer(command) {
  if (command.cmd) return questions[command.cmd]();
  const before = cpuSeconds();
  const result = await operations[command.op](session, command);
  return { ...result, cpu: cpuSeconds() - before, bad: stats.bad };
}

say(await start().catch((error) => ({ ready: false, error: describe(error) })));
readline
  .createInterface({ input: process.stdin })
  .on('line', (line) => {
    answer(JSON.parse(line)).then(say, (error) =>
      say({ error: String(error?.message ?? error).slice(0, 300) }),
    );
  })
  .on('close', () => process.exit(0));
