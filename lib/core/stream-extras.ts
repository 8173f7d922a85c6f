import type { Subject } from 'rxjs';
import type { Chunk, StreamHeaders, StreamState } from '../api.js';
import type { Deferred } from './promises.js';

/** What most streams never need, and an idle one does not pay for. */
export interface StreamExtras {
  reply?: Deferred<StreamHeaders>;
  trailers?: Deferred<StreamHeaders | undefined>;
  closed?: Deferred<void>;
  states?: Subject<StreamState>;
  readable?: ReadableStream<Uint8Array>;
  writable?: WritableStream<Chunk>;
  replyHeaders?: StreamHeaders;
  peerTrailers?: StreamHeaders | undefined;
  label?: string;
  /** Listeners to take off when the stream is over. */
  cleanUp?: () => void;
}
