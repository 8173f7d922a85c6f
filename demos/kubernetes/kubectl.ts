import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** How a run of `kubectl` went. */
export interface Outcome {
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** A `kubectl` program that knows one server, and leaves nothing outside of `folder`. */
export class Kubectl {
  readonly #program: string;
  readonly #flags: readonly string[];
  readonly #folder: string;
  readonly #env: readonly string[];

  constructor(program: string, server: string, folder: string, env: Readonly<Record<string, string>> = {}) {
    this.#program = program;
    this.#folder = folder;
    this.#env = Object.entries({ HOME: folder, ...env }).map(([name, value]) => `${name}=${value}`);
    // An empty configuration: it must not look at that of whoever runs this.
    this.#flags = ['--server', server, '--kubeconfig', '/dev/null', '--cache-dir', join(folder, 'cache')];
  }

  /** Where it is in PATH; undefined if it is not. */
  static find(): string | undefined {
    const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
    return folders.map((folder) => join(folder, 'kubectl')).find(isExecutable);
  }

  /** Starts it, without waiting for anything. */
  start(...args: readonly string[]): ChildProcessWithoutNullStreams {
    const [file, ...rest] = this.commandLine(...args);
    return spawn(file, rest, { cwd: this.#folder });
  }

  /** Runs it to its end, with `input` as all of its stdin. */
  async run(args: readonly string[], input: Uint8Array | string = ''): Promise<Outcome> {
    const child = this.start(...args);
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    const stdout: Buffer[] = [];
    let stderr = '';
    child.stdout.on('data', (chunk) => stdout.push(chunk));
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    const [exitCode] = (await once(child, 'close')) as [number];
    return { exitCode, stdout: Buffer.concat(stdout), stderr };
  }

  /** The program and its arguments, for whoever starts it on a terminal. */
  commandLine(...args: readonly string[]): [string, ...string[]] {
    return ['env', ...this.#env, this.#program, ...this.#flags, ...args];
  }
}

/** The ports of this side, as `kubectl port-forward` tells them once it listens: in the order of its arguments. */
export async function forwardedPorts(
  child: ChildProcessWithoutNullStreams,
  count: number,
): Promise<number[]> {
  const ports = new Map<string, number>();
  let text = '';
  // It goes on writing after that, and must be read.
  child.stdout.on('data', (chunk) => {
    text += chunk;
  });
  child.stderr.resume();
  while (ports.size < count) {
    await Promise.race([once(child.stdout, 'data'), once(child.stdout, 'close')]);
    for (const [, port, target] of text.matchAll(/^Forwarding from 127\.0\.0\.1:(\d+) -> (\d+)$/gm)) {
      ports.set(target as string, Number(port));
    }
    if (child.stdout.closed && ports.size < count) throw new Error('kubectl port-forward has ended at once');
  }
  return [...ports.values()];
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
