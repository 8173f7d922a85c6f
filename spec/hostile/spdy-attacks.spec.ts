/** Attacks on a SPDY server in a process of its own, each beside a polite connection. */
import { SpdyParser } from '../../lib/spdy/codec.js';
import { figure, KiB, MiB, median } from '../bounded/pairs.js';
import { Arena, buildPrograms, type Programs } from './arena.js';
import type { Attack } from './attacks.js';
import type { Blow } from './messages.js';
import { halfClosed, mangledSessions, spdyAttacks, unread } from './spdy-attacks.js';
import { assaultOf, expectNothingLeft, judgesLatency, withstand } from './trial.js';

/** What one connection may cost. */
const memoryBound = 16 * MiB;

let programs: Programs;
/** One for each attack: what an earlier one has cost must not hide what this one does. */
let arena: Arena;
beforeAll(() => {
  programs = buildPrograms();
}, 30_000);
afterAll(() => programs.remove());
beforeEach(async () => {
  arena = await Arena.open('spdy', programs);
}, 30_000);
afterEach(() => arena.close());

const ratios: Map<string, number> = new Map();
const grown: Map<string, number> = new Map();
let slowest = 0;

/** One connection that attacks once: what the victim's process has grown by. */
async function strikeOnce(attack: Attack): Promise<{ rss: number; blows: Blow[] }> {
  await arena.begin();
  // The canary is silent: its own garbage is not the attacker's doing.
  const blows = await arena.attack({ ...assaultOf(arena, attack, 0), connections: 1 });
  const { rssPeak } = await arena.report();
  grown.set(attack.name, rssPeak);
  return { rss: rssPeak, blows };
}

/** What the attacker could hear: the status of the GOAWAY at the end, and how many streams were reset. */
function toldIn({ heard }: Blow): { status: number | undefined; resets: number } {
  const told: { status: number | undefined; resets: number } = { status: undefined, resets: 0 };
  const ignore = (): void => {};
  const handler = { synStream: ignore, synReply: ignore, headers: ignore, dataStart: ignore, data: ignore };
  const others = { settings: ignore, ping: ignore, windowUpdate: ignore, unknown: ignore };
  const goAway = (_last: number, code: number): void => {
    told.status = code;
  };
  const rstStream = (): void => {
    told.resets++;
  };
  new SpdyParser({ ...handler, ...others, goAway, rstStream }).parse(heard);
  return told;
}

const statuses: Readonly<Record<string, number>> = { none: 0, protocol: 1, limit: 1, 'flow-control': 7 };

describe.each(Object.entries(spdyAttacks))('%s', (_kind, list) => {
  it.each(list.map((attack) => [attack.name, attack] as const))(
    '%s',
    async (name, attack) => {
      const { rss } = await strikeOnce(attack);
      expect(rss).toBeLessThanOrEqual(memoryBound);
      await arena.begin();
      const { ratio, blows } = await withstand(arena, attack);
      ratios.set(name, ratio);
      const after = await expectNothingLeft(arena);
      expect(after.ends.length).toBeGreaterThanOrEqual(blows.length);
      for (const { code, message } of after.ends) {
        expect({ code, message }).toEqual({ code: attack.ends, message });
      }
      for (const blow of blows) {
        const { status } = toldIn(blow);
        if (status !== undefined && attack.ends in statuses) expect(status).toBe(statuses[attack.ends]);
        // Who does not read does not see the end.
        if (attack.reads !== false) expect(blow.survived).toBe(false);
      }
      // Whoever is not thrown out within a second has not sent more than 1 MiB.
      const worst = Math.max(...after.ends.map(({ ms }) => ms));
      slowest = Math.max(slowest, worst);
      expect(worst < 1000 || blows.every(({ written }) => written < MiB)).toBe(true);
      if (judgesLatency) expect(ratio).toBeLessThan(3);
    },
    30_000,
  );
});

describe('patient attackers', () => {
  it('data without windows, unread: the attacker waits, at the price of the budget', async () => {
    const { rss, blows } = await strikeOnce(unread);
    expect(blows).toMatchObject([{ survived: true }]);
    expect(rss).toBeLessThanOrEqual(memoryBound);
    expect((await expectNothingLeft(arena)).ends).toMatchObject([{ code: 'closed' }]);
  }, 20_000);

  it('half-closed streams that stand still are ended, and the connection is not', async () => {
    const { rss, blows } = await strikeOnce(halfClosed);
    expect(rss).toBeLessThanOrEqual(memoryBound);
    const after = await expectNothingLeft(arena);
    expect(after.streamEnds).toEqual(Array.from({ length: 10 }, () => 'timeout'));
    // One by one: the end of a connection resets none.
    expect(toldIn(blows[0]!).resets).toBe(10);
  }, 20_000);

  it('mangled sessions, and sessions that are broken off, leave nothing', async () => {
    await arena.begin();
    const patience = { ...assaultOf(arena, unread, 0), head: new Uint8Array(), loop: false, patienceMs: 20 };
    for (const body of mangledSessions) await arena.attack({ ...patience, body });
    for (let cut = 1; cut < 250; cut += 7) {
      await arena.attack({ ...patience, body: mangledSessions[0]!.subarray(0, cut) });
    }
    await expectNothingLeft(arena);
  }, 20_000);

  it('a flood of connections leaves nothing', async () => {
    await arena.begin();
    const list = spdyAttacks.violations!;
    const { ratio, blows } = await withstand(arena, { ...list[2]!, connections: 20 });
    figure(`${blows.length} SPDY connections of a flood: canary ${ratio.toFixed(1)} of its control`);
    expect((await expectNothingLeft(arena)).ends).toHaveLength(blows.length);
  }, 20_000);
});

afterAll(() => {
  const worst = (figures: Map<string, number>, text: (value: number) => string): string =>
    [...figures]
      .sort((a, b) => b[1] - a[1])
      .slice(0, 5)
      .map(([name, value]) => `${name} ${text(value)}`)
      .join(', ');
  const middle = median([...ratios.values()]).toFixed(2);
  figure(
    `SPDY canary under attack over control: median ${middle}, worst ${worst(ratios, (ratio) => ratio.toFixed(2))}`,
  );
  figure(
    `SPDY victim's RSS over start, one attack: ${worst(grown, (bytes) => `${Math.round(bytes / KiB)} KiB`)}`,
  );
  figure(`SPDY attackers: slowest end after ${Math.round(slowest)} ms`);
});
