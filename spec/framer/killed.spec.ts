import { type Cut, type Death, falsehood, Session } from './session.js';

/** Runs a session that is cut, and gives what is wrong with how it ended. */
async function faultsOf(cut: Cut): Promise<string[]> {
  const session = new Session(cut);
  await session.settle(60);
  if (cut.how === 'silence') {
    // Nobody hears anything any more: the deadline for silence has to end it.
    for (let passed = 0; passed < 40_000 && session.pending.length > 0; passed += 2000) {
      session.clock.pass(2000);
      await session.settle(6);
    }
  }
  const deadline = performance.now() + 1000;
  while (session.pending.length > 0 && performance.now() < deadline) await session.settle(10);
  const faults = session.halves.map(falsehood).filter((fault) => fault !== undefined);
  if (!session.wasCut) faults.push('it was not cut');
  return [...faults, ...session.pending.map((what) => `${what}: still pending`)];
}

describe('a session whose transport goes away', () => {
  it('is complete if it does not', async () => {
    const session = new Session();
    await session.settle(200);
    expect(session.pending).toEqual([]);
    expect(session.halves.map(falsehood).filter((fault) => fault !== undefined)).toEqual([]);
    const ends = session.halves.filter(({ result }) => result === 'end').map(({ what }) => what);
    expect(ends.sort()).toEqual(
      [
        'client echo',
        'client source',
        'client stop',
        'client back',
        'server echo',
        'server source',
        'server back',
      ].sort(),
    );
    const failed = session.waits.filter(({ state }) => state === 'failed').map(({ what }) => what);
    expect(failed).not.toContain('closed of the client');
    expect(failed).not.toContain('closed of the server');
    const resets = session.events.filter((event) => event.type === 'reset').map(({ code }) => code);
    expect(resets).toEqual(expect.arrayContaining([300, 4711, 1234]));
  });

  const ways: [from: 'client' | 'server', how: Death][] = [
    ['client', 'error'],
    ['server', 'error'],
    ['client', 'end'],
    ['server', 'end'],
    ['client', 'silence'],
    ['server', 'silence'],
  ];

  it.each(ways)(
    'tells no lies and leaves nobody waiting: every byte of the %s, by %s',
    async (from, how) => {
      const whole = new Session();
      await whole.settle(200);
      const { byteLength } = whole.recording[from];
      expect(byteLength).toBeGreaterThan(400);
      const wrong: string[] = [];
      const atOnce = 16;
      for (let at = 0; at < byteLength; at += atOnce) {
        const cuts = Array.from({ length: Math.min(atOnce, byteLength - at) }, (_, more) => at + more);
        const faults = await Promise.all(cuts.map((position) => faultsOf({ from, at: position, how })));
        faults.forEach((found, index) => {
          if (found.length > 0) wrong.push(`cut at ${at + index}: ${found.join('; ')}`);
        });
      }
      expect(wrong).toEqual([]);
    },
    60_000,
  );
});
