import { BehaviorSubject } from 'rxjs';
import { type Provider, type Stream, StreamError, span } from 'rxmux';
import { framer } from 'rxmux/framer';
import { connect, type Listener, listen } from 'rxmux/node';
import { until } from '../conformance/wait.js';
import { fuzzTest, type Random } from '../support/random.js';

/** Bytes that say which stream they belong to, and where they stand in it. */
function byteAt(stream: number, at: number): number {
  return (stream * 31 + at + (at >> 8) * 7) & 0xff;
}

function bytesOf(stream: number, from: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => byteAt(stream, from + index));
}

/** Checks bytes as they come; the first wrong one is told, with its place. */
class Judge {
  received = 0;
  wrong: string | null = null;
  readonly #stream: number;

  constructor(stream: number) {
    this.#stream = stream;
  }

  take(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.byteLength && this.wrong === null; at++) {
      if (chunk[at] !== byteAt(this.#stream, this.received + at)) this.wrong = `byte ${this.received + at}`;
    }
    this.received += chunk.byteLength;
  }
}

const replayBytes = 64 * 1024;

/** Three connections to two servers, of which one is soon busy, and what befalls them. */
class World {
  readonly set: BehaviorSubject<readonly Provider[]> = new BehaviorSubject<readonly Provider[]>([]);
  /** How often each stream reached an application, and what came of it there. */
  readonly processed: Map<number, Judge[]> = new Map();
  cuts = 0;
  drains = 0;
  readonly #random: Random;
  readonly #listeners: Listener[] = [];
  readonly #clients: Provider[] = [];
  readonly #transports: Map<Provider, { destroy(error?: unknown): void }> = new Map();
  readonly #servers: Provider[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  async open(): Promise<void> {
    for (const limits of [{ maxStreams: 3, backlog: 3 }, {}]) {
      const listener = await listen('tcp://127.0.0.1:0', framer, { limits });
      listener.accept$.subscribe((provider) => this.#serve(provider));
      this.#listeners.push(listener);
    }
    await this.add(0);
    await this.add(1);
    await this.add(1);
  }

  get size(): number {
    return this.set.value.length;
  }

