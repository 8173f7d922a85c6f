import type { Provider } from '../../lib/api.js';
import { framer } from '../../lib/framer/index.js';
import { Acceptor } from './model-acceptor.js';
import type { StreamEnd } from './model-end.js';
import { Watcher } from './model-events.js';
import { judge, judgeEnd, judgeWindows } from './model-judge.js';
import { makePlan, type Plan } from './model-plan.js';
import { close, endSending, Program } from './model-program.js';
import { readAll, subscribe } from './model-readers.js';
import { type Actor, Simulator } from './model-simulator.js';
import { World } from './model-world.js';
import { type Sabotage, SimulatedLink } from './simulated-link.js';

export interface RunOptions {
  /** Where to write what happens. */
  readonly log?: string[];
  readonly sabotage?: Sabotage;
  /** Replaces parts of what the seed decides. */
  readonly change?: (plan: Plan) => Plan;
}

/** Whatever is still open in a silent connection is given up after this. */
const silenceMs = 45_000;
/** A second for everything to settle, and a while for what may take longer to close. */
const settleMs = 1000;
const closeMs = 10_000;

/** One run of the model: gives the first thing that went wrong, or null. */
export async function runModel(seed: number, options: RunOptions = {}): Promise<Error | null> {
  const sim = new Simulator(seed, options.log ?? null);
  const drawn = makePlan(sim.random);
  const plan = options.change === undefined ? drawn : options.change(drawn);
  sim.say(JSON.stringify(plan));
  sim.msPerTurn = plan.msPerTurn;
  sim.msPerLook = plan.msPerLook;
  const link = new SimulatedLink(sim, plan.disciplines, options.sabotage);
  const providers = (['client', 'server'] as const).map((role, side) =>
    framer(link.ends[side] as never, { role, limits: plan.limits[side], clock: sim.clock } as never),
  ) as [Provider, Provider];
  const world = new World(sim, plan, providers);
  const watchers = plan.isObserved ? watch(world) : [];
  if (options.log !== undefined) tellFrames(world);
  const acceptors = [new Acceptor(world, 0), new Acceptor(world, 1)] as const;
  for (const acceptor of acceptors) if (sim.random.oneIn(2)) acceptor.subscribe();
  sim.actors.push(new Program(world, link, acceptors), inspector(world));
  await sim.rest();
  if (world.dead === 'silent') await sim.pass(silenceMs);
  await finish(world, acceptors, watchers);
  if (sim.failure === null) judgeAll(world, watchers);
  return sim.failure;
}

function watch(world: World): Watcher[] {
  const impulse = (): void => world.impulse();
  return ([0, 1] as const).map((side) => new Watcher(world.sim, side, world.providers[side], impulse));
}

function tellFrames({ sim, providers }: World): void {
  for (const [side, provider] of providers.entries()) {
    provider.frames$.subscribe(({ direction, name, streamId, length, flags }) => {
      const arrow = direction === 'out' ? '>>' : '<<';
      sim.say(
        `    ${side === 0 ? 'client' : 'server'} ${arrow} ${name} ${streamId} ${length} ${flags || ''}`,
      );
    });
  }
}

/** Looks at the windows now and then. */
function inspector(world: World): Actor {
  let last = 0;
  return {
    weight: 1,
    readyAt: () => (world.sim.turns > last + 15 ? 0 : Number.POSITIVE_INFINITY),
    act: () => {
      last = world.sim.turns;
      judgeWindows(world);
    },
  };
}

/** Everybody comes to an end: whoever waits for something from the applications gets it. */
async function finish(
  world: World,
  acceptors: readonly [Acceptor, Acceptor],
  watchers: readonly Watcher[],
): Promise<void> {
  const { sim, providers } = world;
  world.isFinishing = true;
  const isOpen = (): boolean => providers.some(({ streams }) => streams.size > 0);
  const isBusy = (): boolean =>
    world.ends.some(({ reader, readEnd }) => reader !== 'over' && readEnd === null);
  for (let round = 0; round < 6 && sim.failure === null && (round === 0 || isOpen() || isBusy()); round++) {
    sim.say(`-- finishing, round ${round + 1}`);
    for (const task of [...world.owed]) task();
    for (const acceptor of acceptors) acceptor.subscribe();
    for (const end of world.ends) finishEnd(world, end);
    await sim.rest();
    if (round > 1) await sim.pass(settleMs);
  }
  if (sim.failure !== null) return;
  if (isOpen()) {
    sim.fail(`the run is stuck: ${describe(world)}`);
    return;
  }
  compareFrames(world, watchers);
  for (const side of [0, 1] as const) if (sim.random.oneIn(2) || side === 1) close(world, side);
  await sim.pass(settleMs);
  for (const task of [...world.owed]) task();
  for (const [side, provider] of providers.entries()) {
    world.watch(`closed of ${side === 0 ? 'the client' : 'the server'}`, provider.closed).then(
      () => {},
      () => {},
    );
  }
  await sim.pass(settleMs);
  if (world.pending.size > 0) {
    sim.fail(
      `${world.pending.size} promises do not settle: ${[...world.pending.values()].slice(0, 8).join(', ')}`,
    );
  }
  await sim.pass(closeMs);
}

/** While the connection stands still, every frame has come: the settings went before anybody could watch. */
function compareFrames({ sim, dead, closing }: World, [client, server]: readonly Watcher[]): void {
  if (client === undefined || server === undefined || dead !== null || closing.includes(true)) return;
  const went = [client.frames.out.length, server.frames.out.length];
  const came = [server.frames.in.length - 1, client.frames.in.length - 1];
  if (went.join() !== came.join()) sim.fail(`${went} frames went, and ${came} came`);
}

function finishEnd(world: World, end: StreamEnd): void {
  if (end.answer === 'none' && !end.isOver) {
    end.use();
    end.stream.accept();
  }
  if (end.reader === 'idle') {
    if (world.random.oneIn(2)) subscribe(end);
    else readAll(end);
  }
  if (end.writer === 'idle') endSending(world, end);
}

function judgeAll(world: World, watchers: readonly Watcher[]): void {
  const { sim } = world;
  for (const complaint of world.complaints) {
    const problem = judge(world, complaint);
    if (problem !== null) sim.fail(`${complaint.what}: ${complaint.error}: ${problem}`, complaint.error);
  }
  for (const end of world.ends) {
    const problem = judgeEnd(world, end);
    if (problem !== null) end.fail(problem);
  }
  for (const watcher of watchers) {
    const problem = watcher.problem();
    if (problem !== null) sim.fail(problem);
  }
  if (sim.leftovers > 0) sim.fail(`${sim.leftovers} timers or tasks are left over`);
}

function describe(world: World): string {
  return world.ends
    .filter(({ isOver }) => !isOver)
    .map((end) => {
      const { queuedIn, queuedOut, sendWindow, blockedOn } = end.stream.stats;
      const stats = `in ${queuedIn}, out ${queuedOut}, window ${sendWindow}, blocked on ${blockedOn}`;
      return `${end.name} ${end.stream.state} (reader ${end.reader}, writer ${end.writer}, ${stats})`;
    })
    .join('; ');
}
