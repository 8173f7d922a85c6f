import type { Transport } from '../../lib/api.js';
import { type Actor, never, type Simulator } from './model-simulator.js';

/** How one direction of a link treats the bytes. */
export interface Discipline {
  /** How large the pieces are that arrive: as written, put together, cut anywhere, or single bytes. */
  readonly cut: 'whole' | 'joined' | 'random' | 'bytes';
  /** Pieces that arrive in one turn, at most. */
  readonly burst: number;
  /** Bytes on their way above which the writer is told to wait. */
  readonly capacityBytes: number;
  readonly latencyMs: number;
  /** Pieces of this turn still arrive after a pause. */
  readonly lateToPause: boolean;
  readonly weight: number;
}

/** Changes what is written on its way: for proving that the model notices. */
export type Sabotage = (batch: Uint8Array) => Uint8Array;

/** `reset` closes both ends with an error, `fin` as if the other end had ended, `silent` tells nobody. */
export type Cut = 'reset' | 'fin' | 'silent';

type Handlers = Parameters<Transport['start']>[0];

/** Two transports, joined by a link whose timing is the simulator's. Nothing is ever called back within a call. */
export class SimulatedLink {
  readonly ends: readonly [SimulatedTransport, SimulatedTransport];
  readonly #pipes: readonly [Pipe, Pipe];

  constructor(sim: Simulator, disciplines: readonly [Discipline, Discipline], sabotage?: Sabotage) {
    const ends = [new SimulatedTransport(), new SimulatedTransport()] as const;
    const pipes = [
      new Pipe(sim, disciplines[0], ends[0], ends[1], sabotage),
      new Pipe(sim, disciplines[1], ends[1], ends[0]),
    ] as const;
    ends[0].outgoing = pipes[0];
    ends[1].outgoing = pipes[1];
    this.ends = ends;
    this.#pipes = pipes;
    sim.actors.push(...pipes, ...ends);
  }

  /** Some of what is on its way still arrives. */
  cut(kind: Cut): void {
    for (const pipe of this.#pipes) pipe.cut(kind);
  }
}

class Pipe implements Actor {
  readonly weight: number;
  readonly #sim: Simulator;
  readonly #discipline: Discipline;
  readonly #from: SimulatedTransport;
  readonly #to: SimulatedTransport;
  readonly #sabotage: Sabotage | undefined;
  #chunks: { bytes: Uint8Array; readonly at: number }[] = [];
  #bytes = 0;
  /** What comes after the last chunk. */
  #tail: 'none' | 'end' | 'loss' | 'silence' = 'none';
  #needsDrain = false;
  /** A silent link may also never drain. */
  #jammed = false;

  constructor(
    sim: Simulator,
    discipline: Discipline,
    from: SimulatedTransport,
    to: SimulatedTransport,
    sabotage?: Sabotage,
  ) {
    this.#sim = sim;
    this.#discipline = discipline;
    this.weight = discipline.weight;
    this.#from = from;
    this.#to = to;
    this.#sabotage = sabotage;
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  write(chunks: readonly Uint8Array[]): boolean {
    const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0));
    let at = 0;
    for (const chunk of chunks) {
      whole.set(chunk, at);
      at += chunk.byteLength;
      // The transport owns what it was given: whoever still uses it, will notice.
      chunk.fill(0xdd);
    }
    if (this.#tail !== 'none' || this.#to.isClosed) return !this.#jammed;
    const bytes = this.#sabotage === undefined ? whole : this.#sabotage(whole);
    if (bytes.byteLength === 0) return true;
    this.#chunks.push({ bytes, at: this.#sim.now + this.#discipline.latencyMs });
    this.#bytes += bytes.byteLength;
    this.#needsDrain ||= this.#bytes > this.#discipline.capacityBytes;
    return !this.#needsDrain;
  }

