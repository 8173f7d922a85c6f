import type { Subscription } from 'rxjs';
import type { FrameEvent, Provider, ProviderEvent, Stream } from '../api.js';
import type { Redactor } from '../wrappers/redact.js';
import { FrameSample } from './frame-sample.js';
import { blocks, type ConnectionRow, type EventRow, streamStates, unlimited } from './messages.js';
import { cut, type Headers, mostOfStream, type Shown, shownOf, sizeOf } from './shown.js';

/** What is kept of a stream. */
export interface WatchedStream {
  /** Unique on this dashboard; a protocol may use its own ids again. */
  readonly key: number;
  readonly connection: number;
  readonly id: number;
  readonly origin: 'local' | 'remote';
  readonly openedAt: number;
  /** Null once it is over: what is over must not keep its bytes alive. */
  stream: Stream | null;
  /** What was last said of it. */
  label: string;
  /** What it was opened with; empty where `shown` is all that is kept. */
  headers: Headers;
  /** What is kept once it is over, if it had more than can be shown. */
  shown: Shown | null;
  /** Of what is kept once it is over, in characters. */
  size: number;
  figures: readonly number[];
  /** The pages have its row. */
  isAnnounced: boolean;
  /** Its row has to be sent, again if need be. */
  isDue: boolean;
}

/** Streams that are over and still listed, for a page opened later. */
const mostEnded = 256;
/** And so much of their labels and headers, in characters. */
const mostEndedSize = 256 << 10;
/** Lifecycle events kept between two messages; beyond that they are counted. */
const mostEvents = 4000;
/** Streams that ended between two messages and are told one by one; beyond that they are counted. */
const mostJustEnded = 1000;

/** What the hub gives all connections. */
export interface WatchContext {
  nextKey(): number;
  readonly redact: Redactor;
}

/** Looks at one provider through `events$`, `frames$` and `stats`, and keeps what the page asks for. */
export class WatchedConnection {
  readonly id: number;
  readonly provider: Provider;
  readonly live: Map<number, WatchedStream> = new Map();
  readonly ended: WatchedStream[] = [];
  /** Since the message before. */
  events: EventRow[] = [];
  justEnded: WatchedStream[] = [];
  omittedEvents = 0;
  omittedStreams = 0;
  readonly frames: FrameSample;
  readonly #name: string | undefined;
  readonly #context: WatchContext;
  readonly #subscription: Subscription;
  #frameSubscription: Subscription | null = null;
  /** Nobody reads events and rows while no page is open. */
  #isRead = false;
  #state: ConnectionRow['state'] = 'open';
  #error: string | undefined;
  #opened = 0;
  #resets = 0;
  #endedSize = 0;
  #endedIn = 0;
  #endedOut = 0;
  #rtt: number | null = null;
  #said = '';

  constructor(id: number, provider: Provider, name: string | undefined, context: WatchContext) {
    this.id = id;
    this.provider = provider;
    this.#name = name;
    this.#context = context;
    this.frames = new FrameSample(id);
    for (const stream of provider.streams.values()) this.#add(stream);
    this.#subscription = provider.events$.subscribe({ next: (event) => this.#see(event), error: () => {} });
    provider.closed.then(
      () => this.#over('closed', undefined),
      (error: unknown) => this.#over('failed', cut(context.redact(messageOf(error)))),
    );
  }

  get isOver(): boolean {
    return this.#state === 'closed' || this.#state === 'failed';
  }

  /**
   * Servers of gRPC end the connections of clients that ping without need (`too_many_pings`); what a span of several
   * protocols leads to may be one.
   */
  get isPingable(): boolean {
    const { protocol, role } = this.provider.info;
    return role === 'server' || (protocol !== 'http2' && protocol !== 'span');
  }