  async add(server: number): Promise<void> {
    let transport: { destroy(error?: unknown): void } | undefined;
    const kept: typeof framer = (raw, options) => {
      transport = raw;
      return framer(raw, options);
    };
    const client = await connect((this.#listeners[server] as Listener).address, kept);
    this.#transports.set(client, transport as NonNullable<typeof transport>);
    this.#clients.push(client);
    this.set.next([...this.set.value, client]);
  }

  /** One leaves without a goodbye. A replacement that takes streams comes first. */
  async cut(): Promise<void> {
    await this.add(1);
    this.cuts++;
    const one = this.#random.pick(this.set.value.slice(0, -1));
    this.#transports.get(one)?.destroy(this.#random.oneIn(2) ? new Error('cut') : undefined);
    if (this.#random.oneIn(2)) this.#leave(one);
  }

  /** One says goodbye, from here, from there or by leaving the set only. */
  async drain(): Promise<void> {
    await this.add(1);
    this.drains++;
    const one = this.#random.pick(this.set.value.slice(0, -1));
    const how = this.#random.integer(0, 2);
    if (how === 0) void one.close().catch(() => {});
    if (how === 1) {
      const remote = this.#servers.find(({ info }) => info.remote === one.info.local);
      void remote?.close().catch(() => {});
    }
    if (how === 2 || this.#random.oneIn(2)) this.#leave(one);
  }

  #leave(one: Provider): void {
    this.set.next(this.set.value.filter((other) => other !== one));
  }

  #serve(provider: Provider): void {
    this.#servers.push(provider);
    const slow = this.#random.oneIn(3);
    provider.accept$.subscribe({
      next: (stream) => void this.#echo(stream, slow).catch(() => {}),
      error: () => {},
    });
  }

  /** What was processed is only what the application has seen. */
  async #echo(stream: Stream, slow: boolean): Promise<void> {
    const name = Number(stream.headers.get('name'));
    const judge = new Judge(name);
    this.processed.set(name, [...(this.processed.get(name) ?? []), judge]);
    if (slow) await new Promise((resolve) => setImmediate(resolve));
    for await (const chunk of stream) {
      judge.take(chunk);
      await stream.write(chunk);
    }
    await stream.end();
  }

  async close(): Promise<void> {
    for (const provider of [...this.#clients, ...this.#servers]) provider.abort(new Error('over'));
    await Promise.allSettled([...this.#clients, ...this.#servers].map(({ closed }) => closed));
    for (const listener of this.#listeners) await listener.close();
  }
}

interface Outcome {
  readonly name: number;
  readonly size: number;
  readonly judge: Judge;
  error: unknown;
  state: 'going' | 'whole' | 'failed';
}

/** One stream: sends its bytes in some way, and checks what comes back. */
async function run(stream: Stream, outcome: Outcome, random: Random): Promise<void> {
  const { name, size, judge } = outcome;
  const pieces = function* (): Generator<Uint8Array> {
    for (let at = 0; at < size; ) {
      const length = Math.min(size - at, 1 + ((name * 7919 + at) % 20_000));
      yield bytesOf(name, at, length);
      at += length;
    }
  };
  const way = random.integer(0, 3);
  const writing = async (): Promise<void> => {
    for (const piece of pieces()) await stream.write(piece);
    await stream.end();
  };
  const later = async function* (): AsyncGenerator<Uint8Array> {
    for (const piece of pieces()) {
      await new Promise((resolve) => setImmediate(resolve));
      yield piece;
    }
  };
  const sending =
    way === 0
      ? stream.send(bytesOf(name, 0, size))
      : way === 1
        ? stream.send(pieces())
        : way === 2
          ? stream.send(later())
          : writing();
  try {
    const reading = (async (): Promise<void> => {
      for await (const chunk of stream) judge.take(chunk);
    })();
    await Promise.all([sending, reading]);
    await stream.closed;
    outcome.state = 'whole';
  } catch (error) {
    outcome.error = error;
    outcome.state = 'failed';
  }
}

const totals = { streams: 0, whole: 0, retried: 0, failed: 0, cuts: 0, drains: 0 };

async function round(random: Random): Promise<void> {
  const world = new World(random);
  await world.open();
  const pick = random.pick(['round-robin', 'least-streams', 'primary'] as const);
  const whole = span(world.set, { pick, retries: 12 });
  const members = new Set(whole.members);
  const outcomes: Outcome[] = [];
  try {
    const count = random.integer(12, 40);
    while (outcomes.length < count) {
      const burst = random.integer(1, 8);
      for (let number = 0; number < burst; number++) {
        const name = outcomes.length;
        const size = random.oneIn(6) ? random.integer(60_000, 300_000) : random.integer(0, 30_000);
        const outcome: Outcome = { name, size, judge: new Judge(name), error: undefined, state: 'going' };
        outcomes.push(outcome);
        void run(whole.newStream({ name: String(name) }), outcome, random);
      }
      for (let turns = random.integer(0, 4); turns > 0; turns--) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      if (random.oneIn(4)) await world.cut();
      else if (random.oneIn(3)) await world.drain();
      else if (random.next() < 0.25) await world.add(random.integer(0, 1));
      for (const member of whole.members) members.add(member);
    }
    const going = (): Outcome[] => outcomes.filter(({ state }) => state === 'going');
    await until(() => going().length === 0, 'every stream ends, one way or the other', 20_000);
    for (const outcome of outcomes) verify(outcome, world);
    totals.streams += outcomes.length;
    totals.whole += outcomes.filter(({ state }) => state === 'whole').length;
    totals.failed += outcomes.filter(({ state }) => state === 'failed').length;
    totals.retried += [...members].reduce((sum, { retried }) => sum + retried, 0);
    totals.cuts += world.cuts;
    totals.drains += world.drains;
  } finally {
    whole.abort(new Error('over'));
    world.set.complete();
    await world.close();
    await whole.closed.catch(() => {});
  }
}

function verify({ name, size, judge, error, state }: Outcome, world: World): void {
  const what = `stream ${name} of ${size} bytes`;
  const served = world.processed.get(name) ?? [];
  if (served.length > 1) throw new Error(`${what} was processed ${served.length} times`);
  for (const one of [judge, ...served]) {
    if (one.wrong !== null) throw new Error(`${what}: ${one.wrong} is wrong`);
    if (one.received > size) throw new Error(`${what}: ${one.received} bytes came`);
  }
  if (state === 'whole') {
    if (judge.received !== size || served[0]?.received !== size)
      throw new Error(`${what}: bytes are missing`);
    return;
  }
  if (!StreamError.is(error)) throw new Error(`${what} failed with ${String(error)}`, { cause: error });
  const isLost = error.code === 'closed' && !error.retryable && world.cuts > 0;
  const isTooLong = error.code === 'refused' && !error.retryable && size > replayBytes;
  // What has not been processed is retried: there was always another connection that would have taken it.
  if (!isLost && !isTooLong) {
    throw new Error(`${what} failed with ${error.code}, retryable ${error.retryable}: ${error.message}`, {
      cause: error,
    });
  }
}

fuzzTest(
  'span: connections are cut, drained and added under load, and no byte is wrong, lost or doubled',
  200,
  round,
);

afterAll(() => {
  process.stdout.write(`span under load: ${JSON.stringify(totals)}\n`);
});
