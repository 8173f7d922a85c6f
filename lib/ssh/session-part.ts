import { type Observable, Subject } from 'rxjs';
import type { Chunk, Stream } from '../api.js';
import { findBeneath } from '../core/beneath.js';
import { noBytes, toBytes } from '../core/bytes.js';
import { StreamError } from '../core/errors.js';
import { PacedQueue } from '../core/paced-queue.js';
import { roomFor } from '../core/room.js';
import type { CoreStream } from '../core/stream.js';

/** The size of a terminal: in characters, and in pixels if they are known. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
  readonly width?: number;
  readonly height?: number;
}

/** What a session (exec, shell, subsystem) has beyond a stream. */
export interface SshSession {
  /**
   * A client's: what the command writes to its standard error. One reader; while there is none, the first 64 KiB are
   * kept, and the rest is dropped.
   */
  readonly stderr$: Observable<Uint8Array>;
  /** A server's: writes to the standard error of the command. Resolves when the bytes are in the peer's window. */
  writeStderr(chunk: Chunk): Promise<void>;
  /** A client's: the terminal has another size now. */
  resize(size: TerminalSize): void;
  /** A server's: each new size of the client's terminal. The first is among the stream's headers. */
  readonly resizes$: Observable<TerminalSize>;
  /** A client's: sends a signal to the command, by its name without SIG. */
  signal(name: string): void;
  /** A server's: signals for the command. */
  readonly signals$: Observable<string>;
}

/** What a session asks of its connection. */
export interface SessionHost {
  /** Sends a channel request. */
  resize(size: TerminalSize): void;
  signal(name: string): void;
  /** Bytes of standard error for the peer, not longer than its window. */
  side(chunk: Uint8Array): void;
  /** The reader took bytes of the side. */
  released(bytes: number): void;
}

const sessions: WeakMap<Stream, SshSession> = new WeakMap();

/** The further parts of a stream that is a session, through operators too. Anything else has none, and throws. */
export function sessionOf(stream: Stream): SshSession {
  const session = findBeneath(sessions, stream);
  if (session !== undefined) return session;
  throw new TypeError(`${stream.label} is no session of SSH: it has no standard error, terminal or signals`);
}

const firstKeptBytes = 1024;

/**
 * Whoever wants to read standard error can come late. What comes before has its credit back at once, since few commands
 * have a reader for it, and is copied, since the memory that it came in is that of much else.
 */
class SideInbox extends PacedQueue<Uint8Array> {
  readonly #host: SessionHost;
  readonly #streamId: number;
  readonly #mostBytes: number;
  #kept: Uint8Array = noBytes;
  #keptBytes = 0;
  /** Something was dropped: what follows it would look as if it followed what is kept. */
  #isCut = false;
  /** What was kept, on its way to the reader: it is not to be credited again. */
  #credited: Uint8Array | null = null;

  constructor(host: SessionHost, streamId: number, mostBytes: number) {
    super();
    this.#host = host;
    this.#streamId = streamId;
    this.#mostBytes = mostBytes;
  }

  /** Bytes from the peer, already counted by the window. */
  receive(chunk: Uint8Array): void {
    if (this.hasReader) {
      this.push(chunk);
      return;
    }
    this.#keep(chunk);
    this.#host.released(chunk.length);
  }

  override end(): void {
    this.#deliverKept();
    super.end();
  }

  protected get what(): string {
    return `the standard error of stream ${this.#streamId}`;
  }

  protected get streamId(): number {
    return this.#streamId;
  }

