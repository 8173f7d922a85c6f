/** Attacks on a SPDY server in a process of its own, each beside a polite connection. */
import { SpdyParser } from '../../lib/spdy/codec.js';
import { MiB } from '../bounded/pairs.js';
import { Arena, buildPrograms, type Programs } from './arena.js';
import type { Blow } from './messages.js';
import { halfClosed, mangledSessions, spdyAttacks, unread } from './spdy-attacks.js';
import { assaultOf, expectNothingLeft } from './trial.js';
import { Verdicts } from './verdicts.js';

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

const verdicts = new Verdicts({ name: 'SPDY', memoryBound });
afterAll(() => verdicts.tell());

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
    async (_name, attack) => {
      await verdicts.expectWithstood(arena, attack, (blow) => {
        const { status } = toldIn(blow);
        if (status !== undefined && attack.ends in statuses) expect(status).toBe(statuses[attack.ends]);
      });
    },
    30_000,
  );
});

describe('patient attackers', () => {
  it('data without windows, unread: the attacker waits, at the price of the budget', async () => {
    const { resident, blows } = await verdicts.strikeOnce(arena, unread);
    expect(blows).toMatchObject([{ survived: true }]);
    expect(resident).toBeLessThanOrEqual(memoryBound);
    expect((await expectNothingLeft(arena)).ends).toMatchObject([{ code: 'closed' }]);
  }, 20_000);

  it('half-closed streams that stand still are ended, and the connection is not', async () => {
    const { resident, blows } = await verdicts.strikeOnce(arena, halfClosed);
    expect(resident).toBeLessThanOrEqual(memoryBound);
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
    await verdicts.expectFloodLeavesNothing(arena, spdyAttacks.violations![2]!);
  }, 20_000);
});
