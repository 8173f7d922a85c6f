/** Programs in Go that are peers: built from this folder with Debian's packages, and run where they serve. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { debianGoPath } from '../support/interop.js';

export interface GoProgram {
  readonly program: string;
  remove(): Promise<void>;
}

/** Builds `go/<name>`. */
export async function buildGo(name: string): Promise<GoProgram> {
  const folder = await mkdtemp(join(tmpdir(), `rxmux-go-${name}-`));
  const program = join(folder, name);
  const env = { ...process.env, GO111MODULE: 'off', GOPATH: debianGoPath, GOFLAGS: '' };
  const cwd = join(import.meta.dirname, 'go', name);
  await promisify(execFile)('go', ['build', '-o', program, '.'], { cwd, env });
  return { program, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** Runs `<program> serve`, which says its port in its first line and goes on until its input ends. */
export async function serveGo(program: string): Promise<{ port: string; end(): Promise<void> }> {
  const child = spawn(program, ['serve'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const lines = createInterface({ input: child.stdout });
  const [port] = (await once(lines, 'line')) as [string];
  lines.close();
  const end = async (): Promise<void> => {
    child.stdin.end();
    await exited;
  };
  return { port, end };
}
