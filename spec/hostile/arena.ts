/** A victim, an attacker and a canary, each where it cannot hide behind another. */
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Protocol, Provider } from 'rxmux';
import { framer } from 'rxmux/framer';
import { http2 } from 'rxmux/http2';
import { connect } from 'rxmux/node';
import { spdy } from 'rxmux/spdy';
import { median } from '../bounded/pairs.js';
import type { Assault, Blow, Ports, Question, Report } from './messages.js';
import { sshCanary } from './ssh-login.js';

const root = join(import.meta.dirname, '../..');

/** Compiles a program of this folder, with the library in it, as it would be deployed. */
function bundle(name: string, folder: string): string {
  const file = join(folder, `${name}.mjs`);
  const options = ['--bundle', '--platform=node', '--format=esm', '--log-level=error', `--outfile=${file}`];
  execFileSync(
    join(root, 'node_modules/.bin/esbuild'),
    [join(import.meta.dirname, `${name}.ts`), ...options],
    {
      cwd: root,
    },
  );
  return file;
}

/** The programs of this folder, compiled. */
export interface Programs {
  readonly victim: string;
  readonly attacker: string;
  remove(): void;
}

export function buildPrograms(): Programs {
  const folder = mkdtempSync(join(tmpdir(), 'rxmux-hostile-'));
  return {
    victim: bundle('victim', folder),
    attacker: bundle('attacker', folder),
    remove: () => rmSync(folder, { recursive: true }),
  };
}

/** Asks a child process one thing at a time. */
class Child {
  readonly #process: ChildProcess;

  constructor(file: string, ...args: readonly string[]) {
    // What is not in the bundle is found where the library would find it.
    const env = { ...process.env, NODE_PATH: join(root, 'node_modules') };
    this.#process = fork(file, args, { serialization: 'advanced', execArgv: [], env });
  }

  async ask<T>(question: Question | Assault): Promise<T> {
    const answer = once(this.#process, 'message', { signal: AbortSignal.timeout(20_000) });
    this.#process.send(question);
    return ((await answer) as [T])[0];
  }

  async end(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const exited = once(this.#process, 'exit');
    this.#process.disconnect();
    await exited;
  }
}

/** Memory that may be left: a slab that the canary's socket reads into, and what the engine keeps for next time. */
export const keptBytes: number = 2 * 1024 * 1024;

/** What victim and canary speak. */
const protocols: Readonly<Record<'framer' | 'spdy' | 'http2' | 'ssh', Protocol>> = {
  framer,
  spdy,
  http2,
  ssh: sshCanary,
};

/** After these a round trip takes what it will take, and the victim's heap has its size. */
const warmUps = 300;

const word = new TextEncoder().encode('are you there?');

export class Arena {
  readonly ports: Ports;
  readonly #victim: Child;
  readonly #attacker: Child;
  readonly #canary: Provider;
  readonly #idle: Readonly<Record<string, number>>;

  private constructor(victim: Child, attacker: Child, ports: Ports, canary: Provider, idle: Report) {
    this.#victim = victim;
    this.#attacker = attacker;
    this.ports = ports;
    this.#canary = canary;
    this.#idle = idle.resources;
  }

  static async open(protocol: keyof typeof protocols, programs: Programs): Promise<Arena> {
    const victim = new Child(programs.victim, protocol);
    const attacker = new Child(programs.attacker);
    const ports = await victim.ask<Ports>('ports');
    const canary = await connect(`tcp://127.0.0.1:${ports.usual}`, protocols[protocol]);
    for (let warm = 0; warm < warmUps; warm++) await roundTrip(canary);
    await victim.ask('begin');
    return new Arena(victim, attacker, ports, canary, await victim.ask<Report>('report'));
  }

  async close(): Promise<void> {
    await this.#canary.close();
    await Promise.all([this.#victim.end(), this.#attacker.end()]);
  }

  begin(): Promise<void> {
    return this.#victim.ask('begin');
  }

  attack(assault: Assault): Promise<Blow[]> {
    return this.#attacker.ask<Blow[]>(assault);
  }

  report(): Promise<Report> {
    return this.#victim.ask('report');
  }

  /** The median round trip of a polite client until `enough`. */
  async canary(enough: () => boolean): Promise<number> {
    const times: number[] = [];
    while (!enough() || times.length < 20) {
      const began = performance.now();
      await roundTrip(this.#canary);
      times.push(performance.now() - began);
    }
    return median(times);
  }

  /** What the victim says once only the canary is left, and no memory, or after a while. */
  async aftermath(mostMs: number = 2500): Promise<Report & { left: Record<string, number> }> {
    const began = performance.now();
    for (;;) {
      const report = await this.report();
      const left: Record<string, number> = {};
      for (const [name, count] of Object.entries(report.resources)) {
        const more = count - (this.#idle[name] ?? 0);
        if (more > 0) left[name] = more;
      }
      const clean = report.connections === 1 && report.streams === 0 && Object.keys(left).length === 0;
      if ((clean && report.held < keptBytes) || performance.now() - began > mostMs)
        return { ...report, left };
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

async function roundTrip(canary: Provider): Promise<void> {
  const stream = canary.newStream({ ':path': '/echo' });
  void stream.send(word);
  const back = await stream.read();
  if (back?.byteLength !== word.byteLength) throw new Error('the canary got something else back');
  if ((await stream.read()) !== null) throw new Error('the canary got more than it sent');
  await stream.closed;
}
