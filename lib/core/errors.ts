import type { ResetCode, StreamHeaders } from '../api.js';

/** What went wrong, in one word; `wireCode` has the protocol's own number where there was one. */
export type StreamErrorCode =
  | 'reset'
  | 'refused'
  | 'stopped'
  | 'locked'
  | 'ended'
  | 'overflow'
  | 'closed'
  | 'timeout'
  | 'protocol'
  | 'flow-control'
  | 'limit';

/** The facts an error carries beside its sentence. */
export interface StreamErrorDetails {
  streamId?: number | undefined;
  /** The peer caused it. Default false. */
  remote?: boolean;
  wireCode?: number | undefined;
  /** The peer has certainly processed nothing. Default false. */
  retryable?: boolean;
  /** The word for the reset, which survives from one protocol to the next. */
  reset?: ResetCode | undefined;
  /** The headers that came with a refusal. */
  headers?: StreamHeaders | undefined;
  cause?: unknown;
}

/** Shared by every copy of the package, so that `StreamError.is` works across them. */
const brand = Symbol.for('rxmux.StreamError');

/**
 * The one error of this package. A peer's mistake reaches the application as a rejected promise or an errored
 * observable, never as an exception in its stack; what Node or a protocol said about it is the `cause`.
 */
export class StreamError extends Error {
  override readonly name: string = 'StreamError';
  declare readonly code: StreamErrorCode;
  declare readonly streamId: number | undefined;
  /** The peer caused it. */
  readonly remote: boolean = false;
  /** The number on the wire, if there was one. */
  declare readonly wireCode: number | undefined;
  /** The peer has certainly processed nothing: safe to try elsewhere. */
  readonly retryable: boolean = false;
  /** Why the stream was reset, in the words that every protocol shares. */
  declare readonly reset: ResetCode | undefined;
  /** The headers that came with a refusal. */
  declare readonly headers: StreamHeaders | undefined;

  constructor(code: StreamErrorCode, message: string, { cause, ...details }: StreamErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause });
    Object.assign(this, details, { code });
  }

  static {
    Object.defineProperty(StreamError.prototype, brand, { value: true });
  }

  static is(value: unknown): value is StreamError {
    return typeof value === 'object' && value !== null && brand in value;
  }
}

/** The peer broke the rules. */
export function violation(
  message: string,
  code: 'protocol' | 'flow-control' = 'protocol',
  wireCode?: number,
): StreamError {
  return new StreamError(code, message, {
    remote: true,
    wireCode,
    reset: code === 'protocol' ? 'protocol-error' : code,
  });
}
