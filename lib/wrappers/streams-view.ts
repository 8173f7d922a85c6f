import type { Stream } from '../api.js';

/** The streams of a provider as its wrapper shows them: each that has been replaced by what it was replaced with. */
export class StreamsView implements ReadonlyMap<number, Stream> {
  readonly #inner: ReadonlyMap<number, Stream>;
  readonly #shown: (inner: Stream) => Stream;

  constructor(inner: ReadonlyMap<number, Stream>, shown: (inner: Stream) => Stream) {
    this.#inner = inner;
    this.#shown = shown;
  }

  get size(): number {
    return this.#inner.size;
  }

  has(id: number): boolean {
    return this.#inner.has(id);
  }

  get(id: number): Stream | undefined {
    const stream = this.#inner.get(id);
    return stream === undefined ? undefined : this.#shown(stream);
  }

  forEach(task: (stream: Stream, id: number, map: ReadonlyMap<number, Stream>) => void): void {
    for (const [id, stream] of this) task(stream, id, this);
  }

  keys(): MapIterator<number> {
    return this.#inner.keys();
  }

  *values(): MapIterator<Stream> {
    for (const stream of this.#inner.values()) yield this.#shown(stream);
  }

  *entries(): MapIterator<[number, Stream]> {
    for (const [id, stream] of this.#inner) yield [id, this.#shown(stream)];
  }

  [Symbol.iterator](): MapIterator<[number, Stream]> {
    return this.entries();
  }
}
