/** One attack after the other, with a look at the canary in between. */
import { median } from '../bounded/pairs.js';
import { type Arena, keptBytes } from './arena.js';
import type { Attack } from './attacks.js';
import type { Assault, Blow } from './messages.js';

/** Times are judged on a quiet machine only: `RXMUX_LATENCY=1 npm test -- spec/hostile -i`. They are always printed. */
export const judgesLatency: boolean = process.env.RXMUX_LATENCY !== undefined;

/** `attack` for so long; for 0 ms it is one connection. */
export function assaultOf(arena: Arena, attack: Attack, ms: number): Assault {
  const {
    head = new Uint8Array(),
    body,
    loop = false,
    pieceBytes = 65_536,
    logsIn = false,
    reads = true,
    connections = 1,
  } = attack;
  const port = arena.ports[attack.quick ? 'quick' : 'usual'];
  // One attacker, and not a flood of them: that is a test of its own.
  const pauseMs = connections === 1 ? 2 : 0;
  return {
    port,
    head,
    body,
    loop,
    pieceBytes,
    logsIn,
    reads,
    connections,
    ms,
    pauseMs,
    patienceMs: reads ? 3000 : 1000,
  };
}

/** Attacks again and again for a while, and looks at the canary in between: its slowdown, and all that was heard. */
export async function withstand(arena: Arena, attack: Attack): Promise<{ ratio: number; blows: Blow[] }> {
  const calm: number[] = [];
  const harried: number[] = [];
  const blows: Blow[] = [];
  for (let round = 1; ; round++) {
    const calmUntil = performance.now() + 15;
    calm.push(await arena.canary(() => performance.now() >= calmUntil));
    let over = false;
    const attacking = arena.attack(assaultOf(arena, attack, 25)).then((more) => {
      over = true;
      blows.push(...more);
    });
    harried.push(await arena.canary(() => over));
    await attacking;
    const ratio = median(harried) / median(calm);
    // The machine may have had other things to do: a slowdown has to show again and again.
    if (round >= 3 && (ratio < 3 || round >= (judgesLatency ? 15 : 3))) return { ratio, blows };
    if (attack.quick && round >= 1 && ratio < 3) return { ratio, blows };
  }
}

/** The victim is as it was before: only the canary's connection, no stream, no timer or socket, and little memory. */
export async function expectNothingLeft(arena: Arena): Promise<Awaited<ReturnType<Arena['aftermath']>>> {
  const after = await arena.aftermath();
  const { connections, streams, left, mishaps } = after;
  expect({ connections, streams, left, mishaps }).toEqual({
    connections: 1,
    streams: 0,
    left: {},
    mishaps: [],
  });
  expect(after.held).toBeLessThan(keptBytes);
  return after;
}
