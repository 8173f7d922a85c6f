import type { HeadersInit, Stream } from '../api.js';
import type { Clock } from '../core/clock.js';
import { StreamError } from '../core/errors.js';
import { moveOpenings } from '../core/moving.js';
import type { Session } from '../core/session.js';
import type { CoreStream } from '../core/stream.js';
import { CarrierTransport } from './carrier.js';

/** Where a client asks a server to open its streams: the bodies of this POST are a connection with the roles swapped. */
export const REVERSE_PATH = '/.well-known/rxmux-reverse';

/** So long a server waits for the client to offer a reverse session, before its streams are refused. */
const graceMs = 2000;

/** A reverse session that ended sooner than this is not followed by another at once, but after as long a wait. */
const shortLifeMs = 1000;

const takesNone =
  'the client takes no streams: it has not said that it lets the server open them, as rxmux does and others do not, ' +
  'and it offers no reverse session, as rxmux does where a proxy is between and its `accept$` is listened to';

/** What a reverse session needs of the provider. */
export interface ReverseHost {
  readonly outer: Session;
  readonly clock: Clock;
  readonly role: 'client' | 'server';
  /** Makes the inner connection, with the client as its server. */
  connect(transport: CarrierTransport): Session;
  /** How the client asks for it; null if it does not, or not yet. */
  readonly offers: HeadersInit | null;
}

/** Whether a stream is the carrier of a reverse session, or was meant to be. */
export function isCarrier(stream: Stream): boolean {
  return stream.headers.get(':path') === REVERSE_PATH && stream.headers.get(':method') !== 'GET';
}

/**
 * The second way in which a server opens streams: where a proxy is between, or the peer does not know the setting, a
 * whole connection of HTTP/2 goes through the bodies of one POST of the client's, in which the roles are swapped.
 *
 *     unknown ── both ends have announced SERVER_OPENS ─────────────▶ direct
 *        └────── they have not ──▶ none ── POST, answered by 200 ──▶ nested ── its end ──▶ none
 */
export class Reverse {
  inner: Session | null = null;
  /** Null until the peer's SETTINGS have come. */
  direct: boolean | null = null;
  readonly #host: ReverseHost;
  #transport: CarrierTransport | null = null;
  #carrier: CoreStream | null = null;
  /** When the wait for the client began. */
  #since = 0;
  #cancel: (() => void) | null = null;
  /** The ids of streams go on where those of the last session ended. */
  #nextId = 2;
  /** The server does not know of reverse sessions. */
  #isFutile = false;

  constructor(host: ReverseHost) {
    this.#host = host;
  }