  protected override released(chunk: Uint8Array): void {
    if (chunk === this.#credited) this.#credited = null;
    else this.#host.released(chunk.length);
  }

  /** Nobody wants what is here. */
  protected override abandoned(): void {
    for (const chunk of this.takeAll()) this.released(chunk);
  }

  protected override attached(): void {
    this.#isCut = false;
    this.#deliverKept();
  }

  #keep(chunk: Uint8Array): void {
    const room = this.#isCut ? 0 : this.#mostBytes - this.#keptBytes;
    const bytes = Math.min(room, chunk.length);
    this.#isCut = bytes < chunk.length;
    const end = this.#keptBytes + bytes;
    if (end > this.#kept.length) {
      const larger = new Uint8Array(Math.min(this.#mostBytes, Math.max(firstKeptBytes, 2 * end)));
      larger.set(this.#kept.subarray(0, this.#keptBytes));
      this.#kept = larger;
    }
    this.#kept.set(chunk.subarray(0, bytes), this.#keptBytes);
    this.#keptBytes = end;
  }

  #deliverKept(): void {
    if (this.#keptBytes === 0) return;
    this.#credited = this.#kept.subarray(0, this.#keptBytes);
    this.#kept = noBytes;
    this.#keptBytes = 0;
    this.push(this.#credited);
  }
}

const mostUnsaid = 16;

/** A session's side of a channel. */
export class SessionPart implements SshSession {
  /** The start request wants an answer. */
  wantsReply = false;
  /** The start request is answered. */
  isStarted = false;
  /** A start was refused, which a client may hear only after it has sent its input. */
  isRefused = false;
  /** What came of that input, and was dropped. */
  unheardBytes = 0;
  /** Environment and terminal, which come before the start: names and values in turn. */
  readonly before: string[] = [];
  environment = 0;
  /** `:exit-status` or `:exit-signal`, as names and values in turn. */
  exit: readonly string[] | null = null;
  readonly #host: SessionHost;
  readonly #sideBytes: number;
  #stream: CoreStream | null = null;
  #side: SideInbox | null = null;
  #sideOver = false;
  #resizes: Subject<TerminalSize> | null = null;
  #signals: Subject<string> | null = null;
  /** Sizes and signals for a session that is not started yet. */
  readonly #unsaid: (() => void)[] = [];

  constructor(host: SessionHost, sideBytes: number) {
    this.#host = host;
    this.#sideBytes = sideBytes;
  }

  /** Makes `sessionOf` know it. */
  attach(stream: CoreStream): void {
    this.#stream = stream;
    sessions.set(stream, this);
    stream.closed.then(
      () => this.#over(undefined),
      (error) => this.#over(error),
    );
  }

  /** Says it when the session is started; of very many, the last ones. */
  sayLater(say: () => void): void {
    if (this.#unsaid.push(say) > mostUnsaid) this.#unsaid.shift();
  }

  saySoFar(): void {
    for (const say of this.#unsaid.splice(0)) say();
  }

  get stderr$(): Observable<Uint8Array> {
    return this.#inbox.values$;
  }

  get #inbox(): SideInbox {
    this.#side ??= new SideInbox(this.#host, this.#stream?.id ?? 0, this.#sideBytes);
    if (this.#sideOver) this.#side.end();
    return this.#side;
  }

  async writeStderr(chunk: Chunk): Promise<void> {
    const stream = this.#stream as CoreStream;
    const bytes = toBytes(chunk);
    if (stream.origin === 'local')
      throw new TypeError('only the server of a session writes its standard error');
    if (stream.answer === 'none') stream.accept();
    const { outbox } = stream;
    for (let at = 0; at < bytes.length; ) {
      if (outbox.refusal !== undefined) throw outbox.refusal;
      const room = Math.min(outbox.window - outbox.queued, outbox.maxDataBytes, bytes.length - at);
      if (stream.answer !== 'written' || room <= 0 || !outbox.hasRoom(1)) {
        await (roomFor(outbox, 1) ?? new Promise<void>((resolve) => setImmediate(resolve)));
        continue;
      }
      outbox.window -= room;
      this.#host.side(bytes.subarray(at, at + room));
      at += room;
    }
  }

  resize(size: TerminalSize): void {
    this.#mustBeLocal('resize');
    this.#host.resize(size);
  }

  signal(name: string): void {
    this.#mustBeLocal('signal');
    this.#host.signal(name.startsWith('SIG') ? name.slice(3) : name);
  }

  get resizes$(): Observable<TerminalSize> {
    this.#resizes ??= new Subject();
    return this.#resizes;
  }

  get signals$(): Observable<string> {
    this.#signals ??= new Subject();
    return this.#signals;
  }

  // ------------------------------------------------------------------ from the peer

  resized(size: TerminalSize): void {
    this.#resizes?.next(size);
  }

  signalled(name: string): void {
    this.#signals?.next(name);
  }

  /** Bytes of standard error, counted against the window. */
  received(chunk: Uint8Array): void {
    this.#inbox.receive(chunk);
  }

  sideEnded(): void {
    this.#sideOver = true;
    this.#side?.end();
  }

  #mustBeLocal(verb: string): void {
    if (this.#stream?.origin !== 'local') throw new TypeError(`only the client of a session can ${verb} it`);
  }

  #over(error: unknown): void {
    if (error === undefined) this.sideEnded();
    else if (!this.#sideOver) {
      this.#inbox.fail(
        StreamError.is(error) ? error : new StreamError('closed', 'the session is over', { cause: error }),
      );
    }
    this.#resizes?.complete();
    this.#signals?.complete();
  }
}
