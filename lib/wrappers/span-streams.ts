import type { Stream } from '../api.js';
import type { Member } from './span-member.js';

/** The streams of every member, each under its id in the span. */
export class SpanStreams implements ReadonlyMap<number, Stream> {
  readonly #members: () => Iterable<Member>;
  readonly #shown: (stream: Stream, member: Member) => Stream;

  constructor(members: () => Iterable<Member>, shown: (stream: Stream, member: Member) => Stream) {
    this.#members = members;
    this.#shown = shown;
  }

  get size(): number {
    let size = 0;
    for (const { provider } of this.#members()) size += provider.streams.size;
    return size;
  }

  has(id: number): boolean {
    return this.get(id) !== undefined;
  }

  /** A stream that went to another connection has the id of its first one: nothing but a search finds it. */
  get(id: number): Stream | undefined {
    for (const [other, stream] of this) if (other === id) return stream;
    return undefined;
  }

  forEach(task: (stream: Stream, id: number, map: ReadonlyMap<number, Stream>) => void): void {
    for (const [id, stream] of this) task(stream, id, this);
  }

  *keys(): MapIterator<number> {
    for (const stream of this.values()) yield stream.id;
  }

  *values(): MapIterator<Stream> {
    for (const member of this.#members()) {
      for (const stream of member.provider.streams.values()) yield this.#shown(stream, member);
    }
  }

  *entries(): MapIterator<[number, Stream]> {
    for (const stream of this.values()) yield [stream.id, stream];
  }

  [Symbol.iterator](): MapIterator<[number, Stream]> {
    return this.entries();
  }
}