  /** The peer's SETTINGS have come. */
  agreed(direct: boolean): void {
    const { outer, role } = this.#host;
    this.direct = direct;
    if (direct) return;
    if (role === 'client') {
      this.offer();
      return;
    }
    this.#since = this.#host.clock.now();
    this.#nextId = outer.nextId;
    if (outer.streams.size === 0) return;
    const session = this.#begin();
    moveOpenings(outer, session);
    this.#wait();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }

  /** The connection goes away: so does the reverse session, or the offer of one that was not answered. */
  goAway(): void {
    if (this.inner === null) this.#carrier?.reset('cancel');
    else void this.inner.close();
  }

  // ------------------------------------------------------------------ the client

  /** Asks the server for a reverse session, if there is reason to. */
  offer(): void {
    const { outer, role, offers } = this.#host;
    if (role !== 'client' || this.direct !== false || offers === null || this.#isFutile) return;
    if (this.#carrier !== null || this.#cancel !== null) return;
    if (outer.ending.isOver || outer.ending.isGoingAway || outer.ending.peerIsGoingAway) return;
    const carrier = outer.newStream(offers) as CoreStream;
    this.#carrier = carrier;
    carrier.reply.then(
      (reply) => {
        if (reply.get(':status') === '200') this.#connect(carrier);
        else this.#giveUp(carrier);
      },
      () => this.#giveUp(carrier),
    );
  }

  #connect(carrier: CoreStream): void {
    if (carrier.isOver) return;
    this.#begin();
    this.#transport?.attach(carrier);
  }

  /** Any other answer means that there are no reverse sessions here. */
  #giveUp(carrier: CoreStream): void {
    this.#isFutile = true;
    this.#carrier = null;
    carrier.reset('cancel');
  }

  // ------------------------------------------------------------------ the server

  /** Where a new stream of the server's is to be opened. */
  get opener(): Session {
    const { outer, clock } = this.#host;
    if (this.inner !== null) return this.inner;
    if (this.direct !== false) return outer;
    const late = clock.now() - this.#since >= this.#graceMs;
    outer.wire.takesNone = late ? takesNone : null;
    if (late || outer.ending.isOver || outer.ending.isGoingAway || outer.ending.peerIsGoingAway) return outer;
    const session = this.#begin();
    this.#wait();
    return session;
  }

  /** The client's POST; refused if there is one already. */
  accept(carrier: CoreStream): void {
    if (this.direct !== false || this.#carrier !== null) {
      carrier.reject('refused', { ':status': '409' });
      return;
    }
    this.stop();
    this.#carrier = carrier;
    this.#host.outer.wire.takesNone = null;
    carrier.accept();
    if (this.inner === null) this.#begin();
    this.#transport?.attach(carrier);
  }

  get #graceMs(): number {
    const { handshakeMs } = this.#host.outer.limits;
    return handshakeMs > 0 ? Math.min(handshakeMs, graceMs) : graceMs;
  }

  #wait(): void {
    if (this.#cancel !== null) return;
    const left = this.#since + this.#graceMs - this.#host.clock.now();
    this.#cancel = this.#host.clock.after(Math.max(0, left), () => {
      this.#cancel = null;
      this.#refuseAll();
    });
  }

  #refuseAll(): void {
    const { inner } = this;
    if (inner === null) return;
    for (const stream of [...inner.streams.values()]) {
      const details = { streamId: stream.id, remote: true, reset: 'refused' } as const;
      stream.fail(new StreamError('refused', takesNone, details), 'refused', true);
    }
    inner.abort(new Error(takesNone));
  }

  // ------------------------------------------------------------------ both

  #begin(): Session {
    const transport = new CarrierTransport();
    const session = this.#host.connect(transport);
    const began = this.#host.clock.now();
    if (this.#host.role === 'server') session.nextId = this.#nextId;
    this.#transport = transport;
    this.inner = session;
    const ended = (): void => this.#ended(session, began);
    session.closed.then(ended, (error: unknown) => {
      ended();
      this.#blame(error);
    });
    return session;
  }

  #ended(session: Session, began: number): void {
    const { clock, outer } = this.#host;
    const carrier = this.#carrier;
    this.#nextId = session.nextId;
    this.inner = null;
    this.#transport = null;
    this.#carrier = null;
    // Its end may still be on the way; what is left of it after that is of no use.
    carrier?.stop();
    if (carrier !== null) void carrier.end();
    this.#since = clock.now();
    if (outer.ending.isOver || !session.isEstablished) return;
    if (this.#host.role === 'server') return;
    if (this.#since - began >= shortLifeMs) this.offer();
    else {
      this.#cancel = clock.after(shortLifeMs, () => {
        this.#cancel = null;
        this.offer();
      });
    }
  }

  /** What the peer breaks within is a fault of the connection: its next reverse session does not count from nothing. */
  #blame(error: unknown): void {
    const { outer } = this.#host;
    if (!StreamError.is(error) || !error.remote || error.code === 'closed' || error.code === 'timeout')
      return;
    try {
      outer.peer.fault('error');
    } catch (tooMuch) {
      outer.ending.fail(tooMuch as StreamError);
    }
  }
}
