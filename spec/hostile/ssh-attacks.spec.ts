/** Attacks on an SSH server in a process of its own, each beside a polite connection. */
import { PayloadReader } from '../../lib/ssh/codec.js';
import * as wire from '../../lib/ssh/frames.js';
import { figure, MiB } from '../bounded/pairs.js';
import { Arena, buildPrograms, type Programs } from './arena.js';
import type { Blow } from './messages.js';
import { sshAttacks, unread } from './ssh-attacks.js';
import { assaultOf, expectNothingLeft } from './trial.js';
import { Verdicts } from './verdicts.js';

/** What one connection may leave unread, and 15 MiB. */
const memoryBound = 4 * MiB + 15 * MiB;

let programs: Programs;
/** One for each attack: what an earlier one has cost must not hide what this one does. */
let arena: Arena;
beforeAll(() => {
  programs = buildPrograms();
}, 30_000);
afterAll(() => programs.remove());
beforeEach(async () => {
  arena = await Arena.open('ssh', programs);
}, 30_000);
afterEach(() => arena.close());

const verdicts = new Verdicts({ name: 'SSH', memoryBound });
afterAll(() => verdicts.tell());

/** The reason of the DISCONNECT, if the attacker was logged in and could still hear it. */
const toldIn = ({ heard }: Blow): number | undefined =>
  heard[0] === wire.MSG_DISCONNECT ? new PayloadReader(heard, 1).uint32() : undefined;

describe.each(Object.entries(sshAttacks))('%s', (_kind, list) => {
  it.each(list.map((attack) => [attack.name, attack] as const))(
    '%s',
    async (_name, attack) => {
      await verdicts.expectWithstood(arena, attack, (blow) => {
        const told = toldIn(blow);
        if (told !== undefined) expect(told).toBe(wire.DISCONNECT_PROTOCOL_ERROR);
      });
    },
    30_000,
  );
});

it('streams that are not read cost what they may keep, and the canary sings', async () => {
  const assault = { ...assaultOf(arena, unread, 0), patienceMs: 300 };
  await arena.begin();
  // The canary is silent: its own garbage is not the attacker's doing.
  expect(await arena.attack(assault)).toMatchObject([{ survived: true }]);
  expect((await arena.report()).residentPeak).toBeLessThanOrEqual(memoryBound);
  expect((await expectNothingLeft(arena)).ends).toMatchObject([{ code: 'closed' }]);

  await arena.begin();
  let over = false;
  const attacking = arena.attack(assault).then((blows) => {
    over = true;
    return blows;
  });
  const time = await arena.canary(() => over);
  expect(await attacking).toMatchObject([{ survived: true }]);
  figure(`SSH canary beside 4 MiB that nobody reads: ${time.toFixed(2)} ms`);
  expect((await expectNothingLeft(arena)).ends).toMatchObject([{ code: 'closed' }]);
}, 20_000);
