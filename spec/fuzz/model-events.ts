import type { FrameEvent, Provider, ProviderEvent, Stream } from '../../lib/api.js';
import type { Simulator } from './model-simulator.js';
import type { Side } from './model-world.js';

interface Seen {
  readonly types: string[];
  readonly stalls: Record<'send' | 'receive', boolean>;
  isOver: boolean;
}

/** Watches what a provider tells its observers: each stream's events must be a story that can be. */
export class Watcher {
  readonly frames: Record<'in' | 'out', FrameEvent[]> = { in: [], out: [] };
  readonly #sim: Simulator;
  readonly #who: string;
  readonly #streams: Map<Stream, Seen> = new Map();
  readonly #impulse: () => void;
  #isOver = false;

  constructor(sim: Simulator, side: Side, provider: Provider, impulse: () => void) {
    this.#sim = sim;
    this.#who = side === 0 ? 'client' : 'server';
    this.#impulse = impulse;
    provider.events$.subscribe({
      next: (event) => this.#see(event),
      error: (error) => sim.fail(`events$ failed: ${error}`),
      complete: () => {
        this.#isOver = true;
      },
    });
    provider.frames$.subscribe((frame) => this.frames[frame.direction].push(frame));
  }

  /** What is wrong at the end of the run. */
  problem(): string | null {
    if (!this.#isOver) return 'events$ did not complete';
    for (const [stream, { isOver, types }] of this.#streams) {
      if (!isOver) return `${stream.label} (${stream.state}) has no last event: ${types.join(', ')}`;
    }
    return null;
  }

  #see(event: ProviderEvent): void {
    if (this.#isOver) this.#fail(`an event after the last: ${event.type}`);
    if (event.type === 'ping' || event.type === 'goaway') return;
    const { stream, type } = event;
    // A stream that could not be opened has only its failure.
    if (stream.id === 0) return;
    let seen = this.#streams.get(stream);
    if (seen === undefined) {
      const first = stream.origin === 'local' ? 'open' : 'accept';
      // A stream can have ended, or failed, in the very frame that opened it.
      if (type !== first && stream.origin === 'local') this.#fail(`${stream.label} began with ${type}`);
      seen = { types: [], stalls: { send: false, receive: false }, isOver: false };
      this.#streams.set(stream, seen);
    }
    if (seen.isOver) this.#fail(`${stream.label}: ${type} after its last event`);
    seen.types.push(type);
    const count = seen.types.filter((other) => other === type).length;
    if (count > (type === 'end' ? 2 : 1) && type !== 'stall' && type !== 'resume') {
      this.#fail(`${stream.label}: ${type} for the ${count}. time`);
    }
    if (event.type === 'stall' || event.type === 'resume') {
      const stalls = event.type === 'stall';
      if (seen.stalls[event.side] === stalls) this.#fail(`${stream.label}: ${type} twice (${event.side})`);
      seen.stalls[event.side] = stalls;
    }
    if (type === 'close' || type === 'reset') {
      seen.isOver = true;
      const state = type === 'close' ? 'closed' : 'reset';
      if (stream.state !== state) this.#fail(`${stream.label}: ${type} while it is ${stream.state}`);
    }
    this.#impulse();
  }

  #fail(message: string): void {
    this.#sim.fail(`events$ of the ${this.#who}: ${message}`);
  }
}
