import type { NewStreamOptions, ResetCode } from '../../lib/api.js';
import type { Acceptor } from './model-acceptor.js';
import type { StreamEnd } from './model-end.js';
import { proxy } from './model-proxies.js';
import { readings, roughReadings } from './model-readers.js';
import { sendings } from './model-senders.js';
import { type Actor, never } from './model-simulator.js';
import { Deliberate, otherSide, type Side, type World } from './model-world.js';
import type { Cut, SimulatedLink } from './simulated-link.js';

type Pairs = [string, string][];

/** What the applications of both sides do, one action in a turn. */
export class Program implements Actor {
  readonly weight: number;
  readonly #world: World;
  readonly #link: SimulatedLink;
  readonly #acceptors: readonly [Acceptor, Acceptor];
  #done = 0;
  #isActing = false;

  constructor(world: World, link: SimulatedLink, acceptors: readonly [Acceptor, Acceptor]) {
    this.#world = world;
    this.#link = link;
    this.#acceptors = acceptors;
    this.weight = world.plan.programWeight;
    if (world.plan.isImpulsive) world.impulse = () => this.#impulse();
  }

  readyAt(): number {
    return this.#done < this.#world.plan.actions ? 0 : never;
  }

  act(): void {
    this.#isActing = true;
    if (this.#done++ === this.#world.plan.fateAt) this.#meetFate();
    this.#actOnce();
    this.#isActing = false;
  }

  /** From inside a callback of the code under test, unless that is called by an action. */
  #impulse(): void {
    if (this.#isActing || this.#world.isFinishing || !this.#world.random.oneIn(20)) return;
    this.#isActing = true;
    this.#world.sim.say('(impulse)');
    this.#actOnce();
    this.#isActing = false;
  }

  #actOnce(): void {
    const world = this.#world;
    const { random, ends } = world;
    const ticket = random.integer(0, 99);
    if (ticket < 12 || ends.length === 0) open(world, random.pick([0, 1]));
    else if (ticket < 20) this.#acceptors[random.pick([0, 1] as const)].change();
    else if (ticket < 23) ping(world, random.pick([0, 1]));
    else this.#actOn(random.pick(ends), ticket);
  }

  #actOn(end: StreamEnd, ticket: number): void {
    const world = this.#world;
    if (ticket < 30) answer(world, end);
    else if (ticket < 55) beginSending(world, end);
    else if (ticket < 80) beginReading(world, end);
    else if (ticket < 87) beginProxy(world, end);
    else if (ticket < 93) endSending(world, end);
    else if (ticket < 95) tryToLock(end);
    else if (world.plan.isRough) disturb(world, end);
  }

  #meetFate(): void {
    const world = this.#world;
    const { random } = world;
    const side = random.pick([0, 1] as const);
    if (world.plan.fate === 'close') close(world, side);
    else if (world.plan.fate === 'abort') {
      world.sim.say(`${side === 0 ? 'client' : 'server'} aborts`);
      world.dead = 'abort';
      world.providers[side].abort(new Deliberate('enough'));
    } else if (world.plan.fate === 'cut') {
      const cut = random.pick<Cut>(['reset', 'reset', 'fin', 'fin', 'silent']);
      world.sim.say(`the link is cut: ${cut}`);
      world.dead = cut === 'silent' ? 'silent' : 'cut';
      this.#link.cut(cut);
    }
  }
}

function someHeaders(world: World): Pairs {
  const { random } = world;
  if (random.oneIn(2)) return [];
  const count = random.oneIn(20) ? random.integer(1, 60) : random.integer(1, 3);
  return Array.from({ length: count }, (_, at) => [`x-${at % 5}`, 'v'.repeat(random.integer(0, 40))]);
}

function open(world: World, side: Side): void {
  const { random } = world;
  const headers = someHeaders(world);
  const options: NewStreamOptions = {};
  if (random.oneIn(4)) options.urgency = random.integer(0, 7);
  let leaving: AbortController | null = null;
  if (world.plan.isRough && random.oneIn(10)) {
    leaving = new AbortController();
    options.signal = leaving.signal;
  }
  const stream = world.providers[side].newStream(headers, options);
  // A side whose ids are used up closes by itself.
  if (stream.id === 0 && world.plan.limits[side].maxStreamId !== undefined) world.closes(side);
  const end = world.opened(side, stream, headers);
  if (leaving === null) return;
  world.later(() => {
    if (!end.isOver) reset(end, 'cancel', () => leaving.abort(new Deliberate('no time for the stream')));
  }, 20);
}

