import type { Observable } from 'rxjs';
import { Observable as Rx, Subject } from 'rxjs';
import type {
  ByteSource,
  Chunk,
  HeadersInit,
  ResetCode,
  SendOptions,
  Stream,
  StreamHeaders,
  StreamState,
  StreamStats,
} from '../api.js';
import { StreamError } from './errors.js';
import { noHeaders } from './headers.js';
import { Inbox, type InboxOwner } from './inbox.js';
import { defaultUnpaced, Outbox, type OutboxOwner } from './outbox.js';
import { abortable, deferredSince, done, handled, isThenable, reject } from './promises.js';
import { heed } from './read-reset.js';
import { checkCode, codeOf } from './reset-code.js';
import type { Entry } from './scheduler.js';
import { checkSource, takeFrom } from './source.js';
import type { StreamExtras } from './stream-extras.js';
import type { StreamHost } from './stream-host.js';
import { isLocalOver, isOver, isRemoteOver, type StreamAction, transition } from './stream-state.js';
import { statsOf } from './stream-stats.js';
import { iterate, readableOf, writableOf } from './views.js';

/** How far the answer of an accepted stream is; `tried`: there will be none, and something of it may have been processed. */
type Answer = 'none' | 'promised' | 'tried' | 'ready' | 'written';

/** Everything about a stream that does not depend on its protocol. */
export class CoreStream implements Stream, Entry, InboxOwner, OutboxOwner {
  readonly id: number;
  readonly origin: 'local' | 'remote';
  readonly headers: StreamHeaders;
  readonly urgency: number;
  readonly openedAt: number;
  readonly inbox: Inbox;
  readonly outbox: Outbox;
  queuedAt = -1;
  /** The opening frame is on the wire, or came from it. */
  announced: boolean;
  answer: Answer = 'none';
  /** The code of a STOP that is to be sent. */
  stopDue: ResetCode | null = null;
  /** Told of a stall of the sending half; a resume is owed. */
  stalled = false;
  readStalled = false;
  /** The stream waits for its credit frame. */
  creditDue = false;
  /** When credit was last returned, in whole milliseconds from the opening: for the growth of the window. */
  creditedAfterMs = 0;
  /** Over, and read by nobody: what waits in it is no longer the connection's. */
  isLeftBehind = false;
  /** Discarded after `stop()`, where the wire has no STOP. */
  discarded = 0;
  #host: StreamHost;
  #state: StreamState = 'opening';
  #answered = false;
  #failure: unknown = undefined;
  #extras: StreamExtras | null = null;

  constructor(
    host: StreamHost,
    id: number,
    origin: 'local' | 'remote',
    headers: StreamHeaders,
    urgency: number,
    sendWindow: number,
  ) {
    const { limits } = host;
    this.#host = host;
    this.id = id;
    this.origin = origin;
    this.headers = headers;
    this.urgency = urgency;
    this.announced = origin === 'remote';
    this.openedAt = host.now();
    this.inbox = new Inbox(this, limits.windowBytes);
    this.outbox = new Outbox(this, sendWindow, limits.streamQueueBytes);
  }

  // ------------------------------------------------------------------ looking

  get label(): string {
    return this.#extras?.label ?? `${this.#host.wire.name}#${this.id}`;
  }

  set label(label: string) {
    this.#extra.label = label;
  }

  get state(): StreamState {
    return this.#state;
  }

