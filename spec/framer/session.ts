import type { Observable } from 'rxjs';
import type { Limits, Provider, ProviderEvent, Stream } from '../../lib/api.js';
import type { SessionOptions } from '../../lib/core/session.js';
import { framer } from '../../lib/framer/index.js';
import { ManualClock } from '../support/manual-clock.js';
import { ScriptedTransport } from '../support/scripted-transport.js';
import { join, toHex, utf8 } from './bytes.js';

/** How the transport goes away: an error at both ends, the end of the peer's bytes, or nothing at all. */
export type Death = 'error' | 'end' | 'silence';

/** Where it goes away: in front of byte `at` of those that this end sends. */
export interface Cut {
  readonly from: 'client' | 'server';
  readonly at: number;
  readonly how: Death;
}

/** Two transports that carry bytes to each other, one batch a turn, up to a cut. */
class Link {
  readonly client: ScriptedTransport = new ScriptedTransport();
  readonly server: ScriptedTransport = new ScriptedTransport();
  readonly sent: { client: Uint8Array[]; server: Uint8Array[] } = { client: [], server: [] };
  isCut = false;
  readonly #cut: Cut | undefined;
  readonly #carried = { client: 0, server: 0 };

  constructor(cut: Cut | undefined) {
    this.#cut = cut;
    this.client.onWrite = (chunk) => this.#carry('client', this.server, chunk);
    this.server.onWrite = (chunk) => this.#carry('server', this.client, chunk);
    for (const [one, other] of [
      [this.client, this.server],
      [this.server, this.client],
    ] as const) {
      one.answersEnd = false;
      const end = one.end.bind(one);
      one.end = () => {
        if (one.ended) return;
        end();
        setImmediate(() => {
          if (this.isCut) return one.close();
          other.feedEnd();
          if (other.ended) setImmediate(() => [one, other].map((transport) => transport.close()));
          return undefined;
        });
      };
      const destroy = one.destroy.bind(one);
      one.destroy = (error) => {
        destroy(error);
        if (!this.isCut) setImmediate(() => other.close());
      };
    }
  }

  #carry(from: 'client' | 'server', to: ScriptedTransport, chunk: Uint8Array): void {
    this.sent[from].push(chunk);
    setImmediate(() => {
      if (this.isCut) return;
      const cut = this.#cut;
      const room = cut?.from === from ? cut.at - this.#carried[from] : Number.POSITIVE_INFINITY;
      this.#carried[from] += chunk.byteLength;
      if (room > 0) to.feed(chunk.subarray(0, room));
      if (room < chunk.byteLength) this.#die(to, cut?.how ?? 'error');
    });
  }

  #die(receiver: ScriptedTransport, how: Death): void {
    this.isCut = true;
    const sender = receiver === this.client ? this.server : this.client;
    if (how === 'silence') return;
    if (how === 'end') receiver.feedEnd();
    else receiver.close(new Error('the connection was cut'));
    sender.close(new Error('the connection was cut'));
  }
}

/** A promise or an observable that somebody waits for. */
export interface Wait {
  readonly what: string;
  state: 'pending' | 'done' | 'failed';
  value: unknown;
}

/** One direction of a stream. */
export interface Half {
  readonly what: string;
  /** All that the sender has to send; the reader must get this, or a beginning of it and an error. */
  readonly planned: Uint8Array;
  /** Whether the sender ends it, or a reset does. */
  readonly ends: boolean;
  readonly plannedTrailers: string;
  got: Uint8Array[];
  result: 'pending' | 'end' | 'error';
  trailers: string | undefined;
}

const clientPlan: Record<string, { send: string; ends: boolean; trailers?: Record<string, string> }> = {
  echo: { send: 'the same again, please', ends: true },
  source: { send: 'as much as there is, please', ends: true },
  reset: { send: 'until you have had enough', ends: false },
  refuse: { send: 'in vain', ends: false },
  stop: { send: 'nobody reads this to its end', ends: false },
  back: { send: 'answered: an opening of the server', ends: true, trailers: { 'x-count': '7' } },
  gone: { send: 'said before it was gone', ends: false },
};

const serverPlan: typeof clientPlan = {
  echo: { send: 'the same again, please', ends: true, trailers: { 'x-count': '22', 'x-two': '2' } },
  source: { send: 'a source of the server, which is a little longer than the others', ends: true },
  reset: { send: 'before', ends: false },
  refuse: { send: '', ends: false },
  stop: { send: 'stopped, but not silent', ends: true },
  back: { send: 'an opening of the server', ends: true },
  gone: { send: 'here and gone', ends: false },
};

