/**
 * Latency beside bulk is mostly the window, so contenders whose window can be set take this one: 4 MiB a stream, large
 * enough that none is slowed in bulk, or what `--window` says. Undefined where a contender's own default is asked for.
 */
export const chosenWindow = Number(process.env.BENCH_WINDOW) || undefined;
export const windowBytes = chosenWindow ?? 4 * 1024 * 1024;
/** A connection's window, where there is one: never what limits. */
export const connectionWindowBytes = 64 * 1024 * 1024;
