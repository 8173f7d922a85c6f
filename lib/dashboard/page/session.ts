import type { Tick } from '../messages.js';
import { type Link, listen } from './live.js';
import { Replay } from './replay.js';
import { Store } from './store.js';

/** Messages kept while the picture is held; after that it starts anew. */
const mostHeld = 600;

/** What the page shows: the live connections or a replay, held or not. */
export class Session {
  link: Link = 'connecting';
  isPaused = false;
  replay: Replay | null = null;
  /** What went wrong with a file. */
  error: string | null = null;
  readonly #live: Store = new Store();
  #replayed: Store = new Store();
  #held: Tick[] = [];
  #stopListening: (() => void) | null = null;
  readonly #listeners: Set<() => void> = new Set();
  #isAsked = false;

  /** What is to be shown now. */
  get store(): Store {
    return this.replay === null ? this.#live : this.#replayed;
  }

  start(): void {
    this.#stopListening ??= listen(
      (tick) => this.#heard(tick),
      (link) => {
        if (link === this.link) return;
        this.link = link;
        this.#changed();
      },
    );
  }

  /** `listener` is called once for each frame of the screen in which something has changed. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  pause(isPaused: boolean): void {
    this.isPaused = isPaused;
    if (!isPaused) {
      for (const tick of this.#held.splice(0)) this.#live.apply(tick);
      this.start();
    }
    this.#changed();
  }

  async replayFile(file: File): Promise<void> {
    try {
      const store = new Store();
      this.replay = new Replay(file.name, await file.text(), store);
      this.#replayed = store;
      this.error = null;
      this.#play();
    } catch (error) {
      this.error = error instanceof Error ? error.message : String(error);
    }
    this.#changed();
  }

  play(isPlaying: boolean): void {
    const { replay } = this;
    if (replay === null) return;
    if (isPlaying && replay.isOver) replay.seek(replay.from);
    replay.isPlaying = isPlaying;
    this.#play();
    this.#changed();
  }

  seek(at: number): void {
    this.replay?.seek(at);
    this.#changed();
  }

  setSpeed(speed: number): void {
    const { replay } = this;
    if (replay === null) return;
    replay.speed = speed > 0 ? speed : (replay.to - replay.from) / 10_000;
    this.#changed();
  }

  stopReplay(): void {
    this.replay = null;
    this.error = null;
    this.#changed();
  }

  #play(): void {
    const { replay } = this;
    let before = performance.now();
    const step = (): void => {
      if (replay === null || this.replay !== replay || !replay.isPlaying) return;
      const now = performance.now();
      replay.advance(now - before);
      before = now;
      this.#changed();
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  #heard(tick: Tick): void {
    if (!this.isPaused) this.#live.apply(tick);
    else if (this.#held.push(tick) > mostHeld) {
      // Whoever looks at a still picture for long sees the present when they go on.
      this.#held = [];
      this.#stopListening?.();
      this.#stopListening = null;
    }
    this.#changed();
  }

  #changed(): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    requestAnimationFrame(() => {
      this.#isAsked = false;
      for (const listener of this.#listeners) listener();
    });
  }
}