/** A session of several streams both ways, and what everybody who took part in it has seen. */
export class Session {
  readonly clock: ManualClock = new ManualClock();
  readonly halves: Half[] = [];
  readonly waits: Wait[] = [];
  readonly client: Provider;
  readonly server: Provider;
  readonly events: ProviderEvent[] = [];
  readonly #link: Link;

  constructor(cut?: Cut, limits: Partial<Limits> = {}) {
    this.#link = new Link(cut);
    const end = (role: 'client' | 'server'): Provider => {
      const options: SessionOptions = { role, limits, clock: this.clock };
      const provider = framer(this.#link[role], options);
      this.#wait(`closed of the ${role}`, provider.closed);
      this.#watch(`events$ of the ${role}`, provider.events$, (event) => this.events.push(event));
      this.#watch(`frames$ of the ${role}`, provider.frames$);
      return provider;
    };
    this.client = end('client');
    this.server = end('server');
    this.#watch('accept$ of the server', this.server.accept$, (stream) => this.#serve(stream));
    this.#watch('accept$ of the client', this.client.accept$, (stream) => this.#serveBack(stream));
    this.#run();
  }

  /** What each end has written. */
  get recording(): { client: Uint8Array; server: Uint8Array } {
    return { client: join(...this.#link.sent.client), server: join(...this.#link.sent.server) };
  }

  get wasCut(): boolean {
    return this.#link.isCut;
  }

  get pending(): string[] {
    return [
      ...this.waits.filter(({ state }) => state === 'pending').map(({ what }) => what),
      ...this.halves.filter(({ result }) => result === 'pending').map(({ what }) => `data of ${what}`),
      ...(this.clock.pending > 0 ? [`${this.clock.pending} timers`] : []),
      ...(this.client.streams.size > 0 ? ['streams of the client'] : []),
      ...(this.server.streams.size > 0 ? ['streams of the server'] : []),
    ];
  }

  /** Lets the session go on until nothing is waited for, or until nothing happens any more. */
  async settle(turns: number): Promise<void> {
    for (let turn = 0; turn < turns && this.pending.length > 0; turn++) await new Promise(setImmediate);
  }

  #run(): void {
    this.#wait('ping of the client', this.client.ping());
    this.#wait('ping of the server', this.server.ping());
    const streams = ['echo', 'source', 'reset', 'refuse', 'stop'].map((op) => {
      const stream = this.client.newStream([
        ['op', op],
        ['x-n', '1'],
        ['x-n', '2'],
      ]);
      void this.#reading(`client ${op}`, stream, serverPlan[op]);
      const { send, ends } = clientPlan[op] as (typeof clientPlan)[string];
      if (op === 'source') {
        stream.reply.then(
          () => this.#sendAtOnce(`request of ${op}`, stream, send),
          () => {},
        );
      } else if (ends) this.#wait(`send of ${op}`, stream.send([send.slice(0, 9), send.slice(9)]));
      else this.#wait(`write of ${op}`, stream.write(send));
      return stream.closed.catch(() => {});
    });
    for (const op of ['back', 'gone']) {
      const stream = this.server.newStream({ op });
      void this.#reading(`server ${op}`, stream, clientPlan[op]);
      if (op === 'back') this.#wait(`send of ${op}`, stream.send(serverPlan[op]?.send ?? ''));
      else {
        this.#wait(`write of ${op}`, stream.write(serverPlan[op]?.send ?? ''));
        stream.reply.then(
          () => stream.reset(4711),
          () => {},
        );
      }
      streams.push(stream.closed.catch(() => {}));
    }
    void Promise.all(streams).then(() => this.#wait('close', this.client.close()));
  }

  /** What the server does with the client's streams. */
  #serve(stream: Stream): void {
    const op = stream.headers.get('op') ?? '';
    if (op === 'refuse') {
      this.#wait(`closed of the refused`, stream.closed);
      stream.reject(1234, { 'x-why': 'test' });
      return;
    }
    const { send, trailers } = serverPlan[op] as (typeof serverPlan)[string];
    stream.accept({ 'x-served': op });
    if (op === 'stop') {
      this.#wait(
        'first read of the stopped',
        stream.read().then(() => stream.stop('cancel')),
      );
      this.#wait('send of the stopped', stream.send(send));
      this.#wait('closed of the stopped', stream.closed);
      return;
    }
    const half = this.#reading(`server ${op}`, stream, clientPlan[op]);
    if (op === 'source') {
      void half.then((ended) => ended && this.#sendAtOnce('answer of the source', stream, send));
    } else if (op === 'reset') {
      this.#wait('write before the reset', stream.write(send));
      void half.then(() => stream.reset(300));
    } else {
      // An echo, of what arrived and no more.
      void half.then((ended) => {
        if (!ended) return;
        this.#wait('echo', stream.send('the same again, please', { end: false }));
        this.#wait('end of the echo', stream.end(trailers));
      });
    }
  }

  /** What the client does with the server's streams. */
  #serveBack(stream: Stream): void {
    const op = stream.headers.get('op') ?? '';
    const { send, ends, trailers } = clientPlan[op] as (typeof clientPlan)[string];
    stream.accept();
    void this.#reading(`client ${op}`, stream, serverPlan[op]);
    this.#wait(`answer to ${op}`, stream.write(send));
    if (ends) this.#wait(`end of ${op}`, stream.end(trailers));
  }

  /** One DATA frame with the end in it, so that a cut can be between its bytes and their end. */
  #sendAtOnce(what: string, stream: Stream, text: string): void {
    this.#wait(`${what}`, stream.write(text));
    this.#wait(`end of ${what}`, stream.end());
  }

