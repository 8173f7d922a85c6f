import { runModel } from './model-run.js';
import { damageOne, damages } from './model-sabotage.js';

const ordinary: number = process.env.CI === 'true' ? 20_000 : 2000;
const runs: number = Number(process.env.RXMUX_MODEL_RUNS ?? process.env.RXMUX_FUZZ_ROUNDS ?? ordinary);
const replayed: string | undefined = process.env.RXMUX_MODEL_SEED;

/** Rejections that nobody has handled, seen by Node itself: those of Jest's realm cannot be told apart by run. */
function watchRejections(): { next(): unknown; stop(): void } {
  const node = process.getBuiltinModule('node:process');
  let seen: { readonly reason: unknown } | null = null;
  const listener = (reason: unknown): void => {
    seen ??= { reason };
  };
  node.on('unhandledRejection', listener);
  return {
    next() {
      const first = seen;
      seen = null;
      return first === null ? null : new Error(`nobody handled a rejection: ${first.reason}`);
    },
    stop: () => void node.off('unhandledRejection', listener),
  };
}

const aRealTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The story of a run that failed, for people. */
async function tell(seed: number, failure: unknown): Promise<never> {
  const log: string[] = [];
  await runModel(seed, { log });
  const story = log.length > 400 ? [...log.slice(0, 100), '…', ...log.slice(-300)] : log;
  throw new Error(
    `${story.join('\n')}\n\nseed ${seed}: ${failure}\nreplay: RXMUX_MODEL_SEED=${seed} npx jest spec/fuzz/model`,
    {
      cause: failure,
    },
  );
}

describe('two framers on a simulated link', () => {
  if (replayed !== undefined) {
    it(`replay seed ${replayed}`, async () => {
      const log: string[] = [];
      const failure = await runModel(Number(replayed), { log });
      process.stdout.write(`${log.join('\n')}\n`);
      if (failure !== null) throw failure;
    });
    return;
  }

  it('keep every promise, whatever two applications and the link do', async () => {
    const first = Number(process.env.RXMUX_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
    const rejections = watchRejections();
    try {
      for (let seed = first; seed < first + runs; seed++) {
        const failure = await runModel(seed);
        await aRealTurn();
        const problem = failure ?? rejections.next();
        if (problem !== null) await tell(seed, problem);
      }
    } finally {
      rejections.stop();
    }
  }, 600_000);

  it('do the same again for the same seed', async () => {
    const [first, second] = [[], []] as [string[], string[]];
    await runModel(4711, { log: first });
    await runModel(4711, { log: second });
    expect(first.length).toBeGreaterThan(20);
    expect(second).toEqual(first);
  });
});

describe('a link that damages data', () => {
  /** Nothing is refused or left: whatever is sent, is read. */
  const calm = { isRough: false, fate: 'lasts', limits: [{}, {}] } as const;
  const signs = {
    flips: /is not what was sent/,
    drops: /is not what was sent|bytes of|false end|came out/,
    doubles: /is not what was sent/,
    loses: /is not what was sent|bytes of|false end|stuck/,
    ends: /false end|after its end|other trailers/,
  } as const;

  it.each(Object.keys(damages) as (keyof typeof damages)[])('is noticed when it %s', async (name) => {
    let damaged = 0;
    const failures: string[] = [];
    for (let seed = 1; seed <= 60; seed++) {
      let isDamaged = false;
      const sabotage = damageOne(damages[name], () => {
        isDamaged = true;
      });
      const failure = await runModel(seed, {
        sabotage,
        change: (plan) => ({ ...plan, ...calm }),
      });
      if (!isDamaged) expect(failure).toBeNull();
      else {
        damaged++;
        failures.push(failure === null ? `seed ${seed}: nothing` : failure.message);
      }
    }
    expect(damaged).toBeGreaterThan(15);
    expect(failures.filter((message) => !signs[name].test(message))).toEqual([]);
  });
});
