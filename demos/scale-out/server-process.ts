import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** A server in a process of its own. */
export class ServerProcess {
  readonly name: string;
  readonly port: number;
  /** It is gone, by itself or not. */
  readonly gone: Promise<unknown>;
  readonly #child: ChildProcess;

  private constructor(name: string, port: number, child: ChildProcess) {
    this.name = name;
    this.port = port;
    this.#child = child;
    this.gone = once(child, 'exit');
  }

  static async start(name: string): Promise<ServerProcess> {
    const child = fork(fileURLToPath(new URL('./server-main.js', import.meta.url)), [name]);
    const exited = once(child, 'exit').then(([code]) => {
      throw new Error(`server ${name} ended with exit code ${code} before it listened`);
    });
    const [port] = (await Promise.race([once(child, 'message'), exited])) as [number];
    exited.catch(() => {});
    return new ServerProcess(name, port, child);
  }

  get isGone(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** No new streams; those that it has may finish, and then it is gone. */
  drain(): void {
    this.#child.send('drain');
  }

  /** As a crash or a lost machine would. */
  async kill(): Promise<void> {
    if (this.isGone) return;
    this.#child.kill('SIGKILL');
    await this.gone;
  }
}
