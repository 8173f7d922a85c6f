/**
 * Operations in rounds: A B C, A B C, so that the machine's moods hit all alike. The processes live through the whole
 * run; those of a contender that failed are started anew for its next operation.
 */
import { Child, Pair } from './child.mjs';
import { whyNot } from './contenders.mjs';
import { MiB, operations } from './operations.mjs';

const startAtOnce = 4;
const warmUpTimeoutMs = 8000;
const largest = { bulkBytes: 512 * MiB, smallCount: 2_000_000 };
const smallest = { bulkBytes: MiB, smallCount: 1000 };

export function runRounds(run) {
  return interleave('rounds', (contender) => Pair.start(contender), run);
}

export function runInMemory(run) {
  return interleave('memory', (contender) => MemoryProcess.start(contender), run);
}

async function interleave(kind, start, { contenders, operationNames, profile, results, log }) {
  const names = operationNames.filter((name) => operations[name].kind === kind);
  const taking = contenders.filter((contender) => names.some((name) => !whyNot(contender, name)));
  if (names.length === 0) return;

  const running = new Map();
  const sizes = new Map();
  const processesOf = async (contender) => {
    const there = running.get(contender);
    if (there && !there.dead) return there;
    there?.stop();
    const started = await start(contender);
    running.set(contender, started);
    return started;
  };
  const failed = (contender, operation, error) => {
    results.fail(contender.name, operation, error);
    running.get(contender)?.stop();
    running.delete(contender);
  };

  await inPool(startAtOnce, taking, (contender) =>
    processesOf(contender).catch((error) => {
      for (const name of names) failed(contender, name, error);
    }),
  );
  for (const contender of taking) {
    if (!running.has(contender)) continue;
    log(`${kind}: warming up ${contender.name}`);
    sizes.set(contender, { ...smallest });
    await warmUp(running.get(contender), names, profile, sizes.get(contender)).catch((error) =>
      failed(contender, 'warm-up', error),
    );
  }
  for (let round = 0; round < profile.rounds; round++) {
    for (const name of names) {
      log(`${kind}: round ${round + 1} of ${profile.rounds}, ${name}`);
      for (const contender of taking) {
        if (whyNot(contender, name) || results.failure(contender.name, name)) continue;
        try {
          const processes = await processesOf(contender);
          const command = operations[name].command(sizes.get(contender), profile);
          results.add(name, contender.name, await processes.run(command, profile.timeoutMs), round);
        } catch (error) {
          failed(contender, name, error);
        }
      }
    }
  }
  for (const processes of running.values()) processes.stop();
}

/** Finds how much takes about `profile.bulkSeconds`, and lets the engine optimize. */
async function warmUp(processes, names, profile, size) {
  const run = (command) => processes.run(command, warmUpTimeoutMs);
  const scaled = (rate, key, step) => {
    const wanted = Math.floor((rate * profile.bulkSeconds) / step) * step;
    return Math.max(smallest[key], Math.min(largest[key], wanted));
  };

  for (let total = 4 * MiB, attempt = 0; attempt < 4; attempt++) {
    const { bytes, sec } = await run({ op: 'bulk', total });
    size.bulkBytes = scaled(bytes / sec, 'bulkBytes', MiB);
    if (size.bulkBytes <= total) break;
    total = Math.min(size.bulkBytes, 64 * MiB);
  }
  if (names.includes('small')) {
    for (let count = 2000, attempt = 0; attempt < 3; attempt++) {
      const { sec } = await run({ op: 'small', count });
      size.smallCount = count = scaled(count / sec, 'smallCount', 1);
    }
  }
  await run({ op: 'churn', ms: profile.roundMs, conc: 20 });
}

/** One process with both ends; all its CPU is the client's. */
class MemoryProcess {
  #child;

  static async start(contender) {
    const process = new MemoryProcess();
    process.#child = new Child(contender, 'memory');
    try {
      await process.#child.ready();
      return process;
    } catch (error) {
      process.stop();
      throw error;
    }
  }

  get dead() {
    return this.#child.dead;
  }

  async run(command, timeoutMs) {
    const result = await this.#child.ask(command, timeoutMs);
    if (result.error) throw new Error(result.error);
    if (result.bad > 0) throw new Error('wrong bytes');
    return { ...result, cpuClient: result.cpu, cpuServer: 0 };
  }

  stop() {
    this.#child.stop();
  }
}

/** Calls `work` for each of the list, a few at a time. */
export async function inPool(width, list, work) {
  const waiting = [...list];
  const worker = async () => {
    while (waiting.length > 0) await work(waiting.shift());
  };
  await Promise.all(Array.from({ length: width }, worker));
}
