import type { StreamHeaders } from '../api.js';
import type { CoreStream } from '../core/stream.js';
import type { Reason } from '../core/wire.js';
import type { SshChannel } from './options.js';
import type { SessionPart } from './session-part.js';

/** Ours, or one of the standard ones. */
export type ChannelKind = 'stream' | SshChannel;

/** What an honest peer may have on its way when it hears our CLOSE: credit for a window, an exit status. */
const mostBehindClose = 64;

/**
 * A channel (RFC 4254 §5): what the wire knows of a stream. Each end has a number of its own for it; ours is free for
 * the next one once both ends have said CLOSE.
 *
 *     OPEN ──▶ CONFIRMATION ──▶ DATA … ──▶ EOF each way ──▶ CLOSE each way
 *       └────▶ FAILURE               └──── CLOSE at any time: a reset ───▶
 */
export class Channel {
  /** The stream's, which is never used again; negative while there is none. */
  id: number;
  readonly origin: 'local' | 'remote';
  /** Not known of a session before it is started. */
  kind: ChannelKind | null;
  /** Our number, which the peer addresses; -1 until it is told one. */
  local = -1;
  /** The peer's number; -1 until it has told us. */
  remote = -1;
  /** Our number was that of another channel before. */
  isReused = false;
  stream: CoreStream | null = null;
  /** Both ends have numbers. */
  isConfirmed = false;
  eofSent = false;
  eofReceived = false;
  closeSent = false;
  #behindClose = 0;
  closeReceived = false;
  /** What the peer may send, as it was told at first; before that, what it has sent. */
  windowBytes = 0;
  /** The peer's window and its longest packet, while there is no stream to have them. */
  peerWindow = 0;
  maxPacket = 0;
  /** To be said once the peer has a number to say it to. */
  resetDue: { readonly code: Reason; readonly reason: string } | null = null;
  /** The peer said why, and CLOSE is to follow. */
  resetSeen: { readonly code: number; readonly reason: string } | null = null;
  /** Headers that are trailers if the end comes next. */
  late: StreamHeaders | null = null;
  /** What a session has beyond a stream. */
  session: SessionPart | null = null;

  constructor(id: number, origin: 'local' | 'remote', kind: ChannelKind | null) {
    this.id = id;
    this.origin = origin;
    this.kind = kind;
  }

  get isStream(): boolean {
    return this.kind === 'stream';
  }

  /** Counts a message that came behind our CLOSE, and is not heeded. True if it is one too many. */
  isBeyondClose(): boolean {
    return ++this.#behindClose > mostBehindClose;
  }
}

/** The channels of a connection, by our numbers and by the ids of their streams. */
export class ChannelTable {
  readonly #slots: (Channel | undefined)[] = [];
  readonly #byId: Map<number, Channel> = new Map();
  /** No number below this is free. */
  #firstFree = 0;
  /** From here on none was ever given. */
  #fresh = 0;
  /** Those that the peer has opened. */
  remoteCount = 0;
  /** Windows that have been given out, and what came before there was one. */
  leasedBytes = 0;

  add(channel: Channel): void {
    this.#byId.set(channel.id, channel);
    if (channel.origin === 'remote') this.remoteCount++;
  }

  /** Gives it the lowest number that is free. */
  number(channel: Channel): void {
    let at = this.#firstFree;
    while (this.#slots[at] !== undefined) at++;
    this.#slots[at] = channel;
    this.#firstFree = at + 1;
    channel.local = at;
    channel.isReused = at < this.#fresh;
    if (!channel.isReused) this.#fresh = at + 1;
  }

  /** The peer may send so much on a channel, or has. */
  lease(channel: Channel, bytes: number): void {
    this.leasedBytes += bytes - channel.windowBytes;
    channel.windowBytes = bytes;
  }

  /** Its stream has come, and brought an id. */
  rename(channel: Channel, id: number): void {
    this.#byId.delete(channel.id);
    channel.id = id;
    this.#byId.set(id, channel);
  }

  get(local: number): Channel | undefined {
    return this.#slots[local];
  }

  /** Whether a channel that is over had the number, the last one before whoever has it now. */
  hadBefore(local: number): boolean {
    return this.#slots[local]?.isReused ?? local < this.#fresh;
  }

  byId(id: number): Channel | undefined {
    return this.#byId.get(id);
  }

  values(): IterableIterator<Channel> {
    return this.#byId.values();
  }

  remove(channel: Channel): void {
    if (!this.#byId.delete(channel.id)) return;
    if (channel.origin === 'remote') this.remoteCount--;
    this.leasedBytes -= channel.windowBytes;
    const { local } = channel;
    if (local < 0) return;
    this.#slots[local] = undefined;
    this.#firstFree = Math.min(this.#firstFree, local);
    while (this.#slots.length > 0 && this.#slots[this.#slots.length - 1] === undefined) this.#slots.pop();
  }
}
