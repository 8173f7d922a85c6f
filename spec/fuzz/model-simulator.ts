import type { Clock } from '../../lib/core/clock.js';
import { type Random, seededRandom } from '../support/random.js';

/** Something that can happen in a turn of the simulated event loop. */
export interface Actor {
  /** How often it is chosen among those that are ready. */
  readonly weight: number;
  /** When it can act: at once if that is past, never while it waits for others. */
  readyAt(): number;
  act(): void;
}

export const never: number = Number.POSITIVE_INFINITY;

interface Timer {
  readonly at: number;
  readonly task: () => void;
}

class Timers {
  readonly #all: Timer[] = [];

  get size(): number {
    return this.#all.length;
  }

  get nextAt(): number {
    return this.#all[0]?.at ?? never;
  }

  add(at: number, task: () => void): () => void {
    const timer = { at, task };
    let index = this.#all.length;
    while (index > 0 && (this.#all[index - 1] as Timer).at > at) index--;
    this.#all.splice(index, 0, timer);
    return () => {
      const where = this.#all.indexOf(timer);
      if (where >= 0) this.#all.splice(where, 1);
    };
  }

  take(): () => void {
    return (this.#all.shift() as Timer).task;
  }
}

/** Everything that the last turn has set going in microtasks is over after this. */
const afterMicrotasks = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));

/** The same by a turn of the real event loop, after which Node looks for rejections that nobody has handled. */
const afterRealTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A run that takes more turns than this will not come to rest. */
const mostTurns = 60_000;

/**
 * An event loop whose order and time come from a seed: the same seed gives the same run. In each turn one of the
 * actors that are ready acts, and then all microtasks run.
 */
export class Simulator {
  readonly random: Random;
  /** What happened, for people; null if nobody wants to read it. */
  readonly log: string[] | null;
  readonly actors: Actor[] = [];
  now = 1000;
  failure: Error | null = null;
  turns = 0;
  /** As far as time goes on in a turn. */
  msPerTurn = 0;
  /** As far as time goes on whenever the code under test looks at the clock: a slow machine. */
  msPerLook = 0;
  /** What the code under test waits for, and what the model does. */
  readonly #theirs: Timers = new Timers();
  readonly #ours: Timers = new Timers();
  readonly #soon: (() => void)[] = [];
  readonly #settle: () => Promise<void>;
  readonly #ready: Actor[] = [];

  constructor(seed: number, log: string[] | null) {
    this.random = seededRandom(seed);
    this.log = log;
    this.#settle = seed % 8 === 0 ? afterRealTurn : afterMicrotasks;
    this.actors.push({
      weight: 4,
      readyAt: () => (this.#soon.length > 0 ? 0 : never),
      act: () => this.#soon.shift()?.(),
    });
  }

  /** For the code under test. */
  get clock(): Clock {
    return {
      now: () => {
        this.now += this.msPerLook;
        return this.now;
      },
      after: (ms, task) => this.#theirs.add(this.now + ms, task),
      soon: (task) => void this.#soon.push(task),
    };
  }

  /** Timers and tasks that the code under test has left behind. */
  get leftovers(): number {
    return this.#theirs.size + this.#soon.length;
  }

  say(what: string): void {
    this.log?.push(`${this.now.toFixed(1).padStart(9)}  ${what}`);
  }

  /** The first failure is the one that counts. */
  fail(message: string, cause?: unknown): void {
    if (this.failure !== null) return;
    this.say(`FAILED: ${message}`);
    this.failure = new Error(message, { cause });
  }

  /** Does what a caller outside of the code under test would do: nothing may be thrown. */
  attempt(what: string, task: () => void): void {
    try {
      task();
    } catch (error) {
      this.fail(`${what} threw ${error}`, error);
    }
  }

  after(ms: number, task: () => void): () => void {
    return this.#ours.add(this.now + ms, task);
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** Goes on until nothing more happens by itself, apart from the timers of the code under test. */
  async rest(): Promise<void> {
    await this.#settle();
    while (this.failure === null && (await this.#turn())) {
      if (++this.turns > mostTurns) this.fail(`the run does not come to rest in ${mostTurns} turns`);
    }
  }

  /** The same, while `ms` go by. */
  async pass(ms: number): Promise<void> {
    const end = this.now + ms;
    await this.rest();
    while (this.failure === null && this.#theirs.nextAt <= end) {
      await this.#advance(this.#theirs.nextAt);
      await this.rest();
    }
    this.now = Math.max(this.now, end);
  }

  async #turn(): Promise<boolean> {
    const ready = this.#ready;
    ready.length = 0;
    let wakeAt = this.#ours.nextAt;
    let weights = 0;
    for (const actor of this.actors) {
      const at = actor.readyAt();
      if (at <= this.now) {
        ready.push(actor);
        weights += actor.weight;
      } else if (at < wakeAt) wakeAt = at;
    }
    if (ready.length === 0) {
      if (wakeAt === never) return false;
      await this.#advance(wakeAt);
      return true;
    }
    let ticket = this.random.next() * weights;
    const chosen = ready.find((actor) => {
      ticket -= actor.weight;
      return ticket < 0;
    });
    this.attempt('a turn', () => (chosen ?? (ready[0] as Actor)).act());
    await this.#settle();
    if (this.msPerTurn > 0) await this.#advance(this.now + this.random.next() * this.msPerTurn);
    return true;
  }

  async #advance(to: number): Promise<void> {
    for (;;) {
      const timers = this.#ours.nextAt < this.#theirs.nextAt ? this.#ours : this.#theirs;
      if (timers.nextAt > to) break;
      this.now = Math.max(this.now, timers.nextAt);
      this.attempt('a timer', timers.take());
      await this.#settle();
    }
    this.now = Math.max(this.now, to);
  }
}
