import type { Subject } from 'rxjs';
import type { HeadersInit, ProviderEvent, ResetCode, StreamHeaders } from '../api.js';
import type { Crediting } from './crediting.js';
import type { LimitValues } from './limits.js';
import type { CoreStream } from './stream.js';
import type { Transmitter } from './transmitter.js';
import type { HeadersUse, Reason, Wire } from './wire.js';

/** What has nothing beside its stream to tell. */
export type StreamEvent = 'open' | 'accept' | 'reply' | 'end' | 'close';

/** What a stream asks of its connection. */
export interface StreamHost {
  readonly wire: Wire;
  readonly limits: LimitValues;
  now(): number;
  /** Makes headers of what an application gives; throws where they cannot be sent. */
  toHeaders(init: HeadersInit | undefined, use: HeadersUse): StreamHeaders;
  /** Null while nobody observes. */
  readonly events: Subject<ProviderEvent> | null;
  /** Tells whoever observes what became of a stream. */
  tell(type: StreamEvent, stream: CoreStream): void;
  readonly transmitter: Transmitter;
  readonly crediting: Crediting;
  dropped(stream: CoreStream, bytes: number): void;
  /** Bytes wait for their reader, in memory that is not theirs alone: `inbox.settle()` in a later turn. */
  settleLater(stream: CoreStream): void;
  sendReset(stream: CoreStream, code: Reason, reason: string): void;
  sendRefusal(stream: CoreStream, code: ResetCode, headers: StreamHeaders): void;
  /** Both halves are over. */
  over(stream: CoreStream): void;
  /** The reader has stopped, and the peer is not done. */
  stopped(stream: CoreStream, code: ResetCode): void;
}
