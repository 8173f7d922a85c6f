/** How an attack is judged, whatever the protocol, and the worst of all attacks, told at the end. */
import { figure, KiB, MiB, median } from '../bounded/pairs.js';
import type { Arena } from './arena.js';
import type { Attack } from './attacks.js';
import type { Blow } from './messages.js';
import { assaultOf, expectNothingLeft, judgesLatency, withstand } from './trial.js';

export interface VerdictsOptions {
  /** Of the protocol. */
  readonly name: string;
  /** What one attacking connection may cost. */
  readonly memoryBound: number;
}

export class Verdicts {
  readonly #options: VerdictsOptions;
  readonly #ratios: Map<string, number> = new Map();
  readonly #grown: Map<string, number> = new Map();
  #slowest = 0;

  constructor(options: VerdictsOptions) {
    this.#options = options;
  }

  /** One connection that attacks once: what the victim's process has grown by. */
  async strikeOnce(arena: Arena, attack: Attack): Promise<{ resident: number; blows: Blow[] }> {
    await arena.begin();
    // The canary is silent: its own garbage is not the attacker's doing.
    const blows = await arena.attack({ ...assaultOf(arena, attack, 0), connections: 1 });
    const { residentPeak } = await arena.report();
    this.#grown.set(attack.name, residentPeak);
    return { resident: residentPeak, blows };
  }

  /** Once for its memory, then again and again beside the canary. `expectTold` looks at what an attacker has heard. */
  async expectWithstood(
    arena: Arena,
    attack: Attack,
    expectTold: (blow: Blow) => void,
  ): Promise<Awaited<ReturnType<typeof expectNothingLeft>>> {
    const { resident } = await this.strikeOnce(arena, attack);
    expect(resident).toBeLessThanOrEqual(this.#options.memoryBound);
    await arena.begin();
    const { ratio, blows } = await withstand(arena, attack);
    this.#ratios.set(attack.name, ratio);
    const after = await expectNothingLeft(arena);
    expect(blows.length).toBeGreaterThan(0);
    expect(after.ends).toHaveLength(blows.length);
    for (const { code, message } of after.ends) {
      expect({ code, message }).toEqual({ code: attack.ends, message });
    }
    for (const blow of blows) {
      expectTold(blow);
      // Who does not read does not see the end.
      if (attack.reads !== false) expect(blow.survived).toBe(false);
    }
    const times = after.ends.map(({ ms }) => ms);
    this.#slowest = Math.max(this.#slowest, ...times);
    // Whoever is not thrown out within a second has not sent more than 1 MiB. The machine may have
    // other things to do once: the median counts.
    expect(median(times) < 1000 || blows.every(({ written }) => written < MiB)).toBe(true);
    if (judgesLatency) expect(ratio).toBeLessThan(3);
    return after;
  }

  /** The same as 20 connections: what they leave, and how the canary fares. */
  async expectFloodLeavesNothing(arena: Arena, attack: Attack): Promise<void> {
    await arena.begin();
    const { ratio, blows } = await withstand(arena, { ...attack, connections: 20 });
    figure(
      `${blows.length} ${this.#options.name} connections of a flood: canary ${ratio.toFixed(1)} of its control`,
    );
    expect((await expectNothingLeft(arena)).ends).toHaveLength(blows.length);
  }

  tell(): void {
    const { name } = this.#options;
    const middle = median([...this.#ratios.values()]).toFixed(2);
    const slowdowns = worstOf(this.#ratios, (ratio) => ratio.toFixed(2));
    figure(`${name} canary under attack over control: median ${middle}, worst ${slowdowns}`);
    const grown = worstOf(this.#grown, (bytes) => `${Math.round(bytes / KiB)} KiB`);
    figure(`${name} victim's memory over start, one attack: ${grown}`);
    figure(`${name} attackers: slowest end after ${Math.round(this.#slowest)} ms`);
  }
}

function worstOf(figures: ReadonlyMap<string, number>, text: (value: number) => string): string {
  return [...figures]
    .sort((a, b) => b[1] - a[1])
    .slice(0, 5)
    .map(([name, value]) => `${name} ${text(value)}`)
    .join(', ');
}
