/** A provider under test whose peer is the spec itself: frames by hand, time by hand. */
import type { Limits, Provider, Transport } from 'rxmux';
import { framer } from 'rxmux/framer';
import type { Clock } from '../../lib/core/clock.js';
import type { Settings } from '../../lib/framer/frames.js';
import { trackProvider } from '../support/leaks.js';
import { Hearing, hello, join } from './frames.js';

interface Task {
  readonly at: number;
  readonly run: () => void;
}

/** Time stands still until it is told to go on. */
export class HandClock implements Clock {
  /** Added by each look at the clock. */
  msPerLook = 0;
  #now = 1_000_000;
  readonly #tasks: Set<Task> = new Set();
  #turns: (() => void)[] = [];

  now(): number {
    this.#now += this.msPerLook;
    return this.#now;
  }

  after(ms: number, run: () => void): () => void {
    const task = { at: this.#now + ms, run };
    this.#tasks.add(task);
    return () => this.#tasks.delete(task);
  }

  soon(task: () => void): void {
    this.#turns.push(task);
  }

  /** How many timers are set. */
  get pending(): number {
    return this.#tasks.size;
  }

  /** Lets `ms` go by; each timer runs at its own time, and promises settle in between. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      const due = [...this.#tasks].filter((task) => task.at <= until).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#tasks.delete(due);
      this.#now = due.at;
      due.run();
      await settled();
    }
    this.#now = until;
    await settled();
  }

  /** One turn of the event loop. */
  async turn(): Promise<void> {
    const tasks = this.#turns;
    this.#turns = [];
    for (const task of tasks) task();
    await settled();
  }
}

/** Promises have had their chance. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The transport of the provider under test, and the peer at its other end. */
export class RawPeer extends Hearing implements Transport {
  /** It takes no more bytes: they are kept, and the writer is told to wait. */
  blocked = false;
  paused = false;
  ended = false;
  destroyed = false;
  #handlers: Parameters<Transport['start']>[0] | null = null;

  start(handlers: Parameters<Transport['start']>[0]): void {
    this.#handlers = handlers;
  }

  write(chunks: readonly Uint8Array[]): boolean {
    this.hear(join(...chunks));
    return !this.blocked;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  end(): void {
    this.ended = true;
  }

  destroy(error?: unknown): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#handlers?.onClose(error);
  }

  /** Sends frames, all in one piece, and waits for the answers. */
  async say(...frames: readonly Uint8Array[]): Promise<void> {
    this.#handlers?.onData(join(...frames));
    await settled();
  }

  async drain(): Promise<void> {
    this.blocked = false;
    this.#handlers?.onDrain();
    await settled();
  }

  /** Closes its side as an honest peer does. */
  async leave(): Promise<void> {
    this.#handlers?.onEnd();
    await settled();
    this.destroy();
  }
}

export interface Rig {
  readonly provider: Provider;
  readonly peer: RawPeer;
  readonly clock: HandClock;
}

export interface RigOptions {
  readonly limits?: Partial<Limits>;
  /** Of the provider under test. Default `server`: the spec is the client then. */
  readonly role?: 'client' | 'server';
  /** What the spec's own SETTINGS say; false: it says nothing yet. */
  readonly settings?: Partial<Settings> | false;
}

const rigs: Rig[] = [];

/** A framer, connected to the spec. It is aborted by `clearRigs`, which belongs into an `afterEach`. */
export async function rig({ limits = {}, role = 'server', settings = {} }: RigOptions = {}): Promise<Rig> {
  const clock = new HandClock();
  const peer = new RawPeer();
  const provider = trackProvider(framer(peer, { role, limits, clock } as Parameters<typeof framer>[1]));
  const made = { provider, peer, clock };
  rigs.push(made);
  await settled();
  if (settings !== false) {
    await peer.say(hello({ role: role === 'server' ? 'client' : 'server', ...settings }));
  }
  return made;
}

/** Ends what is left, and expects that nothing of it is. */
export async function clearRigs(): Promise<void> {
  for (const { provider, peer, clock } of rigs.splice(0)) {
    provider.abort(new Error('the test is over'));
    peer.destroy();
    await settled();
    expect({ streams: provider.streams.size, timers: clock.pending }).toEqual({ streams: 0, timers: 0 });
  }
}
