import { defaultLimits } from '../../lib/core/limits.js';
import { codes } from '../../lib/framer/frames.js';
import { figure, KiB, MiB } from '../bounded/pairs.js';
import { Arena, buildPrograms, type Programs } from './arena.js';
import { attacks } from './attacks.js';
import { clientId, credit, data, Hearing, hello, join, joinAll, many, open, repeat } from './frames.js';
import type { Blow } from './messages.js';
import { Verdicts } from './verdicts.js';

let arena: Arena;
let programs: Programs;
beforeAll(async () => {
  programs = buildPrograms();
  arena = await Arena.open('framer', programs);
}, 30_000);
afterAll(async () => {
  await arena.close();
  programs.remove();
});

/** What one connection may cost: what it can leave unread, windows grown included, and 15 MiB. */
const memoryBound = defaultLimits.receiveBudgetBytes + 15 * MiB;

/** The error that the victim told, if the attacker could still hear it. */
function toldIn(blow: Blow): number | undefined {
  const hearing = new Hearing();
  hearing.hear(blow.heard);
  return hearing.all('GOAWAY').at(-1)?.value;
}

const verdicts = new Verdicts({ name: 'framer', memoryBound });
afterAll(() => verdicts.tell());

describe.each(Object.entries(attacks))('%s', (_kind, list) => {
  it.each(list.map((attack) => [attack.name, attack] as const))(
    '%s',
    async (_name, attack) => {
      const { residentPeak } = await verdicts.expectWithstood(arena, { head: hello(), ...attack }, (blow) => {
        const told = toldIn(blow);
        if (told !== undefined && attack.told !== undefined) expect(told).toBe(codes[attack.told]);
      });
      expect(residentPeak).toBeLessThanOrEqual(64 * MiB);
    },
    20_000,
  );
});

describe('patient attackers', () => {
  const patient = {
    loop: false,
    pieceBytes: 65_536,
    logsIn: false,
    reads: true,
    connections: 1,
    ms: 0,
    pauseMs: 0,
    patienceMs: 300,
  };

  const give = { headers: [[':path', '/give']] } as const;

  it.each([
    ['one byte', 256, (id: number) => repeat(data(id, 1), 4096)],
    ['4 KiB', 256, (id: number) => data(id, 4096)],
    ['2049 bytes and 1 in turn', 255, (id: number) => repeat(join(data(id, 2049), data(id, 1)), 2)],
  ])(
    'unread streams with all that the budget takes cost that and 15 MiB: by %s',
    async (how, count, fill) => {
      await arena.begin();
      const ids = Array.from({ length: count }, (_, index) => clientId(index));
      const headers = [
        [':path', '/ignore'],
        ['cookie', 'x'.repeat(4000)],
      ] as const;
      const body = joinAll([...ids.map((id) => open(id, { headers })), ...ids.map(fill)]);
      const { usual: port } = arena.ports;
      const attacking = arena.attack({ ...patient, port, head: hello(), body, patienceMs: 1500 });
      let held = 0;
      let streams = 0;
      let over = false;
      const attacked = attacking.then((blows) => {
        over = true;
        return blows;
      });
      while (!over) {
        const report = await arena.report();
        held = Math.max(held, report.held);
        streams = Math.max(streams, report.streams);
      }
      expect(await attacked).toMatchObject([{ survived: true }]);
      // A million frames are still under way when the attacker leaves: they are read before the end that follows them.
      const after = await arena.aftermath(15_000);
      const kib = [held, after.residentPeak].map((bytes) => Math.round(bytes / KiB));
      figure(`${count} unread streams, filled by ${how}: ${kib[0]} KiB held, memory + ${kib[1]} KiB`);
      expect(streams).toBe(count);
      expect(held).toBeGreaterThan(defaultLimits.receiveBudgetBytes);
      expect(held).toBeLessThanOrEqual(memoryBound);
      expect([after.connections, after.streams, after.left, after.mishaps]).toEqual([1, 0, {}, []]);
      expect(after.ends).toMatchObject([{ code: 'closed' }]);
    },
    40_000,
  );

  it('a peer that gives no window for ever loses its stream, and keeps its connection', async () => {
    await arena.begin();
    // It goes on talking, one byte in a millisecond.
    const body = join(
      open(1, give),
      many(50, () => credit(0, 1000)),
    );
    const head = hello({ initialWindow: 0 });
    const pieces = { pieceBytes: 1, patienceMs: 700 };
    const [blow] = await arena.attack({ ...patient, ...pieces, port: arena.ports.quick, head, body });
    const hearing = new Hearing();
    hearing.hear(blow?.heard ?? new Uint8Array());
    expect(hearing.last('RESET', 1).value).toBe(codes.timeout);
    expect(hearing.all('GOAWAY').every(({ value }) => value === codes.timeout)).toBe(true);
    const after = await arena.aftermath();
    expect(after.streamEnds).toEqual(['timeout']);
    expect(after.mishaps).toEqual([]);
  }, 20_000);

  it('connections that are broken off at any byte leave nothing', async () => {
    await arena.begin();
    const { usual: port } = arena.ports;
    const windows = { initialWindow: 65_536, connectionWindow: 65_536 };
    const all = join(hello(windows), open(1, give), data(1, 100), open(3), data(3, 5000));
    for (let at = 0; at < all.byteLength; at += at < 200 ? 13 : 997) {
      const assault = { ...patient, head: new Uint8Array(), body: all.subarray(0, at), patienceMs: 5 };
      await arena.attack({ ...assault, port, connections: 10 });
    }
    const after = await arena.aftermath();
    expect([after.connections, after.streams, after.left, after.mishaps]).toEqual([1, 0, {}, []]);
    for (const { code } of after.ends) expect(code).toBe('closed');
  }, 20_000);

  it('a flood of connections leaves nothing, and takes nothing from those who are polite', async () => {
    const body = join(open(1), open(1));
    await verdicts.expectFloodLeavesNothing(arena, {
      name: 'connections',
      head: hello(),
      body,
      ends: 'protocol',
    });
  }, 20_000);
});
