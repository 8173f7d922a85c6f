import type { Subscription } from 'rxjs';
import type { Stream } from '../../lib/api.js';
import { hold } from '../../lib/core/hold.js';
import { answer } from './model-program.js';
import { Deliberate, type Side, type World } from './model-world.js';

/** Takes the streams that the peer opens: by `accept$`, held now and then, or one by one. */
export class Acceptor {
  readonly #world: World;
  readonly #side: Side;
  #subscription: Subscription | null = null;
  #isAsking = false;

  constructor(world: World, side: Side) {
    this.#world = world;
    this.#side = side;
  }

  /** Changes something about how streams are taken. */
  change(): void {
    const { random } = this.#world;
    if (this.#isAsking) return;
    if (this.#subscription !== null) {
      if (random.oneIn(3)) this.#leave();
    } else if (random.oneIn(3)) this.#ask();
    else this.subscribe();
  }

  /** From here on, every stream is taken. */
  subscribe(): void {
    if (this.#subscription !== null || this.#isAsking) return;
    const { sim } = this.#world;
    this.#say('subscribes to accept$');
    let isOver = false;
    const subscription = this.#world.providers[this.#side].accept$.subscribe({
      next: (stream) => {
        if (isOver) sim.fail('accept$ gave a stream after its end');
        this.#arrived(stream);
        if (this.#world.random.oneIn(4) && !this.#world.isFinishing) this.#world.later(hold(), 20);
      },
      error: (error) => {
        isOver = true;
        this.#over(error);
      },
      complete: () => {
        isOver = true;
        this.#over(null);
      },
    });
    this.#subscription = subscription;
  }

  #leave(): void {
    this.#say('unsubscribes from accept$');
    this.#subscription?.unsubscribe();
    this.#subscription = null;
  }

  /** `accept()`, which may be given up. */
  #ask(): void {
    const world = this.#world;
    const leaving = new AbortController();
    const reason = new Deliberate('no time to accept');
    this.#isAsking = true;
    this.#say('accept()');
    world.watch('accept()', world.providers[this.#side].accept({ signal: leaving.signal })).then(
      (stream) => {
        this.#isAsking = false;
        if (stream === null) this.#over(null);
        else this.#arrived(stream);
      },
      (error: unknown) => {
        this.#isAsking = false;
        if (error !== reason) this.#over(error);
      },
    );
    world.later(() => leaving.abort(reason), 50);
  }

  #arrived(stream: Stream): void {
    const end = this.#world.arrived(this.#side, stream);
    if (end === null) return;
    if (this.#world.random.oneIn(2)) answer(this.#world, end);
    this.#world.impulse();
  }

  #over(error: unknown): void {
    const { sim, dead, closing } = this.#world;
    this.#say(error === null ? 'has accepted all' : `cannot accept: ${error}`);
    if (error === null && dead === null && !closing.includes(true))
      sim.fail('accept$ ended, and nobody has closed');
    if (error !== null && dead === null) sim.fail(`accept$ failed: ${error}`, error);
  }

  #say(what: string): void {
    this.#world.sim.say(`${this.#side === 0 ? 'client' : 'server'} ${what}`);
  }
}
