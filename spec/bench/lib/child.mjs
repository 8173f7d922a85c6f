/** The processes of a contender, as the runner sees them. */
import { spawn } from 'node:child_process';
import path from 'node:path';

const peer = path.join(import.meta.dirname, 'peer.mjs');

/** A child process that answers JSON lines, in order. An answer with `error` is a failure, whatever its cause. */
export class Child {
  dead = false;
  #process;
  #waiting = [];
  #stderr = '';
  #partial = '';
  #fatal = null;

  /** `role` is `server`, `client` or `memory`. */
  constructor(contender, role, port) {
    const last = port === undefined ? [role] : [role, String(port)];
    const [command, ...args] = contender.command
      ? [...contender.command, ...last]
      : [process.execPath, '--expose-gc', '--max-old-space-size=3000', peer, contender.file, ...last];
    const env = { ...process.env, NODE_NO_WARNINGS: '1', ...contender.env };
    this.#process = spawn(command, args, { env });
    this.#process.stderr.on('data', (text) => {
      if (this.#stderr.length < 2000) this.#stderr += text;
    });
    this.#process.stdout.on('data', (text) => this.#read(text));
    this.#process.stdin.on('error', () => {}); // told by 'exit'
    this.#process.on('error', (error) => this.#lost(error.message));
    this.#process.on('exit', () => this.#lost(`the process died: ${this.#stderr.slice(0, 300)}`));
  }

  /** The first line, which says whether it could start. */
  async ready() {
    const answer = await this.#next(15_000);
    if (!answer.ready) throw new Error(answer.error ?? this.#stderr);
    return answer;
  }

  ask(command, timeoutMs = 15_000) {
    const answer = this.#next(timeoutMs);
    if (!this.dead) this.#process.stdin.write(`${JSON.stringify(command)}\n`);
    return answer;
  }

  stop() {
    this.dead = true;
    this.#process.kill('SIGKILL');
  }

  #next(timeoutMs) {
    if (this.dead) return Promise.resolve({ error: 'the process is gone' });
    if (this.#fatal) return Promise.resolve({ error: this.#fatal });
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.stop();
        settle({ error: `no result in ${timeoutMs} ms` });
      }, timeoutMs);
      const settle = (answer) => {
        clearTimeout(timer);
        resolve(answer);
      };
      this.#waiting.push(settle);
    });
  }

  #read(text) {
    const lines = (this.#partial + text).split('\n');
    this.#partial = lines.pop();
    for (const line of lines) {
      const answer = JSON.parse(line);
      // After an uncaught error nothing this process says counts: whoever sees the failure stops it.
      if (answer.fatal) this.#fatal ??= answer.fatal;
      this.#waiting.shift()?.(answer.fatal ? { error: answer.fatal } : answer);
    }
  }

  #lost(reason) {
    this.dead = true;
    for (const settle of this.#waiting.splice(0)) settle({ error: reason });
  }
}

/** Server and client of one contender, connected. */
export class Pair {
  server;
  client;

  static async start(contender) {
    const pair = new Pair();
    try {
      pair.server = new Child(contender, 'server');
      const { port } = await pair.server.ready();
      pair.client = new Child(contender, 'client', port);
      await pair.client.ready();
      return pair;
    } catch (error) {
      pair.stop();
      throw error;
    }
  }

  get dead() {
    return this.server.dead || this.client.dead;
  }

  /** Runs one operation. The result has the CPU seconds of both processes; throws if a check failed. */
  async run(command, timeoutMs) {
    const arrivedBefore = await this.#arrived();
    const start = performance.now();
    const serverCpu = await this.#serverCpu();
    const result = await this.client.ask(command, timeoutMs);
    if (result.error) throw new Error(result.error);
    result.cpuClient = result.cpu;
    result.cpuServer = (await this.#serverCpu()) - serverCpu;
    if (command.op === 'fair') {
      // What counts is what really arrived, over the whole time.
      result.sec = (performance.now() - start) / 1000;
      result.bytes = (await this.#arrived()) - arrivedBefore;
    }
    if (!(result.sec > 0)) throw new Error('no result');
    if (result.bad > 0) throw new Error('wrong bytes');
    return result;
  }

  stop() {
    this.server?.stop();
    this.client?.stop();
  }

  async #serverCpu() {
    return (await this.#askServer('cpu')).cpu;
  }

  async #arrived() {
    const stats = await this.#askServer('stats');
    if (stats.bad > 0) throw new Error('wrong bytes');
    return stats.bytes;
  }

  async #askServer(cmd) {
    const answer = await this.server.ask({ cmd });
    if (answer.error) throw new Error(`server: ${answer.error}`);
    return answer;
  }
}
