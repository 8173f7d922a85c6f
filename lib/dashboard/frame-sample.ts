import type { FrameEvent } from '../api.js';
import type { FrameRow } from './messages.js';

/** Frames of one name and direction kept between two messages, so that floods of data leave the rare ones visible. */
const mostOfAKind = 48;

/** The frames of one connection since the last message: all of them while they are few, then some of each kind. */
export class FrameSample {
  rows: FrameRow[] = [];
  /** Seen and not kept. */
  omitted = 0;
  readonly #connection: number;
  readonly #kinds: Map<string, number> = new Map();

  constructor(connection: number) {
    this.#connection = connection;
  }

  add({ direction, at, name, streamId, length, flags }: FrameEvent): void {
    const kind = direction === 'in' ? name : `>${name}`;
    const count = this.#kinds.get(kind) ?? 0;
    if (count >= mostOfAKind) {
      this.omitted++;
      return;
    }
    this.#kinds.set(kind, count + 1);
    this.rows.push([at, this.#connection, direction === 'in' ? 0 : 1, name, streamId, length, flags]);
  }

  clear(): void {
    if (this.rows.length > 0) this.rows = [];
    this.#kinds.clear();
    this.omitted = 0;
  }
}
