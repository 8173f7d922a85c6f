import type { StreamStats } from '../api.js';
import type { CoreStream } from './stream.js';

/** The figures of a stream now; `connection` is what data of the whole connection waits for. */
export function statsOf(stream: CoreStream, connection: 'window' | 'transport' | null): StreamStats {
  const { inbox, outbox } = stream;
  return {
    bytesIn: inbox.bytesIn,
    bytesOut: outbox.bytesOut,
    queuedIn: inbox.window.unread,
    queuedOut: outbox.queued,
    receiveWindow: Math.max(0, inbox.window.credit),
    sendWindow: Math.max(0, outbox.window),
    openedAt: stream.openedAt,
    blockedOn: blockedOn(stream, connection),
  };
}

function blockedOn(stream: CoreStream, connection: 'window' | 'transport' | null): StreamStats['blockedOn'] {
  const { inbox, outbox } = stream;
  if (outbox.isWaiting && !outbox.hasFailed) {
    if (outbox.window <= outbox.queued) return 'window';
    if (connection !== null) return connection;
    if (outbox.isThirsty && outbox.isNearEdge) return 'window';
  }
  return inbox.isHeld || (inbox.window.unread > 0 && !inbox.hasIdleReader) ? 'reader' : null;
}