  /** A page has opened, or the last one has gone. Frames are looked at only while there is one. */
  read(isRead: boolean): void {
    if (isRead === this.#isRead) return;
    this.#isRead = isRead;
    this.forgetNews();
    this.#frameSubscription?.unsubscribe();
    this.#frameSubscription = isRead
      ? this.provider.frames$.subscribe({
          next: (frame: FrameEvent) => this.frames.add(frame),
          error: () => {},
        })
      : null;
  }

  /** The message is made: what comes now belongs to the next one. */
  forgetNews(): void {
    if (this.events.length > 0) this.events = [];
    if (this.justEnded.length > 0) this.justEnded = [];
    this.omittedEvents = 0;
    this.omittedStreams = 0;
    this.frames.clear();
  }

  /** Measures a round trip, where the protocol can. It shows as an event. */
  ping(): void {
    if (this.provider.info.features.ping && this.#state === 'open') this.provider.ping().catch(() => {});
  }

  /** Null if nothing has changed since it was last asked for; `isWhole` gives it in any case. */
  row(isWhole: boolean): ConnectionRow | null {
    const { info } = this.provider;
    let bytesIn = this.#endedIn;
    let bytesOut = this.#endedOut;
    for (const { figures } of this.live.values()) {
      bytesIn += figures[2] ?? 0;
      bytesOut += figures[3] ?? 0;
    }
    const said = `${this.#state} ${this.#opened} ${this.live.size} ${this.#resets} ${bytesIn} ${bytesOut} ${this.#rtt}`;
    if (!isWhole && said === this.#said) return null;
    this.#said = said;
    return {
      id: this.id,
      ...(this.#name === undefined ? {} : { name: this.#name }),
      protocol: info.protocol,
      role: info.role,
      ...(info.local === undefined ? {} : { local: info.local }),
      ...(info.remote === undefined ? {} : { remote: info.remote }),
      features: info.features,
      state: this.#state,
      ...(this.#error === undefined ? {} : { error: this.#error }),
      opened: this.#opened,
      live: this.live.size,
      resets: this.#resets,
      bytesIn,
      bytesOut,
      rtt: this.#rtt,
    };
  }

  stop(): void {
    this.#subscription.unsubscribe();
    this.#frameSubscription?.unsubscribe();
    this.live.clear();
  }

  #see(event: ProviderEvent): void {
    switch (event.type) {
      case 'open':
      case 'accept': {
        const { key } = this.#add(event.stream);
        this.#tell([event.at, event.type, this.id, key, '']);
        break;
      }
      case 'reply':
      case 'end':
        this.#tell([event.at, event.type, this.id, this.#keyOf(event.stream), event.stream.state]);
        break;
      case 'stall':
      case 'resume':
        this.#tell([event.at, event.type, this.id, this.#keyOf(event.stream), event.side]);
        break;
      case 'close':
        this.#tell([event.at, 'close', this.id, this.#keyOf(event.stream), '']);
        this.#end(event.stream);
        break;
      case 'reset': {
        const detail = `${event.code} ${event.remote ? 'by the peer' : 'by us'}`;
        this.#resets++;
        this.#tell([event.at, 'reset', this.id, this.#keyOf(event.stream), detail]);
        this.#end(event.stream);
        break;
      }
      case 'ping':
        this.#rtt = event.rtt;
        this.#tell([event.at, 'ping', this.id, 0, String(event.rtt)]);
        break;
      case 'goaway':
        if (this.#state === 'open') this.#state = 'going-away';
        this.#tell([event.at, 'goaway', this.id, 0, event.remote ? 'by the peer' : 'by us']);
        break;
    }
  }

  #tell(event: EventRow): void {
    if (!this.#isRead) return;
    if (this.events.length < mostEvents) this.events.push(event);
    else this.omittedEvents++;
  }

  #keyOf(stream: Stream): number {
    return this.live.get(stream.id)?.key ?? 0;
  }

  #add(stream: Stream): WatchedStream {
    const { id, origin, headers } = stream;
    const watched: WatchedStream = {
      key: this.#context.nextKey(),
      connection: this.id,
      id,
      origin,
      openedAt: stream.stats.openedAt,
      stream,
      label: '',
      headers,
      shown: null,
      size: 0,
      figures: [],
      isAnnounced: false,
      isDue: true,
    };
    this.live.set(id, watched);
    this.#opened++;
    return watched;
  }

  #end(stream: Stream): void {
    const watched = this.live.get(stream.id);
    if (watched === undefined) return;
    this.live.delete(stream.id);
    watched.label = stream.label;
    watched.figures = figuresOf(watched.key, stream);
    watched.stream = null;
    this.#endedIn += watched.figures[2] ?? 0;
    this.#endedOut += watched.figures[3] ?? 0;
    this.#keep(watched);
    if (!this.#isRead) return;
    // A row that the page has must be brought to its end, however many there are.
    if (watched.isAnnounced || this.justEnded.length < mostJustEnded) this.justEnded.push(watched);
    else this.omittedStreams++;
  }

  /** Keeps a row for pages that are opened later. How much the peer has put into headers must not matter. */
  #keep(watched: WatchedStream): void {
    const { label, headers } = watched;
    watched.size = sizeOf(label, headers);
    if (watched.size > mostOfStream) {
      // A copy, since a part of a string keeps all of it alive.
      const shown = JSON.parse(JSON.stringify(shownOf(label, headers, this.#context.redact))) as Shown;
      const size = sizeOf(shown.label, shown.headers);
      Object.assign(watched, { label: shown.label, headers: [], shown, size });
    }
    this.#endedSize += watched.size;
    this.ended.push(watched);
    while (this.ended.length > mostEnded || this.#endedSize > mostEndedSize) {
      this.#endedSize -= this.ended.shift()?.size ?? 0;
    }
  }

  #over(state: 'closed' | 'failed', error: string | undefined): void {
    this.#state = state;
    this.#error = error;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A stream's figures now, as messages have them. */
export function figuresOf(key: number, stream: Stream): number[] {
  const { bytesIn, bytesOut, queuedIn, queuedOut, receiveWindow, sendWindow, blockedOn } = stream.stats;
  const state = streamStates.indexOf(stream.state);
  const block = blockedOn === null ? 0 : blocks.indexOf(blockedOn);
  // Peers without windows can be sent any amount, which JSON has no number for.
  const window = Number.isFinite(sendWindow) ? sendWindow : unlimited;
  return [key, state, bytesIn, bytesOut, queuedIn, queuedOut, receiveWindow, window, block];
}
