import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Dashboard, dashboard } from 'rxmux/dashboard';
import { connect } from 'rxmux/node';
import { moveAll, newTally } from './client.js';
import { cut, findFiles, type Part } from './files.js';
import { helpText, type Options, readOptions, UsageError } from './options.js';
import { isColorful, type Output, type Progress, progressOn } from './progress.js';
import { addressIn, type Scenario } from './scenarios.js';
import type { StartServer } from './server.js';
import { startProcess } from './server-process.js';
import { type Result, renderTable, verdictOn } from './table.js';
import { counted, formatBytes, messageOf, sumOf } from './text.js';
import { selfSigned } from './tls.js';

/** Where the job runs, and what a spec replaces. */
export interface Surroundings {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env?: NodeJS.ProcessEnv;
  /** Aborting ends the transfers; everything is tidied up all the same. */
  readonly signal?: AbortSignal;
  /** A process of its own unless told otherwise. */
  readonly startServer?: StartServer;
  /** Told the exit code as soon as it is known; the dashboard stays on after that. */
  readonly onVerdict?: (exitCode: number) => void;
}

/** Does what the arguments ask for. Resolves with the exit code: 0 all verified, 1 not so, 2 wrong arguments. */
export async function runJob(args: readonly string[], surroundings: Surroundings): Promise<number> {
  const { stdout, stderr } = surroundings;
  try {
    const options = readOptions(args);
    if (options.help) {
      stdout.write(helpText);
      return 0;
    }
    const lost: string[] = [];
    const files = await findFiles(options.paths, (path) => lost.push(path));
    if (lost.length > 0) {
      const what = counted(lost.length, 'entry', 'entries');
      stderr.write(`Left out: ${what} of folders, gone by now or with names that are not UTF-8\n`);
    }
    const parts = cut(files, options.streams);
    if (options.once) return await moveByEach(parts, options, surroundings);
    return await moveInView(parts, options, surroundings);
  } catch (error) {
    stderr.write(`${messageOf(error)}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

/** The same before the eyes of whoever opens the dashboard, which stays until it is told to go. */
async function moveInView(
  parts: readonly Part[],
  options: Options,
  surroundings: Surroundings,
): Promise<number> {
  const { stdout, signal, onVerdict } = surroundings;
  const board = dashboard({ port: options.port });
  try {
    stdout.write(`Watch it live: ${await board.address}\n`);
    const exitCode = await moveByEach(parts, options, surroundings, board);
    onVerdict?.(exitCode);
    if (!signal?.aborted) {
      stdout.write(`\nThe dashboard stays open at ${await board.address} (Ctrl-C ends it).\n`);
      await abortOf(signal);
    }
    return exitCode;
  } finally {
    await board.close();
  }
}

/** Keeps the process alive until then; nothing else does. */
function abortOf(signal: AbortSignal | undefined): Promise<void> {
  const alive = setInterval(() => {}, 2 ** 30);
  return new Promise((resolve) => {
    const done = (): void => {
      clearInterval(alive);
      resolve();
    };
    signal?.addEventListener('abort', done, { once: true });
  });
}

/** Runs one scenario after the other, so that each has the machine to itself, and says at the end how it went. */
async function moveByEach(
  parts: readonly Part[],
  options: Options,
  surroundings: Surroundings,
  board?: Dashboard,
): Promise<number> {
  const { stdout, env = process.env, signal } = surroundings;
  const progress = progressOn(stdout, env);
  stdout.write(`${introduce(parts)}\n\n`);

  const results: Result[] = [];
  const folder = await mkdtemp(join(tmpdir(), 'rxmux-'));
  try {
    for (const scenario of options.scenarios) {
      if (signal?.aborted) break;
      results.push(await moveBy(scenario, parts, { folder, options, progress, surroundings, board }));
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }

  const verdict = verdictOn(results, signal?.aborted ? messageOf(signal.reason) : undefined);
  stdout.write(`\n${renderTable(results, isColorful(stdout, env))}\n\n${verdict.text}\n`);
  return verdict.isGood ? 0 : 1;
}

interface Setting {
  /** For sockets; it goes away with the job. */
  readonly folder: string;
  readonly options: Options;
  readonly progress: Progress;
  readonly surroundings: Surroundings;
  readonly board: Dashboard | undefined;
}

/** One row of the table. A scenario that fails is a row too, and those after it still run. */
async function moveBy(scenario: Scenario, parts: readonly Part[], setting: Setting): Promise<Result> {
  const { folder, options, progress, surroundings, board } = setting;
  const { startServer = startProcess, signal } = surroundings;
  const { protocol, transport } = scenario;
  const tally = newTally((bytes) => progress.add(bytes));
  progress.begin(`${protocol} ${transport}`, sumOf(parts));
  try {
    const identity = selfSigned('localhost');
    const address = addressIn(folder, transport);
    const server = await startServer({ protocol, address, streams: options.streams, tls: identity });
    try {
      const provider = await connect(server.address, scenario.speak(identity), {
        tls: { ca: identity.cert, servername: 'localhost' },
        ...(signal === undefined ? {} : { signal }),
      });
      board?.named(`${protocol} over ${transport}`)(provider);
      await moveAll(provider, parts, options.streams, tally);
      await provider.close();
    } finally {
      await server.close();
    }
  } catch (error) {
    tally.failures.push({ what: 'the connection', why: messageOf(error) });
  }
  const isVerified = tally.failures.length === 0 && tally.verified === parts.length;
  progress.end(isVerified);
  return { protocol, transport, isVerified, ...tally };
}

function introduce(parts: readonly Part[]): string {
  const files = new Set(parts.map(({ path }) => path)).size;
  const what = `${formatBytes(sumOf(parts))} in ${counted(files, 'file')}`;
  return `Moving ${what} to a server and back, over ${counted(parts.length, 'stream')} each time`;
}
