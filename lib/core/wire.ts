import type { ProviderFeatures, ResetCode, StreamHeaders } from '../api.js';
import type { StreamError } from './errors.js';
import type { CoreStream } from './stream.js';

/** Why a stream ends: what applications can say, and what only the engine does. */
export type Reason = ResetCode | 'limit' | 'timeout' | 'calm';

/** What headers go out with. */
export type HeadersUse = 'open' | 'accept' | 'refuse' | 'trailers';

/**
 * What a protocol is to the engine: it puts the engine's decisions into frames, and tells the engine
 * what the peer's frames say. It decides nothing about streams, flow control or time itself.
 *
 * The methods that write put their frame into the connection's `FrameWriter` at once.
 */
export interface Wire {
  readonly name: string;
  readonly features: ProviderFeatures;
  /** The frames that open and answer can carry data and the end with them. */
  readonly mergesData: boolean;
  /** The end is a message of its own, behind the data. */
  readonly endsApart?: boolean;
  /** The opener may send data before the answer. */
  readonly dataBeforeReply: boolean;
  /**
   * Where data waits for the answer: as much of it, whatever the window, may travel with the opening frame all the same,
   * and so may the end behind it. Absent: nothing.
   */
  openingBytes?(stream: CoreStream): number;
  /** A reset may cost the peer what it has not read yet: of a stop hears only who goes on sending. */
  readonly losesUnread?: boolean;
  /** Why the peer takes no streams of ours, in a sentence; null if it does. */
  takesNone?: string | null;
  /** The end of our half is to wait; `ready` once it need not. */
  holdsEnd?(stream: CoreStream): boolean;
  /** Throws what an application has to hear at once: headers that the wire cannot carry. */
  checkHeaders?(headers: StreamHeaders, use: HeadersUse): void;
  /** Peers read nothing after a go-away: it is said when the last stream is over. */
  readonly goAwayLast?: boolean;
  /**
   * Warns of a go-away: what the peer opens until it has heard that is taken, and the promise says when. Null where
   * nothing can be under way.
   */
  warn?(): Promise<unknown> | null;

  /** How long a header block would be. */
  headerBytes(headers: StreamHeaders): number;

  /** What goes first, before any frame of the engine's. */
  preface(): void;
  /**
   * Reads frames from `chunk`, beginning at `from`, until its end or until `maxFrames` are done; gives where it stopped.
   * Throws only a StreamError, which ends the connection.
   */
  receive(chunk: Uint8Array, from: number, maxFrames: number): number;
  /** Frames done by the last `receive`. */
  readonly framesDone: number;
  /** The peer has begun as the protocol wants it: it is worth telling what went wrong. */
  readonly isRecognised: boolean;
  /** A frame has begun and is not complete: an end of the transport here is a loss. */
  readonly isMidFrame: boolean;

  /** The headers of a frame whose `bytes` of data follow from the engine. */
  open(stream: CoreStream, bytes: number, end: boolean): void;
  accept(stream: CoreStream, headers: StreamHeaders, bytes: number, end: boolean): void;
  data(stream: CoreStream, bytes: number, end: boolean): void;
  /** The acceptor reads already, and answers later: where the opener may send nothing before, it is to hear that. */
  answersLater?(stream: CoreStream): void;

  /** Ends our half with trailers. */
  trailers(stream: CoreStream, headers: StreamHeaders): void;
  refuse(id: number, code: Reason, reason: string, headers: StreamHeaders): void;
  reset(id: number, code: Reason, reason: string): void;
  /** Without `features.halfStop` a reset: asked for once our half has ended, and the peer's has not. */
  stop(id: number, code: Reason): void;
  /** Credit for a stream, or with id 0 for the connection. */
  credit(id: number, bytes: number): void;
  ping(payload: number): void;
  goAway(lastId: number, error: StreamError | null): void;
}
