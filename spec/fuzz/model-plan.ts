import type { Limits } from '../../lib/api.js';
import type { Random } from '../support/random.js';
import type { Discipline } from './simulated-link.js';

/** What becomes of the connection while the program runs. */
export type Fate = 'lasts' | 'close' | 'abort' | 'cut';

/** All that a seed decides before anything happens. */
export interface Plan {
  readonly limits: readonly [Partial<Limits>, Partial<Limits>];
  readonly disciplines: readonly [Discipline, Discipline];
  readonly msPerTurn: number;
  readonly msPerLook: number;
  readonly actions: number;
  readonly programWeight: number;
  /** Streams may be reset, refused, stopped and left. */
  readonly isRough: boolean;
  readonly fate: Fate;
  /** The action before which the fate comes. */
  readonly fateAt: number;
  /** `events$`, `state$` and the like have subscribers. */
  readonly isObserved: boolean;
  /** Things are done from inside callbacks too. */
  readonly isImpulsive: boolean;
  /** The acceptor of each side may run out of room for streams. */
  readonly isNarrow: readonly [boolean, boolean];
  /** Streams are passed on to others on this side only: on both, all could wait for the connection's one window. */
  readonly proxySide: number;
  /** About as many bytes are sent at a time to each side. */
  readonly volumes: readonly [number, number];
}

/** From `least` to `most`, small ones as likely as large ones. */
export function logarithmic(random: Random, least: number, most: number): number {
  return Math.min(most, Math.floor(least * (most / least) ** random.next() + random.next()));
}

export function makePlan(random: Random): Plan {
  const disciplines = [someDiscipline(random), someDiscipline(random)] as const;
  const limits = [someLimits(random), someLimits(random)] as const;
  // Of one end only: two that stop reading until the other reads would do so for ever.
  if (random.oneIn(6)) random.pick(limits).maxAnswerBytes = logarithmic(random, 1, 1000);
  const actions = random.integer(2, 40);
  const isObserved = random.oneIn(2);
  return {
    limits,
    disciplines,
    msPerTurn: random.pick([0, 0.1, 1, 4]),
    // Observers have the clock looked at: a replay, which is observed, must be the same.
    msPerLook: isObserved && random.oneIn(3) ? random.next() : 0,
    actions,
    programWeight: random.integer(1, 12),
    isRough: random.oneIn(2),
    fate: random.oneIn(2) ? 'lasts' : random.pick(['close', 'close', 'abort', 'cut']),
    fateAt: random.integer(0, actions),
    isObserved,
    isImpulsive: random.oneIn(2),
    isNarrow: [isNarrow(limits[0]), isNarrow(limits[1])],
    proxySide: random.integer(0, 1),
    volumes: someVolumes(random, limits, disciplines),
  };
}

function isNarrow({ maxStreams = 256, backlog = 128 }: Partial<Limits>): boolean {
  return maxStreams < 100 || backlog < 100;
}

/** So many bytes that windows shut and open a few times, and not thousands of times: of the one side, as sender. */
function someVolumes(
  random: Random,
  limits: readonly [Partial<Limits>, Partial<Limits>],
  disciplines: readonly [Discipline, Discipline],
): [number, number] {
  const [first, second] = limits;
  const large = random.oneIn(40) ? 200_000 : 20_000;
  const most = disciplines.some(({ cut }) => cut === 'bytes') ? 2000 : large;
  const volumes = [narrowest(first, second), narrowest(second, first)].map((bytes) =>
    Math.max(10, Math.min(most, bytes * random.integer(1, 8))),
  ) as [number, number];
  // What one side gets it may pass on to the other.
  const least = Math.min(...volumes);
  return [Math.min(volumes[0], least * 30), Math.min(volumes[1], least * 30)];
}

/** What goes from one side to the other before somebody has to wait. */
function narrowest(sender: Partial<Limits>, receiver: Partial<Limits>): number {
  const { windowBytes = 100_000, maxWindowBytes = 100_000, receiveBudgetBytes = 100_000 } = receiver;
  const { sendQuantumBytes = 16_384 } = sender;
  const { maxFramesPerTurn = 256 } = receiver;
  return Math.min(
    windowBytes,
    maxWindowBytes,
    receiveBudgetBytes,
    sendQuantumBytes * 100,
    maxFramesPerTurn * 5000,
  );
}

function someDiscipline(random: Random): Discipline {
  return {
    cut: random.pick(['whole', 'joined', 'random', 'random', 'bytes']),
    burst: random.oneIn(3) ? 1 : random.integer(2, 100),
    capacityBytes: random.oneIn(2) ? logarithmic(random, 1, 10_000) : 256 * 1024,
    latencyMs: random.oneIn(2) ? 0 : random.integer(1, 30),
    lateToPause: random.oneIn(2),
    weight: random.integer(1, 10),
  };
}

const ranges: Readonly<Record<string, readonly [number, number]>> = {
  windowBytes: [1, 100_000],
  maxWindowBytes: [1, 400_000],
  receiveBudgetBytes: [1, 400_000],
  growthBudgetBytes: [1, 400_000],
  sendQuantumBytes: [1, 16_384],
  streamQueueBytes: [1, 65_536],
  queueBytes: [1, 1_048_576],
  maxFramesPerTurn: [1, 256],
  maxTurnMs: [1, 5],
};

/** A link of single bytes can be slow: nothing is to end for that alone. Silence still does. */
const patience: Record<string, number> = {
  openMs: 1e6,
  stallMs: 1e6,
  halfClosedMs: 1e6,
  drainMs: 1e6,
  closeMs: 1e6,
};

function someLimits(random: Random): Partial<Limits> {
  const limits: Record<string, number> = { ...patience };
  for (const [name, [least, most]] of Object.entries(ranges)) {
    if (random.oneIn(3)) limits[name] = logarithmic(random, least, most);
  }
  if (random.oneIn(8)) limits.maxStreams = random.integer(1, 6);
  if (random.oneIn(8)) limits.backlog = random.integer(1, 4);
  if (random.oneIn(8)) limits.tombstones = random.integer(0, 4);
  if (random.oneIn(20)) limits.maxStreamId = random.integer(1, 12);
  return limits;
}
