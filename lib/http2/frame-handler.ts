/** Who takes the frames that codec.ts reads, and within which limits. */
import type { StreamError } from '../core/errors.js';
import { MIN_MAX_FRAME_BYTES } from './frames.js';

/** One parameter of SETTINGS. */
export type Setting = readonly [id: number, value: number];

/**
 * Who is told of frames. Views (`chunk`, `block`, `payload`, `debug`) are of the parser's input or of a buffer that is
 * used again: a DATA chunk lives as long as the input, the others only during the call. What a method throws ends the
 * parser, and comes out of `parse`; none may call `parse`.
 */
export interface FrameHandler {
  /** Every frame's header, before it is judged. */
  onFrame(type: number, flags: number, streamId: number, length: number): void;
  /** DATA begins: `length` is what it takes of both windows, padding included (RFC 9113 §6.9.1). */
  onDataStart(streamId: number, length: number): void;
  /** Some of its bytes; never empty. */
  onData(streamId: number, chunk: Uint8Array): void;
  /** All of it is there. */
  onDataEnd(streamId: number, endStream: boolean): void;
  /**
   * A whole field block. It must be decoded in any case, since its compression state belongs to the connection; with
   * an `error` the stream is to be reset after that.
   */
  onHeaders(streamId: number, block: Uint8Array, endStream: boolean, error: StreamError | undefined): void;
  onPriority(streamId: number): void;
  onRstStream(streamId: number, code: number): void;
  /** The parameters in their order, their values checked; unknown ones are among them. */
  onSettings(settings: readonly Setting[]): void;
  onSettingsAck(): void;
  /** Eight bytes, to be sent back unless they are an answer. */
  onPing(payload: Uint8Array, ack: boolean): void;
  onGoAway(lastStreamId: number, code: number, debug: Uint8Array): void;
  /** Credit of 1 or more; for the connection on id 0. */
  onWindowUpdate(streamId: number, increment: number): void;
  /** A frame of a type that we do not know; its payload is skipped. */
  onUnknown(type: number, streamId: number, length: number): void;
  /** A frame broke a rule that costs only its stream. */
  onStreamError(streamId: number, error: StreamError): void;
}

export interface FrameLimits {
  /** Largest payload of one frame: the SETTINGS_MAX_FRAME_SIZE that we announce. */
  readonly maxFrameBytes: number;
  /** A field block as it is on the wire, over all its frames. */
  readonly maxHeaderBlockBytes: number;
  /** CONTINUATION frames of one field block, empty ones included. */
  readonly maxContinuations: number;
  /** Parameters in one SETTINGS. */
  readonly maxSettings: number;
}

/** The limits that HTTP/2 has by default. */
export const defaultFrameLimits: FrameLimits = {
  maxFrameBytes: MIN_MAX_FRAME_BYTES,
  maxHeaderBlockBytes: 64 * 1024,
  maxContinuations: 8,
  maxSettings: 32,
};