  /**
   * Reads a stream to its end, and follows all that it promises. Resolves when the first bytes are there if the peer
   * does not end its half, else at the end; with whether it came.
   */
  #reading(
    what: string,
    stream: Stream,
    plan: { send: string; ends: boolean; trailers?: Record<string, string> } | undefined,
  ): Promise<boolean> {
    const half: Half = {
      what,
      planned: utf8(plan?.send ?? ''),
      ends: plan?.ends ?? false,
      plannedTrailers: JSON.stringify(plan?.trailers),
      got: [],
      result: 'pending',
      trailers: undefined,
    };
    this.halves.push(half);
    this.#wait(`reply of ${what}`, stream.reply);
    this.#wait(`closed of ${what}`, stream.closed);
    this.#watch(`state$ of ${what}`, stream.state$);
    this.#wait(
      `trailers of ${what}`,
      stream.trailers.then((trailers) => {
        half.trailers = JSON.stringify(trailers);
      }),
    );
    return new Promise((resolve) => {
      stream.data$.subscribe({
        next: (chunk) => {
          half.got.push(chunk);
          if (!half.ends) resolve(true);
        },
        error: () => {
          half.result = 'error';
          resolve(false);
        },
        complete: () => {
          half.result = 'end';
          resolve(true);
        },
      });
    });
  }

  #wait(what: string, promise: PromiseLike<unknown>): void {
    const wait: Wait = { what, state: 'pending', value: undefined };
    this.waits.push(wait);
    promise.then(
      (value) => {
        wait.state = 'done';
        wait.value = value;
      },
      (error: unknown) => {
        wait.state = 'failed';
        wait.value = error;
      },
    );
  }

  #watch<V>(what: string, source: Observable<V>, next: (value: V) => void = () => {}): void {
    const wait: Wait = { what, state: 'pending', value: undefined };
    this.waits.push(wait);
    source.subscribe({
      next,
      error: (error: unknown) => {
        wait.state = 'failed';
        wait.value = error;
      },
      complete: () => {
        wait.state = 'done';
      },
    });
  }
}

/** The bytes of a whole session, by who wrote them. */
export async function recordSession(): Promise<{ client: Uint8Array; server: Uint8Array }> {
  const session = new Session();
  await session.settle(200);
  expect(session.pending).toEqual([]);
  return session.recording;
}

/** What is wrong with what a reader got; undefined if nothing is. */
export function falsehood({
  what,
  planned,
  ends,
  plannedTrailers,
  got,
  result,
  trailers,
}: Half): string | undefined {
  const bytes = join(...got);
  const wanted = toHex(planned);
  const have = toHex(bytes);
  if (!wanted.startsWith(have)) return `${what} got other bytes: ${have} for ${wanted}`;
  if (trailers !== undefined && trailers !== plannedTrailers) return `${what} got the trailers ${trailers}`;
  if (result !== 'end') return undefined;
  if (!ends) return `${what} ended, and should have failed`;
  if (have !== wanted) return `${what} ended after ${bytes.byteLength} bytes of ${planned.byteLength}`;
  if (trailers !== plannedTrailers) return `${what} ended with the trailers ${trailers}`;
  return undefined;
}
