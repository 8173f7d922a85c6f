import type { Session } from './session.js';

/**
 * Moves the streams that wait to be opened from one connection to another, with their ids and what was written to them:
 * nothing of them has been sent, so nobody but the table can tell.
 */
export function moveOpenings(from: Session, to: Session): void {
  for (const stream of from.transmitter.takeOpenings()) {
    if (stream.isOver) continue;
    const { queued } = stream.outbox;
    from.streams.delete(stream.id);
    from.transmitter.forget(stream);
    from.transmitter.queued(-queued);
    stream.moveTo(to);
    to.streams.add(stream);
    to.nextId = stream.id + 2;
    to.transmitter.queued(queued);
    if (stream.outbox.isThirsty) to.transmitter.thirsty(stream);
    to.transmitter.open(stream);
  }
}