  end(): void {
    if (this.#tail === 'none') this.#tail = 'end';
  }

  cut(kind: Cut): void {
    const { random } = this.#sim;
    this.#truncate(random.integer(0, this.#bytes));
    if (kind === 'silent') {
      this.#tail = 'silence';
      this.#jammed = random.oneIn(2);
    } else this.#tail = kind === 'fin' ? 'end' : 'loss';
  }

  /** The writer's end was destroyed: what it wrote may be lost, and the reader notices in a while. */
  lose(): void {
    const { random } = this.#sim;
    if (this.#tail === 'silence') return;
    if (random.oneIn(2)) this.#truncate(random.integer(0, this.#bytes));
    // Without an error only if nothing is left to be said in either direction.
    const isSilent = this.#to.hasEnded && this.#to.outgoing.isEmpty;
    if (this.#tail !== 'end' || !isSilent || random.oneIn(2)) this.#tail = 'loss';
  }

  readyAt(): number {
    if (this.#drainDue) return 0;
    const { isClosed, isStarted, isPaused, hasSeenEnd } = this.#to;
    if (isClosed || !isStarted) return never;
    if (isPaused) return this.#tail === 'loss' ? 0 : never;
    const first = this.#chunks[0];
    if (first !== undefined) return first.at;
    return this.#tail === 'loss' || (this.#tail === 'end' && !hasSeenEnd) ? 0 : never;
  }

  act(): void {
    const { random } = this.#sim;
    const to = this.#to;
    if (this.#drainDue && (to.isPaused || this.#chunks.length === 0 || random.oneIn(2))) {
      this.#needsDrain = false;
      this.#from.drained();
    } else if (to.isPaused || this.#chunks.length === 0) {
      if (this.#tail === 'loss') to.close(new Error('the other end was lost'));
      else if (this.#tail === 'end') to.ended();
    } else this.#deliver(random.integer(1, this.#discipline.burst));
  }

  get #drainDue(): boolean {
    if (!this.#needsDrain || this.#from.isClosed || this.#tail === 'silence') return false;
    return this.#bytes <= this.#discipline.capacityBytes >> 1;
  }

  #deliver(pieces: number): void {
    const to = this.#to;
    for (let count = 0; count < pieces; count++) {
      if (to.isClosed || (to.isPaused && !this.#discipline.lateToPause)) return;
      const first = this.#chunks[0];
      if (first === undefined || first.at > this.#sim.now) return;
      to.received(this.#take(first.bytes));
    }
  }

  #take(first: Uint8Array): Uint8Array {
    const { random } = this.#sim;
    const { cut } = this.#discipline;
    let piece = first;
    if (cut === 'joined') {
      piece = new Uint8Array(Buffer.concat(this.#chunks.map(({ bytes }) => bytes)));
      this.#chunks = [];
    } else {
      const length = first.byteLength;
      const most = random.oneIn(4) ? length : Math.min(length, 20);
      const bytes = cut === 'whole' ? length : cut === 'bytes' ? 1 : random.integer(1, most);
      piece = first.subarray(0, bytes);
      if (bytes === length) this.#chunks.shift();
      else (this.#chunks[0] as { bytes: Uint8Array }).bytes = first.subarray(bytes);
    }
    this.#bytes -= piece.byteLength;
    return piece;
  }

  #truncate(keep: number): void {
    let left = keep;
    this.#chunks = this.#chunks.filter((chunk) => {
      chunk.bytes = chunk.bytes.subarray(0, left);
      left -= chunk.bytes.byteLength;
      return chunk.bytes.byteLength > 0;
    });
    this.#bytes = keep;
  }
}

/** One end of the link. */
export class SimulatedTransport implements Transport, Actor {
  readonly weight = 3;
  outgoing!: Pipe;
  isPaused = false;
  isClosed = false;
  hasSeenEnd = false;
  hasEnded = false;
  #handlers: Handlers | null = null;

  #closing: { readonly error: unknown } | null = null;

  get isStarted(): boolean {
    return this.#handlers !== null;
  }

  start(handlers: Handlers): void {
    if (this.isStarted) throw new Error('start() is called once');
    this.#handlers = handlers;
  }

  write(chunks: readonly Uint8Array[]): boolean {
    return this.isClosed || this.hasEnded ? true : this.outgoing.write(chunks);
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  end(): void {
    if (this.isClosed || this.hasEnded) return;
    this.hasEnded = true;
    this.outgoing.end();
    this.#closeIfDone();
  }

  destroy(error?: unknown): void {
    if (this.isClosed) return;
    this.close(error);
    this.outgoing.lose();
  }

  readyAt(): number {
    return this.#closing === null ? never : 0;
  }

  act(): void {
    const closing = this.#closing;
    this.#closing = null;
    this.#handlers?.onClose(closing?.error);
  }

  // ---- from the pipes

  received(bytes: Uint8Array): void {
    this.#handlers?.onData(bytes);
  }

  drained(): void {
    this.#handlers?.onDrain();
  }

  ended(): void {
    this.hasSeenEnd = true;
    this.#handlers?.onEnd();
    this.#closeIfDone();
  }

  close(error: unknown): void {
    this.isClosed = true;
    this.#closing = { error };
  }

  #closeIfDone(): void {
    if (!this.isClosed && this.hasEnded && this.hasSeenEnd) this.close(undefined);
  }
}
