/** Attacks on an HTTP/2 server in a process of its own, each beside a polite connection. */
import { FrameParser } from '../../lib/http2/codec.js';
import { errorCode } from '../../lib/http2/frames.js';
import { figure, KiB, MiB } from '../bounded/pairs.js';
import { Arena, buildPrograms, type Programs } from './arena.js';
import { type Http2Attack, hello, http2Attacks, unread, zeroWindow } from './http2-attacks.js';
import type { Blow } from './messages.js';
import { assaultOf, expectNothingLeft, judgesLatency } from './trial.js';
import { Verdicts } from './verdicts.js';

/** What one connection may cost: `receiveBudgetBytes`, which it can leave unread, and 15 MiB. */
const memoryBound = (16 + 15) * MiB;
/** What `growthBudgetBytes` adds for streams that nobody reads beside others, before credit is kept back. */
const growthBound = 12 * MiB;

let programs: Programs;
let arena: Arena;
beforeAll(() => {
  programs = buildPrograms();
}, 30_000);
afterAll(() => programs.remove());
/** A victim for each of these attacks: what an earlier one has cost must not hide what this one does. */
function freshArenas(): void {
  beforeEach(async () => {
    arena = await Arena.open('http2', programs);
  }, 30_000);
  afterEach(() => arena.close());
}

/** One for all that cost next to nothing. */
function oneArena(): void {
  beforeAll(async () => {
    arena = await Arena.open('http2', programs);
  }, 30_000);
  afterAll(() => arena.close());
}

const verdicts = new Verdicts({ name: 'HTTP/2', memoryBound });
afterAll(() => verdicts.tell());

/** One connection that attacks once, and what the victim keeps because of it while it lasts: garbage is not counted. */
async function holdDuring(attack: Http2Attack): Promise<number> {
  await arena.begin();
  let over = false;
  const attacking = arena.attack({ ...assaultOf(arena, withHead(attack), 0), connections: 1 }).then(() => {
    over = true;
  });
  let held = 0;
  while (!over) held = Math.max(held, (await arena.report()).held);
  await attacking;
  await expectNothingLeft(arena);
  return held;
}

function withHead({ code: _code, ...attack }: Http2Attack): Omit<Http2Attack, 'code'> {
  return { head: hello(), ...attack };
}

/** What the attacker could hear: the code of the last GOAWAY, and those of all resets. */
function toldIn({ heard }: Blow): { goAway: number | undefined; resets: number[] } {
  let goAway: number | undefined;
  const resets: number[] = [];
  const ignore = (): void => {};
  const ignored = {
    onFrame: ignore,
    onDataStart: ignore,
    onData: ignore,
    onDataEnd: ignore,
    onHeaders: ignore,
    onPriority: ignore,
    onSettings: ignore,
    onSettingsAck: ignore,
    onPing: ignore,
    onWindowUpdate: ignore,
    onUnknown: ignore,
    onStreamError: ignore,
  };
  const parser = new FrameParser(
    {
      ...ignored,
      onGoAway: (_lastId, code) => {
        goAway = code;
      },
      onRstStream: (_id, code) => resets.push(code),
    },
    { role: 'client' },
  );
  parser.parse(heard);
  return { goAway, resets };
}

describe.each(Object.entries(http2Attacks))('%s', (kind, list) => {
  if (kind === 'floods') freshArenas();
  else oneArena();

  it.each(list.map((attack) => [attack.name, attack] as const))(
    '%s',
    async (_name, attack) => {
      await verdicts.expectWithstood(arena, withHead(attack), (blow) => {
        const { goAway } = toldIn(blow);
        if (goAway !== undefined && attack.code !== undefined) expect(goAway).toBe(attack.code);
      });
    },
    30_000,
  );
});

describe('patient attackers', () => {
  freshArenas();

  it.each([1, 16, 100])(
    '%i streams that nobody reads cost the budget, and no more',
    async (streams) => {
      const attack = unread(streams, Math.min(streams, 16) * MiB - streams * 16 * KiB);
      const { resident, blows } = await verdicts.strikeOnce(arena, withHead(attack));
      const after = await expectNothingLeft(arena);
      const held = await holdDuring(attack);
      expect(held).toBeLessThanOrEqual(memoryBound);
      figure(
        `HTTP/2, ${streams} unread streams: ${Math.round(held / KiB)} KiB held, memory + ${Math.round(resident / KiB)} KiB`,
      );
      // What was copied and is garbage counts here until it is collected, which takes longer on a busy machine.
      if (judgesLatency) expect(resident).toBeLessThanOrEqual(memoryBound);
      expect(blows).toMatchObject([{ survived: true }]);
      expect(after.ends).toMatchObject([{ code: 'closed' }]);
    },
    30_000,
  );

  /** What is sent beyond is read for last words up to 1 MiB; a reset behind that may overtake GOAWAY (RFC 9113 §5.4.1). */
  it.each([
    ['a little more', 512 * KiB, true],
    ['12 MiB more', 12 * MiB, false],
  ] as const)(
    '%s than the connection was given, on 40 streams that nobody reads, ends it',
    async (more, excess, hears) => {
      const attack = unread(40, 16 * MiB + growthBound + excess);
      const { resident, blows } = await verdicts.strikeOnce(arena, withHead(attack));
      const after = await expectNothingLeft(arena);
      expect(await holdDuring(attack)).toBeLessThanOrEqual(memoryBound + growthBound);
      figure(`HTTP/2, ${more} on 40 unread streams: memory + ${Math.round(resident / KiB)} KiB`);
      if (judgesLatency) expect(resident).toBeLessThanOrEqual(memoryBound + growthBound);
      const { goAway } = toldIn(blows[0] as Blow);
      if (hears || goAway !== undefined) expect(goAway).toBe(errorCode.FLOW_CONTROL_ERROR);
      expect(after.ends).toMatchObject([{ code: 'flow-control' }]);
    },
    30_000,
  );

  it('a window of 0 for ever costs its stream, and not the connection', async () => {
    const { resident, blows } = await verdicts.strikeOnce(arena, withHead(zeroWindow));
    expect(resident).toBeLessThanOrEqual(memoryBound);
    const { resets } = toldIn(blows[0] as Blow);
    expect(resets).toEqual([errorCode.CANCEL]);
    expect((await expectNothingLeft(arena)).streamEnds).toEqual(['timeout']);
  }, 20_000);

  it('a flood of connections leaves nothing', async () => {
    const [, , , violation] = http2Attacks.violations ?? [];
    await verdicts.expectFloodLeavesNothing(arena, withHead(violation as Http2Attack));
  }, 20_000);
});
