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
  /** Kept of each name, by direction. */
  readonly #kept: readonly [Map<string, number>, Map<string, number>] = [new Map(), new Map()];

  constructor(connection: number) {
    this.#connection = connection;
  }

  add({ direction, at, name, streamId, length, flags }: FrameEvent): void {
    const way = direction === 'in' ? 0 : 1;
    const kept = this.#kept[way];
    const count = kept.get(name) ?? 0;
    if (count >= mostOfAKind) {
      this.omitted++;
      return;
    }
    kept.set(name, count + 1);
    this.rows.push([at, this.#connection, way, name, streamId, length, flags]);
  }

  clear(): void {
    if (this.rows.length > 0) this.rows = [];
    for (const kept of this.#kept) kept.clear();
    this.omitted = 0;
  }
}
