import type { Limits } from '../api.js';

/**
 * Every size, count, rate and time that a peer controls. Sizes are bytes, times milliseconds; a time of 0 or Infinity
 * is off. A bucket (`…Burst`, `…PerSecond`) holds its burst, and refills at its rate.
 */
export interface LimitValues {
  // ---- sizes
  /** Payload of a received frame. */
  maxFrameBytes: number;
  /** How much of one stream is sent before the next one's turn. */
  sendQuantumBytes: number;
  /** A header block as it is on the wire. */
  maxHeaderBlockBytes: number;
  /** Further frames of one header block, where the wire cuts it. */
  maxContinuations: number;
  /** A header block unpacked, where the wire compresses. */
  maxHeaderListBytes: number;
  maxHeaders: number;
  maxHeaderNameBytes: number;
  maxHeaderValueBytes: number;
  /** Credit that a new stream gives its peer. */
  windowBytes: number;
  /** As far as a stream's window grows while its reader keeps up. */
  maxWindowBytes: number;
  /** Unread bytes of one connection, all its streams together. */
  receiveBudgetBytes: number;
  /** What grown windows, and unread streams beside others, may add to `receiveBudgetBytes`. Default 0 if that is set. */
  growthBudgetBytes: number;
  /** Bytes of one stream taken from its source and not yet with the transport. */
  streamQueueBytes: number;
  /** The same for all streams of a connection. */
  queueBytes: number;
  /** What is discarded after `stop()` where the wire has no STOP. */
  discardBytes: number;
  /** Answers (pongs, resets, credit) waiting for a transport that does not take them. Above: reading is paused. */
  maxAnswerBytes: number;

  // ---- counts
  /** Open streams of the peer's. */
  maxStreams: number;
  /** Accepted streams that nobody has taken yet. */
  backlog: number;
  /** Frames taken from one connection in one turn of the event loop. */
  maxFramesPerTurn: number;
  /** Streams that we reset and whose late frames are expected. */
  tombstones: number;
  maxStreamId: number;

  // ---- rates
  resetBurst: number;
  resetsPerSecond: number;
  /** Streams refused because there are too many: a polite peer may burst here, a flood may not. */
  refusalBurst: number;
  refusalsPerSecond: number;
  errorBurst: number;
  errorsPerSecond: number;
  pingBurst: number;
  pingsPerSecond: number;
  settingsBurst: number;
  settingsPerSecond: number;
  maxSettings: number;
  uselessBurst: number;
  uselessPerSecond: number;

  // ---- times
  /** Until the peer's preface has arrived. */
  handshakeMs: number;
  /** Silence after which the peer is pinged. */
  keepaliveMs: number;
  /** Silence after which the connection is given up, and a ping that has no answer. */
  deadMs: number;
  /** A connection without streams is closed after this. */
  idleMs: number;
  /** Until an opened stream is answered. */
  openMs: number;
  /** How long a stream waits for its peer's window, for that of the connection, or for the transport. */
  stallMs: number;
  /** How long a half-closed stream may stand still. */
  halfClosedMs: number;
  /** How long `close()` waits for open streams. */
  drainMs: number;
  /** How long the transport may take to close after that. */
  closeMs: number;
  /** How long late frames of a reset stream are expected. */
  tombstoneMs: number;
  /** Work for one connection in one turn of the event loop. */
  maxTurnMs: number;
}

const KiB = 1024;
const MiB = 1024 * KiB;

