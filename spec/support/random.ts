/** Numbers that look random and can be had again from the same seed. */
export interface Random {
  /** From 0 up to 1, without 1. */
  next(): number;
  /** A whole number from `min` to `max`, both included. */
  integer(min: number, max: number): number;
  /** True once in `n` times. */
  oneIn(n: number): boolean;
  pick<T>(values: readonly T[]): T;
  bytes(length: number): Uint8Array;
}

/** Mulberry32: 32 bits of state, which is plenty for choosing what a test does next. */
export function seededRandom(seed: number): Random {
  let state = seed | 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const integer = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1));
  return {
    next,
    integer,
    oneIn: (n) => integer(1, n) === 1,
    pick: <T>(values: readonly T[]): T => values[integer(0, values.length - 1)] as T,
    bytes: (length) => Uint8Array.from({ length }, () => integer(0, 255)),
  };
}

/**
 * A test of many rounds, each with random numbers of its own. A failure names the seed of its round, from which
 * `npm run fuzz -- --seed … --rounds 1` replays it. `rounds` is for an ordinary run; `npm run fuzz` may ask for more, and only
 * where it names a seed for less.
 */
export function fuzzTest(
  name: string,
  rounds: number,
  run: (random: Random) => Promise<void> | void,
  timeoutMs: number = 300_000,
): void {
  const asked = Number(process.env.RXMUX_FUZZ_ROUNDS ?? rounds);
  const count = process.env.RXMUX_FUZZ_SEED === undefined ? Math.max(asked, rounds) : asked;
  it(
    name,
    async () => {
      const first = Number(process.env.RXMUX_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
      for (let seed = first; seed < first + count; seed++) {
        try {
          await run(seededRandom(seed));
        } catch (error) {
          const replay = `npm run fuzz -- --seed ${seed} --rounds 1 -t '${name}'`;
          throw new Error(
            `seed ${seed}: ${error instanceof Error ? error.message : error}\nreplay: ${replay}`,
            {
              cause: error,
            },
          );
        }
      }
    },
    timeoutMs + count,
  );
}