  get state$(): Observable<StreamState> {
    return new Rx((subscriber) => {
      subscriber.next(this.#state);
      if (isOver(this.#state)) return subscriber.complete();
      this.#extra.states ??= new Subject();
      return this.#extra.states.subscribe(subscriber);
    });
  }

  get stats(): StreamStats {
    return statsOf(this, this.#host.transmitter.blockOf(this));
  }

  get reply(): Promise<StreamHeaders> {
    this.#extra.reply ??= deferredSince(this.#answered, this.replyHeaders, this.#failure);
    return this.#extra.reply.promise;
  }

  get trailers(): Promise<StreamHeaders | undefined> {
    const extra = this.#extra;
    const { isComplete, isStopped } = this.inbox;
    extra.trailers ??= deferredSince(isComplete || isStopped, extra.peerTrailers, this.#failure);
    return extra.trailers.promise;
  }

  get closed(): Promise<void> {
    const extra = this.#extra;
    extra.closed ??= deferredSince<void>(this.#state === 'closed', undefined, this.#failure);
    return extra.closed.promise;
  }

  /** The opener has its answer, or we gave it. */
  get isAnswered(): boolean {
    return this.#answered;
  }

  get isOver(): boolean {
    return isOver(this.#state);
  }

  get remoteOver(): boolean {
    return isRemoteOver(this.#state);
  }

  /** Makes `label` or a clean-up known before anything happens. */
  prepare(label: string | undefined, cleanUp: (() => void) | undefined): void {
    if (label !== undefined) this.#extra.label = label;
    if (cleanUp !== undefined) this.#extra.cleanUp = cleanUp;
  }

  /** To another connection, before anything of it was sent. */
  moveTo(host: StreamHost): void {
    this.#host = host;
  }

  // ------------------------------------------------------------------ answering

  accept(headers?: HeadersInit | PromiseLike<HeadersInit>): this {
    this.#mustBeRemote('accept');
    if (isThenable(headers)) {
      if (this.#mayAnswer()) {
        this.answer = 'promised';
        this.#host.wire.answersLater?.(this);
      }
      // Of a stream that is over, too: its promise may be rejected all the same.
      headers.then(
        (late) => this.#settleAnswer(late),
        (error: unknown) => this.#refuseFor(error),
      );
    } else {
      const reply = this.#host.toHeaders(headers, 'accept');
      if (this.#mayAnswer()) this.#answerWith(reply);
    }
    return this;
  }

  reject(code: ResetCode = 'refused', headers?: HeadersInit): void {
    this.#mustBeRemote('reject');
    checkCode(code);
    const reply = this.#host.toHeaders(headers, 'refuse');
    if (this.isOver) return;
    if (this.#answered) {
      throw new Error(
        `stream ${this.id} is accepted already, by accept() or a first read or write: use reset()`,
      );
    }
    this.#refuse(code, reply, undefined);
  }

  #mustBeRemote(verb: string): void {
    if (this.origin === 'local') throw new TypeError(`only the acceptor of a stream can ${verb} it`);
  }

  /** Whether there is somebody to answer. An answer in the making can still be replaced, one on its way cannot. */
  #mayAnswer(): boolean {
    if (this.isOver) return false;
    if (this.answer === 'none' || this.answer === 'ready') return true;
    throw new Error(`stream ${this.id} is answered already`);
  }

  #settleAnswer(late: HeadersInit): void {
    if (this.isOver || this.answer !== 'promised') return;
    try {
      this.#answerWith(this.#host.toHeaders(late, 'accept'));
    } catch (error) {
      this.#refuseFor(error);
    }
  }

  #answerWith(reply: StreamHeaders): void {
    this.answer = 'ready';
    this.#answer(reply);
    this.#host.transmitter.ready(this);
  }

  #refuseFor(error: unknown): void {
    if (this.isOver || this.answer !== 'promised') return;
    const headers = StreamError.is(error) ? error.headers : undefined;
    heed(this, error);
    this.#refuse(codeOf(error, 'refused'), headers ?? noHeaders, error);
  }

  #refuse(code: ResetCode, headers: StreamHeaders, cause: unknown): void {
    this.#host.sendRefusal(this, code, headers);
    const message = `stream ${this.id} was refused by us (${code})`;
    this.#fail(new StreamError('refused', message, { streamId: this.id, reset: code, cause }), code, false);
  }

  /** The first read or write of a remote stream accepts it. */
  #acceptByUse(): void {
    if (this.origin === 'remote' && this.answer === 'none' && !this.isOver) this.#answerWith(noHeaders);
  }

  /** The headers to put into the answering frame. */
  get replyHeaders(): StreamHeaders {
    return this.#extras?.replyHeaders ?? noHeaders;
  }

  // ------------------------------------------------------------------ receiving

  get data$(): Observable<Uint8Array> {
    return this.inbox.values$;
  }

  read(options?: { signal?: AbortSignal }): Promise<Uint8Array | null> {
    return handled(this.inbox.read(options?.signal));
  }

  get readable(): ReadableStream<Uint8Array> {
    this.#extra.readable ??= readableOf(this);
    return this.#extra.readable;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return iterate(this);
  }

  stop(code: ResetCode = 'cancel'): void {
    checkCode(code);
    if (!this.inbox.stop() || this.isOver) return;
    this.#extras?.trailers?.resolve(undefined);
    if (this.outbox.hasEnded) this.#move('local-end');
    if (!isRemoteOver(this.#state)) this.#host.stopped(this, code);
  }

  // ------------------------------------------------------------------ sending

  send(source: ByteSource, options: SendOptions = {}): Promise<void> {
    checkSource(source, options);
    this.#acceptByUse();
    return handled(this.#send(source, options));
  }

  async #send(source: ByteSource, options: SendOptions): Promise<void> {
    const { signal } = options;
    const isRefused = this.outbox.refusal !== undefined;
    let sent = done;
    try {
      // Said as soon as the source has ended: the end travels with the last bytes.
      await takeFrom(this.outbox, source, options, () => {
        sent = options.end === false ? this.outbox.sent() : this.end();
      });
      await abortable(sent, signal);
    } catch (error) {
      // What the stream itself failed with needs no second reset, nor what is said behind its end.
      if (!isRefused && !(this.outbox.hasFailed && error === this.outbox.error)) {
        if (signal?.aborted && error === signal.reason) this.reset('cancel', error);
        else this.error(error);
      }
      throw error;
    }
  }

  write(chunk: Chunk): Promise<void> {
    this.#acceptByUse();
    return this.outbox.write(chunk);
  }

  end(trailers?: HeadersInit): Promise<void> {
    const last = trailers === undefined ? null : this.#host.toHeaders(trailers, 'trailers');
    this.#acceptByUse();
    return this.outbox.end(last);
  }

  get writable(): WritableStream<Chunk> {
    this.#extra.writable ??= writableOf(this);
    return this.#extra.writable;
  }

  /** An Observer's: never throws. */
  next(chunk: Chunk): void {
    this.#acceptByUse();
    try {
      this.outbox.next(chunk, defaultUnpaced);
    } catch (error) {
      this.reset('internal-error', error);
    }
  }

  error(error: unknown): void {
    // A proxy's stream refused: this one can still be, and its opener is told why.
    if (StreamError.is(error) && error.code === 'refused') this.#refuseFor(error);
    heed(this, error);
    this.reset(codeOf(error, 'internal-error'), error);
  }

  complete(): void {
    void this.end();
  }

  // ------------------------------------------------------------------ ending

  reset(code: ResetCode = 'cancel', cause?: unknown): void {
    checkCode(code);
    if (this.isOver) return;
    const details = { streamId: this.id, reset: code, cause };
    const error = new StreamError('reset', `stream ${this.id} was reset by us (${code})`, details);
    this.#host.sendReset(this, code, '');
    this.#fail(error, code, false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!isLocalOver(this.#state) && !this.outbox.wantsEnd) return this.reset();
    this.stop();
    await this.closed.catch(() => {});
  }

  // ------------------------------------------------------------------ from the connection

  /** The peer answered. False if that was not its turn. */
  peerAnswered(headers: StreamHeaders): boolean {
    if (this.#answered || this.origin === 'remote') return false;
    this.outbox.isConfirmed = true;
    this.#answer(headers);
    this.#host.transmitter.ready(this);
    // Sources may have waited for this.
    this.outbox.settle();
    return true;
  }

  peerEnded(trailers?: StreamHeaders): void {
    if (trailers !== undefined) this.#extra.peerTrailers = trailers;
    this.inbox.end();
    this.#extras?.trailers?.resolve(trailers);
    this.#move('remote-end');
  }

  peerStopped(code: ResetCode, wireCode: number): void {
    const message = `stream ${this.id}: the peer reads no more (${code})`;
    const details = { streamId: this.id, remote: true, wireCode, reset: code };
    this.outbox.stopped(new StreamError('stopped', message, details));
  }

  /** Our end is on the wire. */
  localEnded(): void {
    this.outbox.ended();
    this.#move('local-end');
  }

  /** Ends both halves for a reason that came from outside. */
  fail(error: unknown, code: ResetCode, remote: boolean): void {
    if (!this.isOver) this.#fail(error, code, remote);
  }

  /** The connection is lost: bytes that are followed by their end stay readable. */
  lose(error: unknown): void {
    if (this.isOver) return;
    this.#failure = error;
    // First of all: whoever is told next may turn to this stream again.
    this.#state = 'reset';
    if (!this.inbox.hasEnded) this.inbox.fail(error);
    this.#finish(error, 'no-error', false);
  }

  // ------------------------------------------------------------------ from the halves

  inboxReleased(bytes: number): void {
    this.#host.crediting.released(this, bytes);
    this.#readOut();
  }

  inboxDropped(bytes: number): void {
    this.#host.dropped(this, bytes);
  }

  inboxAbandoned(): void {
    this.stop();
  }

  inboxAttached(): void {
    this.#acceptByUse();
  }

  inboxWaits(): void {
    this.#host.settleLater(this);
  }

  outboxReady(): void {
    this.#host.transmitter.ready(this);
  }

  outboxThirsty(): void {
    this.#host.transmitter.thirsty(this);
  }

  outboxQueued(bytes: number): void {
    this.#host.transmitter.queued(bytes);
  }

  outboxMayTake(bytes: number): boolean {
    return this.#host.transmitter.mayTake(this, bytes);
  }

  halfBroke(error: StreamError): void {
    const code = error.reset ?? 'overflow';
    if (!this.isOver) this.#host.sendReset(this, code, error.message);
    this.fail(error, code, false);
  }

  // ------------------------------------------------------------------ inside

  get #extra(): StreamExtras {
    this.#extras ??= {};
    return this.#extras;
  }

  #answer(headers: StreamHeaders): void {
    const first = !this.#answered;
    this.#answered = true;
    if (headers !== noHeaders) this.#extra.replyHeaders = headers;
    this.#extras?.reply?.resolve(headers);
    if (!first) return;
    this.#move('answer');
    if (!this.isOver) this.#host.tell('reply', this);
  }

  #move(action: StreamAction): void {
    const before = this.#state;
    const after = transition(before, action);
    if (after === undefined) return;
    this.#state = after;
    if (action !== 'answer') this.#host.tell('end', this);
    if (after !== before) this.#extras?.states?.next(after);
    if (after === 'closed') {
      this.#host.tell('close', this);
      this.#extras?.closed?.resolve();
      this.#retire();
    } else this.#readOut();
  }

  /** Where the wire gives us nothing to send, our half is over once all is read. */
  #readOut(): void {
    if (this.remoteOver && this.outbox.hasEnded && this.inbox.window.unread === 0) this.#move('local-end');
  }

  #fail(error: unknown, code: ResetCode, remote: boolean): void {
    this.#failure = error;
    this.#state = 'reset';
    // What the peer had sent to its end stays readable, whatever it does then.
    if (!remote || !this.inbox.hasEnded) this.inbox.fail(error);
    this.#finish(error, code, remote);
  }

  #finish(error: unknown, code: ResetCode, remote: boolean): void {
    const extras = this.#extras;
    if (extras?.reply) reject(extras.reply, error);
    if (extras?.trailers) reject(extras.trailers, error);
    if (extras?.closed) reject(extras.closed, error);
    this.outbox.fail(error);
    extras?.states?.next('reset');
    this.#host.events?.next({ type: 'reset', stream: this, at: this.#host.now(), remote, code });
    this.#retire();
  }

  #retire(): void {
    this.#host.over(this);
    const extras = this.#extras;
    extras?.states?.complete();
    extras?.cleanUp?.();
  }
}
