import type { StreamHeaders } from '../api.js';
import type { Session } from '../core/session.js';
import type { CoreStream } from '../core/stream.js';

/** Up to here a stream's headers are not counted: as peers usually have them, no stream waits for another's. */
const shortBytes = 4 * 1024;
/** As much the longer ones of a connection may hold. In memory a byte may have become two. */
const mostBytes = 2 * 1024 * 1024;

/** What the headers of a connection's streams hold while these are open, or wait to be accepted: no window counts it. */
export class HeldHeaders {
  readonly #session: Session;
  readonly #held: WeakMap<CoreStream, number> = new WeakMap();

  constructor(session: Session) {
    this.#session = session;
  }

  /** Whether there is room for a stream with so much. */
  hasRoom(bytes: number): boolean {
    if (bytes <= shortBytes) return true;
    const { streams, backlog } = this.#session;
    let held = bytes;
    for (const stream of new Set([...streams.values(), ...backlog.toArray()])) {
      held += this.#held.get(stream) ?? 0;
    }
    return held <= mostBytes;
  }

  /** A stream holds so much now; false, and nothing has changed, if there is no room. */
  hold(stream: CoreStream, bytes: number): boolean {
    const before = this.#held.get(stream) ?? 0;
    this.#held.delete(stream);
    const fits = this.hasRoom(bytes);
    const now = fits ? bytes : before;
    if (now > shortBytes) this.#held.set(stream, now);
    return fits;
  }
}

/** About what headers take when they are unpacked. */
export function sizeOf(headers: StreamHeaders): number {
  let size = 4;
  for (const [name, value] of headers) size += 8 + name.length + value.length;
  return size;
}