function ping(world: World, side: Side): void {
  void world.watch('ping', world.providers[side].ping()).then(
    (rtt) => {
      if (!(rtt >= 0)) world.sim.fail(`a round trip of ${rtt} ms`);
    },
    () => {},
  );
}

export function close(world: World, side: Side): void {
  world.sim.say(`${side === 0 ? 'client' : 'server'} closes`);
  world.closes(side);
  void world.watch('close()', world.providers[side].close()).catch(() => {});
}

/** What an acceptor says first, if it has said nothing yet. */
export function answer(world: World, end: StreamEnd): void {
  const { random } = world;
  if (end.answer !== 'none' || end.isOver) return;
  const headers = someHeaders(world);
  const how = random.integer(0, world.plan.isRough ? 5 : 3);
  end.answer = 'given';
  if (how <= 2) {
    end.say('accepts');
    end.replyHeaders = headers;
    end.stream.accept(headers);
  } else if (how === 3 || how === 4) acceptLater(world, end, headers, how === 4 && random.oneIn(2));
  else {
    end.say('rejects');
    end.pair.rejected = true;
    end.stream.reject(random.pick<ResetCode>(['refused', 'cancel', 300]), headers);
  }
}

function acceptLater(world: World, end: StreamEnd, headers: Pairs, refuses: boolean): void {
  end.say('accepts later');
  end.answer = 'promised';
  end.replyHeaders = headers;
  const reply = new Promise<Pairs>((resolve, reject) => {
    world.later(() => {
      end.say(refuses ? 'refuses now' : 'accepts now');
      end.answer = 'given';
      if (refuses) {
        end.pair.rejected = true;
        reject(new Deliberate('better not'));
      } else resolve(headers);
    }, 30);
  });
  end.stream.accept(reply);
}

function beginSending(world: World, end: StreamEnd): void {
  if (end.writer !== 'idle') return;
  end.use();
  world.random.pick(sendings)(end);
}

function beginReading(world: World, end: StreamEnd): void {
  if (end.reader !== 'idle') return;
  end.use();
  const all = world.plan.isRough && world.random.oneIn(3) ? roughReadings : readings;
  const reading = world.random.pick(all);
  end.say(`reads: ${reading.name}`);
  reading(end);
}

function beginProxy(world: World, source: StreamEnd): void {
  const target = world.random.pick(world.ends);
  if (source.side !== world.plan.proxySide || target.side !== source.side) return;
  if (source.reader !== 'idle' || target.writer !== 'idle') return;
  if (source.incoming.dependsOn(target.outgoing)) return;
  proxy(source, target);
}

export function endSending(world: World, end: StreamEnd): void {
  if (end.writer !== 'idle') return;
  end.use();
  end.writer = 'over';
  end.outgoing.ended = true;
  let trailers: Pairs | undefined;
  if (world.random.oneIn(4) && !end.isOver) {
    trailers = someHeaders(world);
    end.trailers = trailers;
  }
  end.say(trailers === undefined ? 'ends' : 'ends with trailers');
  if (world.random.oneIn(8) && trailers === undefined) end.stream.complete();
  else void end.watch('end', end.stream.end(trailers)).catch(() => {});
}

/** A second reader is told so, and takes nothing. */
function tryToLock(end: StreamEnd): void {
  if (!end.isSubscribed || end.readEnd !== null) return;
  end.stream.read().then(
    () => end.fail('a second reader got something'),
    (error) => end.world.complaints.push({ what: 'a second reader', error, end }),
  );
}

function disturb(world: World, end: StreamEnd): void {
  const { random } = world;
  if (random.oneIn(2)) {
    if (end.readEnd !== null) return;
    // A stop of a stream that nobody has accepted is no use of it.
    end.left();
    end.stream.stop();
  } else if (random.oneIn(4)) {
    if (end.writer === 'over' || end.isOver) return;
    end.say('is disposed of');
    // Where the peer has made our half end already, that is only a stop.
    end.pair.stopped[otherSide(end.side)] = true;
    reset(end, 'cancel', () => void end.watch('dispose', Promise.resolve(end.stream[Symbol.asyncDispose]())));
  } else {
    const code = random.pick<ResetCode>(['cancel', 'no-error', 'internal-error', 'refused', 1000]);
    reset(end, code, () => end.stream.reset(code, new Deliberate('why not')));
  }
}

function reset(end: StreamEnd, code: ResetCode, act: () => void): void {
  end.say(`resets (${code})`);
  end.pair.resets[end.side].add(code);
  act();
}
