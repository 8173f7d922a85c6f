/** Attacks on an SSH server in a process of its own, each beside a polite connection. */
import { PayloadReader } from '../../lib/ssh/codec.js';
import * as wire from '../../lib/ssh/frames.js';
import { figure, KiB, MiB, median } from '../bounded/pairs.js';
import { Arena, buildPrograms, type Programs } from './arena.js';
import type { Blow } from './messages.js';
import { sshAttacks, unread } from './ssh-attacks.js';
import { assaultOf, expectNothingLeft, judgesLatency, withstand } from './trial.js';

/** What one connection may leave unread, and 15 MiB. */
const memoryBound = 4 * MiB + 15 * MiB;

let programs: Programs;
let arena: Arena;
beforeAll(async () => {
  programs = buildPrograms();
  arena = await Arena.open('ssh', programs);
}, 30_000);
afterAll(async () => {
  await arena.close();
  programs.remove();
});

const ratios: Map<string, number> = new Map();
const grown: Map<string, number> = new Map();
let slowest = 0;

/** The reason of the DISCONNECT, if the attacker was logged in and could still hear it. */
const toldIn = ({ heard }: Blow): number | undefined =>
  heard[0] === wire.MSG_DISCONNECT ? new PayloadReader(heard, 1).uint32() : undefined;

describe.each(Object.entries(sshAttacks))('%s', (_kind, list) => {
  it.each(list.map((attack) => [attack.name, attack] as const))(
    '%s',
    async (name, attack) => {
      await arena.begin();
      const { ratio, blows } = await withstand(arena, attack);
      ratios.set(name, ratio);
      const after = await expectNothingLeft(arena);
      grown.set(name, after.rssPeak);
      expect(after.ends.length).toBeGreaterThanOrEqual(blows.length);
      for (const { code, message } of after.ends) {
        expect({ code, message }).toEqual({ code: attack.ends, message });
      }
      for (const blow of blows) {
        const told = toldIn(blow);
        if (told !== undefined) expect(told).toBe(wire.DISCONNECT_PROTOCOL_ERROR);
        // Who does not read does not see the end.
        if (attack.reads !== false) expect(blow.survived).toBe(false);
      }
      // Whoever is not thrown out within a second has not sent more than 1 MiB.
      const worst = Math.max(...after.ends.map(({ ms }) => ms));
      slowest = Math.max(slowest, worst);
      expect(worst < 1000 || blows.every(({ written }) => written < MiB)).toBe(true);
      expect(after.rssPeak).toBeLessThanOrEqual(32 * MiB);
      if (judgesLatency) expect(ratio).toBeLessThan(3);
    },
    30_000,
  );
});

it('streams that are not read cost what they may keep, and the canary sings', async () => {
  await arena.begin();
  let over = false;
  const attacking = arena.attack({ ...assaultOf(arena, unread, 0), patienceMs: 300 }).then((blows) => {
    over = true;
    return blows;
  });
  const time = await arena.canary(() => over);
  expect(await attacking).toMatchObject([{ survived: true }]);
  const after = await expectNothingLeft(arena);
  figure(`SSH canary beside 4 MiB that nobody reads: ${time.toFixed(2)} ms`);
  expect(after.rssPeak).toBeLessThanOrEqual(memoryBound);
  expect(after.ends).toMatchObject([{ code: 'closed' }]);
}, 20_000);

afterAll(() => {
  const worst = (figures: Map<string, number>, text: (value: number) => string): string =>
    [...figures]
      .sort((a, b) => b[1] - a[1])
      .slice(0, 5)
      .map(([name, value]) => `${name} ${text(value)}`)
      .join(', ');
  const middle = median([...ratios.values()]).toFixed(2);
  figure(
    `SSH canary under attack over control: median ${middle}, worst ${worst(ratios, (ratio) => ratio.toFixed(2))}`,
  );
  figure(
    `SSH victim's RSS over start, some attacks: ${worst(grown, (bytes) => `${Math.round(bytes / KiB)} KiB`)}`,
  );
  figure(`SSH attackers: slowest end after ${Math.round(slowest)} ms`);
});