/** What an open port can live with; a protocol replaces the values that differ. */
export const defaultLimits: LimitValues = {
  maxFrameBytes: 64 * KiB,
  sendQuantumBytes: 16 * KiB,
  maxHeaderBlockBytes: 16 * KiB,
  maxContinuations: 8,
  maxHeaderListBytes: 64 * KiB,
  maxHeaders: 64,
  maxHeaderNameBytes: 256,
  maxHeaderValueBytes: 8 * KiB,
  windowBytes: 256 * KiB,
  maxWindowBytes: MiB,
  receiveBudgetBytes: MiB,
  growthBudgetBytes: 3 * MiB,
  streamQueueBytes: 64 * KiB,
  queueBytes: MiB,
  discardBytes: 4 * MiB,
  maxAnswerBytes: 64 * KiB,

  maxStreams: 256,
  backlog: 128,
  maxFramesPerTurn: 256,
  tombstones: 256,
  maxStreamId: 2 ** 31 - 1,

  resetBurst: 200,
  resetsPerSecond: 50,
  refusalBurst: 4000,
  refusalsPerSecond: 400,
  errorBurst: 100,
  errorsPerSecond: 10,
  pingBurst: 16,
  pingsPerSecond: 4,
  settingsBurst: 16,
  settingsPerSecond: 1,
  maxSettings: 32,
  uselessBurst: 100,
  uselessPerSecond: 20,

  handshakeMs: 10_000,
  keepaliveMs: 15_000,
  deadMs: 30_000,
  idleMs: 0,
  openMs: 30_000,
  stallMs: 60_000,
  halfClosedMs: 300_000,
  drainMs: 30_000,
  closeMs: 5_000,
  tombstoneMs: 5_000,
  maxTurnMs: 5,
};

/** The least and the most that a limit can be. */
export type LimitBounds = Partial<Record<keyof LimitValues, readonly [number, number]>>;

const from1To31Bits = [1, 2 ** 31 - 1] as const;

/** What wires can say whose numbers have 31 bits; and with 0 of these nothing would ever move either. */
export const bounds31: LimitBounds = {
  windowBytes: from1To31Bits,
  maxWindowBytes: from1To31Bits,
  receiveBudgetBytes: from1To31Bits,
  maxStreamId: from1To31Bits,
};

const atLeast1 = [1, Number.POSITIVE_INFINITY] as const;

/** Without any of these nothing would ever move. */
const movingBounds: LimitBounds = {
  sendQuantumBytes: atLeast1,
  receiveBudgetBytes: atLeast1,
  streamQueueBytes: atLeast1,
  queueBytes: atLeast1,
  backlog: atLeast1,
  maxFramesPerTurn: atLeast1,
};

/** The defaults with an application's own values; an unknown name or a value that cannot be is its mistake. */
export function withLimits(
  base: LimitValues,
  own: Partial<Limits> = {},
  bounds: LimitBounds = {},
): LimitValues {
  const result = { ...base };
  for (const [name, value] of Object.entries(own)) {
    if (!Object.hasOwn(base, name)) throw new TypeError(`there is no limit "${name}"`);
    // Sizes and counts are whole, or Infinity; times and rates need not be.
    const mayBreak = /(Ms|PerSecond)$/.test(name);
    if (typeof value !== 'number' || !(value >= 0) || (value % 1 > 0 && !mayBreak))
      throw new RangeError(`limit ${name} cannot be ${value}`);
    const key = name as keyof LimitValues;
    const [least, most] = bounds[key] ?? movingBounds[key] ?? [0, Number.POSITIVE_INFINITY];
    if (value < least || value > most)
      throw new RangeError(`limit ${name} is ${least} to ${most}, not ${value}`);
    result[key] = value;
  }
  // Who sets a window means that window: it grows only if asked to, and the connection has room for it.
  if (own.windowBytes !== undefined && own.maxWindowBytes === undefined) {
    result.maxWindowBytes = result.windowBytes;
  }
  result.windowBytes = Math.min(result.windowBytes, result.maxWindowBytes);
  if (own.receiveBudgetBytes === undefined) {
    result.receiveBudgetBytes = Math.max(result.receiveBudgetBytes, result.windowBytes);
  } else if (own.growthBudgetBytes === undefined) result.growthBudgetBytes = 0;
  return result;
}
