import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, stop } from 'esbuild';
import { startBrowser } from '../dashboard/browser.js';
import type * as program from './program.js';

export type Program = typeof program;

/** A place where the program runs, with the platform's own WebSocket. */
export interface Platform {
  /** Calls a function of the program. */
  call<Name extends keyof Program>(
    name: Name,
    ...args: Parameters<Program[Name]>
  ): Promise<Awaited<ReturnType<Program[Name]>>>;
  /** Is gone, without any goodbye of the program's. */
  leave(): Promise<void>;
}

type Callable = Record<string, (...args: never[]) => unknown>;

/** Gives a fresh place for each spec. */
export interface Platforms {
  /** `address` serves the program as a page. */
  open(address: string): Promise<Platform>;
  close(): Promise<void>;
}

/** The program as a script, whose functions are those of the global `program`. */
export async function bundled(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, 'program.ts')],
    alias: { rxmux: join(import.meta.dirname, '../../lib/index.ts') },
    bundle: true,
    format: 'iife',
    globalName: 'program',
    platform: 'browser',
    target: 'es2022',
    write: false,
    logLevel: 'error',
  });
  await stop();
  return (outputFiles[0] as { text: string }).text;
}

export async function pages(): Promise<Platforms> {
  const browser = await startBrowser();
  return {
    open: async (address) => {
      const { page, complaints } = await browser.open(address);
      return {
        call: (name, ...args) =>
          page.evaluate(
            ([called, given]) => {
              const { program } = globalThis as unknown as { program: Callable };
              return program[called]?.(...(given as never[]));
            },
            [name, args] as const,
          ) as Promise<never>,
        leave: async () => {
          await page.close();
          expect(complaints).toEqual([]);
        },
      };
    },
    close: () => browser.close(),
  };
}

/** Calls what it is told to, one thing at a time. */
const runner = `
  process.on('message', async ([name, args]) => {
    try {
      process.send({ value: await program[name](...args) });
    } catch (error) {
      process.send({ error: String(error) });
    }
  });
`;

/** A Node with the platform's WebSocket: it has one from 22 on, and 20 has it behind a flag. */
export async function processes(): Promise<Platforms> {
  const folder = await mkdtemp(join(tmpdir(), 'rxmux-web-socket-'));
  const file = join(folder, 'program.cjs');
  await writeFile(file, `${await bundled()}${runner}`);
  const flag = '--experimental-websocket';
  const execArgv = process.allowedNodeEnvironmentFlags.has(flag) ? [flag, '--no-warnings'] : [];
  return {
    open: async () => {
      const child: ChildProcess = fork(file, { execArgv });
      const exited = once(child, 'exit');
      return {
        call: async (name, ...args) => {
          child.send([name, args]);
          const [answer] = (await once(child, 'message')) as [{ value?: never; error?: string }];
          if (answer.error !== undefined) throw new Error(answer.error);
          return answer.value as never;
        },
        leave: async () => {
          child.kill('SIGKILL');
          await exited;
        },
      };
    },
    close: () => rm(folder, { recursive: true }),
  };
}
