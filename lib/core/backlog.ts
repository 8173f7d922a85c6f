import { PacedQueue } from './paced-queue.js';

/** Accepted streams, or connections, that wait for whoever takes them. Leaving pauses; a later reader goes on. */
export class Backlog<T> extends PacedQueue<T> {
  protected readonly what: string;
  protected readonly streamId: undefined = undefined;

  constructor(what: string) {
    super();
    this.what = what;
  }

  protected override released(): void {}
  protected override abandoned(): void {}
  protected override attached(): void {}
}
