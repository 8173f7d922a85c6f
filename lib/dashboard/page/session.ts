import type { Tick } from '../messages.js';
import { type Link, listen } from './live.js';
import { Replay } from './replay.js';
import { Store } from './store.js';

/** Messages kept while the picture is held; after that it starts anew. */
const mostHeld = 600;

/** How long messages may be worked on before something else has its turn. */
const turnMs = 6;

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
  /** Heard and not yet taken, the first of them perhaps in part. */
  readonly #heardTicks: Tick[] = [];
  #steps: Iterator<void, void, void> | null = null;
  /** Gives a turn as soon as there is time; a timer would wait for a second while the page is hidden. */
  readonly #turns: MessageChannel = new MessageChannel();
  #isWorking = false;
  #stopListening: (() => void) | null = null;
  readonly #listeners: Set<() => void> = new Set();
  /** Those that have not been told of the latest. */
  readonly #waiting: Set<() => void> = new Set();
  #isAsked = false;

  constructor() {
    this.#turns.port1.onmessage = () => this.#work();
  }

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

  /** When something has changed, listeners are called one after the other, each in a frame of its own. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
      this.#waiting.delete(listener);
    };
  }

  pause(isPaused: boolean): void {
    this.isPaused = isPaused;
    if (!isPaused) {
      for (const tick of this.#held.splice(0)) this.#take(tick);
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
    if (!this.isPaused) this.#take(tick);
    else if (this.#held.push(tick) > mostHeld) {
      // Whoever looks at a still picture for long sees the present when they go on.
      this.#held = [];
      this.#stopListening?.();
      this.#stopListening = null;
    }
  }

  #take(tick: Tick): void {
    this.#heardTicks.push(tick);
    if (this.#isWorking) return;
    this.#isWorking = true;
    this.#turns.port2.postMessage(null);
  }

  #work(): void {
    const until = performance.now() + turnMs;
    while (performance.now() < until) {
      if (this.#steps === null) {
        const tick = this.#heardTicks.shift();
        if (tick === undefined) {
          this.#isWorking = false;
          return;
        }
        this.#steps = this.#live.steps(tick);
      }
      if (!this.#steps.next().done) continue;
      this.#steps = null;
      this.#changed();
    }
    this.#turns.port2.postMessage(null);
  }

  #changed(): void {
    for (const listener of this.#listeners) this.#waiting.add(listener);
    this.#tell();
  }

  #tell(): void {
    if (this.#isAsked || this.#waiting.size === 0) return;
    this.#isAsked = true;
    requestAnimationFrame(() => {
      this.#isAsked = false;
      const [listener] = this.#waiting;
      if (listener === undefined) return;
      this.#waiting.delete(listener);
      listener();
      this.#tell();
    });
  }
}
