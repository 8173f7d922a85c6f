import type { Writable } from 'node:stream';
import type { Provider, Stream } from 'rxmux';
import { acceptChannels, type ChannelOptions, type Channels, sizesOf } from './channels.js';
import type { PodOptions } from './pods.js';
import { type Process, start } from './process.js';
import { exitStatus, failure, type Status } from './status.js';
import { messageOf } from './text.js';

/** `kubectl exec` and `kubectl cp`: runs a command, whose life is that of the connection. */
export async function exec(
  provider: Provider,
  pod: PodOptions,
  options: ChannelOptions,
  command: readonly string[],
): Promise<void> {
  const channels = await acceptChannels(provider, options);
  let running: Process;
  try {
    running = await start(command, pod.folder, options.tty);
    provider.closed.catch(() => {}).finally(() => running.kill());
    const outputs = [
      channels.stdout?.send(running.stdout),
      running.stderr && channels.stderr?.send(running.stderr),
    ];
    // What nobody asked for must not stop the process.
    if (channels.stdout === undefined) running.stdout.resume();
    if (channels.stderr === undefined) running.stderr?.resume();
    if (channels.stdin === undefined) running.stdin.end();
    else void feed(channels.stdin, running.stdin);
    void follow(channels.resize, running);
    const exitCode = await running.exited;
    // Who does not want an output still wants to know how it ended.
    await Promise.allSettled(outputs);
    await conclude(channels, exitStatus(exitCode));
  } catch (error) {
    await conclude(channels, failure(500, 'InternalError', messageOf(error)));
  }
}

/** A container's main process, and those who are attached to it. */
export class Container {
  readonly #process: Process;
  readonly #stdout: Broadcast;
  readonly #stderr: Broadcast;

  private constructor(process: Process) {
    this.#process = process;
    this.#stdout = new Broadcast(process.stdout);
    this.#stderr = new Broadcast(process.stderr ?? []);
    process.exited.catch(() => {});
  }

  static async start({ command, folder, tty = false }: PodOptions): Promise<Container> {
    return new Container(await start(command, folder, tty));
  }

  /** `kubectl attach`: the connection sees what the process writes from now on; the process outlives it. */
  async attach(provider: Provider, options: ChannelOptions): Promise<void> {
    const channels = await acceptChannels(provider, options);
    const outputs = [
      channels.stdout && this.#stdout.to(channels.stdout),
      channels.stderr && this.#stderr.to(channels.stderr),
    ];
    // As the pod says, stdin is for one: what has been attached once is closed with it.
    if (channels.stdin !== undefined) void feed(channels.stdin, this.#process.stdin);
    void follow(channels.resize, this.#process);
    await Promise.allSettled(outputs);
    // However the process has ended: its exit code is not told to who is attached, as with kubelets.
    await conclude(channels, exitStatus(0));
  }

  stop(): void {
    this.#process.kill();
  }

  get exited(): Promise<number> {
    return this.#process.exited;
  }
}

/** Copies bytes to whoever listens, at the pace of the slowest of them; where nobody does, they are gone. */
class Broadcast {
  readonly #listeners: Set<Stream> = new Set();
  readonly #over: Promise<void>;

  constructor(source: AsyncIterable<Uint8Array> | readonly Uint8Array[]) {
    this.#over = this.#copy(source);
    this.#over.catch(() => {});
  }

  /** Resolves when the source is at its end, and rejects when the listener is gone. */
  async to(stream: Stream): Promise<void> {
    this.#listeners.add(stream);
    try {
      await Promise.race([this.#over, stream.closed.then(() => Promise.reject(new Error('it was closed')))]);
      await stream.end();
    } finally {
      this.#listeners.delete(stream);
    }
  }

  async #copy(source: AsyncIterable<Uint8Array> | readonly Uint8Array[]): Promise<void> {
    for await (const chunk of source) {
      await Promise.allSettled([...this.#listeners].map((listener) => listener.write(chunk)));
    }
  }
}

/** Input for a process. What it does not want, because it has ended or closed its input, is read all the same. */
async function feed(stream: Stream, stdin: Writable): Promise<void> {
  try {
    for await (const chunk of stream)
      await new Promise<void>((resolve) => stdin.write(chunk, () => resolve()));
    stdin.end();
  } catch {
    // The connection is gone, and so is the process, or it has other users.
  }
}

async function follow(stream: Stream | undefined, process: Process): Promise<void> {
  if (stream === undefined) return;
  try {
    for await (const size of sizesOf(stream)) process.resize(size);
  } catch {
    stream.reset();
  }
}

/** The end: of the outputs first, then a Status, after which the client leaves. */
async function conclude(channels: Channels, status: Status): Promise<void> {
  const { error, ...others } = channels;
  try {
    await Promise.allSettled(Object.values(others).map((stream: Stream) => stream.end()));
    await error.send(JSON.stringify(status));
  } catch {
    // The client has not waited for it.
  }
}
