import { defaultLimits } from '../../lib/core/limits.js';
import { speed, unread } from './load.js';
import { type Connected, connected, disconnect, figure, MiB, median, transports } from './pairs.js';

afterEach(disconnect);

/**
 * The speed beside unread streams as a part of that without, one right after the other: the median over some rounds. A
 * machine with other work to do needs more of them: it is given up to `most` until the goal is reached.
 */
async function slowdown(beside: Connected, alone: Connected, goal: number, most: number): Promise<number> {
  const ratios: number[] = [];
  const bytes = 16 * MiB;
  for (const pair of [beside, alone]) await speed(pair, 4, bytes);
  for (let round = 1; ; round++) {
    // Who goes first changes, for the sake of whoever pays for the garbage of the other.
    const first = await speed(round % 2 === 0 ? beside : alone, 4, bytes);
    const second = await speed(round % 2 === 0 ? alone : beside, 4, bytes);
    ratios.push(round % 2 === 0 ? first / second : second / first);
    const ratio = median(ratios);
    if (round >= 8 && (ratio >= goal || round >= most)) return ratio;
  }
}

describe.each(transports)('streams beside unread ones, over %s', (transport) => {
  it.each([
    [1, {}],
    [2, {}],
    [16, { receiveBudgetBytes: 16 * MiB }],
  ] as [number, { receiveBudgetBytes?: number }][])(
    'keep 90 %% of their speed beside %d',
    async (count, limits) => {
      const beside = await connected(transport, limits);
      const alone = await connected(transport, limits);
      const left = await unread(beside, count);
      const ratio = await slowdown(beside, alone, 0.9, 80);
      figure(`speed beside ${count} unread over ${transport}: ${(100 * ratio).toFixed(0)} %`);
      expect(ratio).toBeGreaterThanOrEqual(0.9);
      for (const stream of left) expect(stream.stats.queuedIn).toBe(defaultLimits.windowBytes);
    },
    30_000,
  );
});
