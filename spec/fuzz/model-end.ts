import type { Stream, StreamHeaders, StreamState } from '../../lib/api.js';
import type { Direction } from './model-bytes.js';
import { otherSide, type Side, type StreamPair, type World } from './model-world.js';

/** What may follow each state; the end of a half comes with neither more nor less. */
const followers: Readonly<Record<StreamState, readonly StreamState[]>> = {
  opening: ['open', 'half-closed-local', 'half-closed-remote', 'reset'],
  open: ['half-closed-local', 'half-closed-remote', 'reset'],
  'half-closed-local': ['closed', 'reset'],
  'half-closed-remote': ['closed', 'reset'],
  closed: [],
  reset: [],
};

/** One end of a stream: what its application has done with it, and what it expects. */
export class StreamEnd {
  readonly world: World;
  readonly side: Side;
  readonly stream: Stream;
  readonly pair: StreamPair;
  readonly incoming: Direction;
  readonly outgoing: Direction;
  /** `idle` if somebody may come and read, `over` if nothing more can be read. */
  reader: 'idle' | 'busy' | 'over' = 'idle';
  /** `subscribed`: a second reader is told that the stream is locked. */
  isSubscribed = false;
  /** How the reading ended, if it has. */
  readEnd: 'end' | 'error' | 'left' | null = null;
  /** `busy` while a source sends at times of its own, `over` after the end was asked for. */
  writer: 'idle' | 'busy' | 'over' = 'idle';
  /** What the acceptor's application has said. */
  answer: 'none' | 'promised' | 'given';
  trailers: readonly (readonly [string, string])[] | null = null;
  replyHeaders: readonly (readonly [string, string])[] = [];
  /** The peer's end was seen before anything went wrong: all of the bytes must come out. */
  sawRemoteEnd = false;
  statesOver = false;

  constructor(world: World, side: Side, stream: Stream, pair: StreamPair) {
    this.world = world;
    this.side = side;
    this.stream = stream;
    this.pair = pair;
    this.outgoing = pair.directions[side];
    this.incoming = pair.directions[otherSide(side)];
    this.answer = pair.opener === side ? 'given' : 'none';
    if (world.plan.isObserved || world.random.oneIn(3)) this.#observe();
  }

  get name(): string {
    return `${this.side === 0 ? 'client' : 'server'}#${this.stream.id}`;
  }

  get peer(): StreamEnd | null {
    return this.pair.ends[otherSide(this.side)];
  }

  get isOver(): boolean {
    return this.stream.state === 'closed' || this.stream.state === 'reset';
  }

  say(what: string): void {
    this.world.sim.say(`${this.name} ${what}`);
  }

  fail(message: string): void {
    this.world.sim.fail(`${this.name}: ${message}`);
  }

  watch<T>(what: string, promise: Promise<T>): Promise<T> {
    return this.world.watch(`${this.name} ${what}`, promise, this);
  }

  /** The first read or write accepts. */
  use(): void {
    if (this.answer === 'none') this.answer = 'given';
  }

  // ---- reading

  /** Checks a chunk that came out. Whoever keeps it for itself makes it useless for everybody else. */
  take(chunk: Uint8Array, keeps = true): void {
    // What a read() was given before the reader left can still come.
    if (this.readEnd === 'end' || this.readEnd === 'error') {
      this.fail(`a chunk of ${chunk.byteLength} bytes after the ${this.readEnd}`);
    }
    if (chunk.byteLength === 0) this.fail('an empty chunk came out');
    const problem = this.incoming.consume(chunk);
    if (problem !== null) this.fail(problem);
    if (keeps) chunk.fill(0xee);
    this.world.impulse();
  }

  /** The stream says that all of it has come. */
  completed(): void {
    const { consumed, produced, ended } = this.incoming;
    this.say(`read to its end (${consumed} bytes)`);
    if (this.readEnd === 'end' || this.readEnd === 'error') this.fail(`an end after the ${this.readEnd}`);
    if (!ended) this.fail(`a false end after ${consumed} bytes: the sender has not ended`);
    else if (consumed !== produced) this.fail(`a false end after ${consumed} of ${produced} bytes`);
    // There may have been nothing left to stop.
    if (this.readEnd === null) this.#readOver('end');
    this.world.impulse();
  }

  failed(error: unknown): void {
    this.say(`reading failed: ${error}`);
    this.world.complaints.push({ what: `${this.name} reading`, error, end: this });
    // Whoever is told to stop may have been in the middle of something.
    if (this.readEnd === 'left') return;
    if (this.readEnd !== null) this.fail(`an error after the ${this.readEnd}: ${error}`);
    this.#readOver('error');
    this.world.impulse();
  }

  /** The reader leaves, and the sender is to learn of it. */
  left(): void {
    this.say(`stops reading (after ${this.incoming.consumed} bytes)`);
    this.pair.stopped[otherSide(this.side)] = true;
    this.#readOver('left');
  }

  #readOver(how: 'end' | 'error' | 'left'): void {
    this.reader = 'over';
    this.readEnd = how;
    this.isSubscribed = false;
  }

  // ---- looking

  #observe(): void {
    const { stream } = this;
    let state: StreamState | null = null;
    stream.state$.subscribe({
      next: (next) => {
        this.say(`is ${next}`);
        if (this.statesOver) this.fail(`state ${next} after the last`);
        if (state !== null && !followers[state].includes(next)) this.fail(`state ${next} after ${state}`);
        if (next !== stream.state) this.fail(`state$ says ${next}, state ${stream.state}`);
        if (next === 'half-closed-remote' || next === 'closed') this.sawRemoteEnd = true;
        state = next;
        if (stream.id !== 0) this.world.impulse();
      },
      error: (error) => this.fail(`state$ failed: ${error}`),
      complete: () => {
        if (state === null || followers[state].length > 0) this.fail(`state$ completes while ${state}`);
        this.statesOver = true;
      },
    });
    if (this.pair.opener === this.side) this.#expectReply();
    void this.watch('closed', stream.closed).catch(() => {});
    void this.watch('trailers', stream.trailers)
      .then((trailers) => this.checkTrailers(trailers))
      .catch(() => {});
  }

  #expectReply(): void {
    void this.watch('reply', this.stream.reply)
      .then((headers) => {
        const said = this.peer?.replyHeaders ?? [];
        if (JSON.stringify([...headers]) !== JSON.stringify(said)) this.fail('the reply has other headers');
      })
      .catch(() => {});
  }

  checkTrailers(trailers: StreamHeaders | undefined): void {
    if (this.readEnd === 'left' || this.pair.stopped[otherSide(this.side)]) return;
    const sent = this.peer?.trailers ?? null;
    const got = trailers === undefined ? null : [...trailers];
    if (JSON.stringify(got) !== JSON.stringify(sent)) this.fail(`other trailers: ${JSON.stringify(got)}`);
  }
}
