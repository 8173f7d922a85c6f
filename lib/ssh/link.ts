import type { Transport } from '../api.js';
import { noBytes } from '../core/bytes.js';
import { systemClock } from '../core/clock.js';
import { StreamError } from '../core/errors.js';
import { readUint32 } from './codec.js';
import { failure, SshError } from './errors.js';
import {
  DISCONNECT_BY_APPLICATION,
  DISCONNECT_NO_MORE_AUTH_METHODS,
  MSG_GLOBAL_REQUEST,
  MSG_IGNORE,
  MSG_REQUEST_FAILURE,
  MSG_REQUEST_SUCCESS,
  MSG_UNIMPLEMENTED,
  SOFTWARE,
  SOFTWARE_VERSION,
} from './frames.js';
import { Attempts, type ClientSide } from './login.js';
import type { SshAuthAttempt, SshLimitValues, SshOptions } from './options.js';
import { hungUpEarly, Packets, type PacketsOwner, type ServerSide } from './seam.js';

/** Whom the link tells of what concerns the connection as a whole. */
export interface LinkOwner {
  loggedIn(): void;
  failed(error: StreamError): void;
  /** Nothing that comes is read any more. */
  isOver(): boolean;
  /** The peer did something useless; throws if that was once too often. */
  fault(kind: 'useless' | 'settings'): void;
}

/** How a connection logs in, whichever end it is. */
export interface LinkLogin {
  readonly client: ClientSide | null;
  readonly server: ServerSide | null;
  readonly authenticate: NonNullable<SshOptions['authenticate']>;
  /** Connections with the same options that are not logged in. */
  readonly unauthenticated: { count: number };
}

/** Who has logged in, and how. */
export interface SshLogin {
  readonly username: string;
  readonly method: 'password' | 'publickey' | 'none';
  /** The key that signed, as in authorized_keys, decoded. */
  readonly key?: Uint8Array;
}

/** A message that does nothing counts once for each of these. */
const idleBytes = 1024;
/** An IGNORE that a message pays for is no longer. */
const hidingBytes = 64;
/** A peer that changes keys after less than this does so for its own amusement. */
const fairRekeyBytes = 256 * 1024;
/** What global requests are answered with; by UNIMPLEMENTED where the peer knows of none, tinyssh for one. */
const globalAnswers: ReadonlySet<number> = new Set([
  MSG_REQUEST_SUCCESS,
  MSG_REQUEST_FAILURE,
  MSG_UNIMPLEMENTED,
]);

type Handlers = Parameters<Transport['start']>[0];

/**
 * Encrypted, authenticated messages over a transport of bytes. To the engine it is a transport as well: each chunk that
 * arrives is a message, and what is written are messages with their lengths before them. It takes none before the login,
 * and none while keys are exchanged, which it starts itself after so many bytes or so much time.
 */
export class SshLink implements Transport, PacketsOwner {
  readonly local?: string;
  readonly remote?: string;
  peerIsOurs = false;
  /** It takes first data within the opening of a stream, and reply headers within its confirmation. */
  peerMerges = false;
  login: SshLogin | null = null;
  readonly #raw: Transport;
  readonly #limits: SshLimitValues;
  readonly #login: LinkLogin;
  readonly #packets: Packets;
  readonly #attempts: Attempts;
  #handlers: Handlers | null = null;
  #owner: LinkOwner | null = null;
  /** Written before it could be sent. */
  #held: Uint8Array[] = [];
  /** Encrypted, for the next write of the transport. */
  #out: Uint8Array[] = [];
  #outDue = false;
  #shipping = false;
  #loggedIn = false;
  #counted = false;
  /** Bytes of the peer's since it began, or since its part of a key exchange did, that must come to an end. */
  #unkeyedBytes = 0;
  #peerKeying = false;
  #keyedBytes = 0;
  #keyedPackets = 0;
  /** A message pays for one IGNORE: asyncssh sends an empty one before each. */
  #mayHide = true;
  /** The sequence numbers of global requests that wait for an answer: those come in the order of the requests. */
  readonly #asked: number[] = [];
  #paused = false;
  #over = false;
  readonly #timers: Set<() => void> = new Set();
  #cancelRekey: (() => void) | null = null;
  #cancelKeying: (() => void) | null = null;

  constructor(raw: Transport, limits: SshLimitValues, login: LinkLogin) {
    this.#raw = raw;
    this.#limits = limits;
    this.#login = login;
    this.#packets = new Packets(this, raw.isFlushed !== undefined);
    this.#attempts = new Attempts(limits.maxLoginAttempts);
    if (raw.local !== undefined) this.local = raw.local;
    if (raw.remote !== undefined) this.remote = raw.remote;
  }

  tell(owner: LinkOwner): void {
    this.#owner = owner;
  }

  // ------------------------------------------------------------------ for the engine

  start(handlers: Handlers): void {
    this.#handlers = handlers;
    const { client, server, unauthenticated } = this.#login;
    this.#raw.start({
      onData: (chunk) => this.#received(chunk),
      onEnd: () => this.#ended(),
      onDrain: () => this.#drained(),
      onClose: (error) => this.#closed(error),
    });
    if (server !== null) {
      if (unauthenticated.count >= this.#limits.maxUnauthenticated) {
        this.failed(new SshError('login', 'too many connections are not logged in'));
        return;
      }
      unauthenticated.count++;
      this.#counted = true;
    }
    const { bannerMs, handshakeMs } = this.#limits;
    this.after(bannerMs, () => {
      if (!this.#loggedIn && this.#unkeyedBytes === 0) this.#late(`said nothing for ${bannerMs} ms`);
    });
    this.after(handshakeMs, () => {
      if (!this.#loggedIn) this.#late(`was not logged in within ${handshakeMs} ms`);
    });
    try {
      if (client !== null) this.#packets.begin(client);
      else if (server !== null) {
        this.#packets.begin({
          role: 'server',
          server,
          authenticate: (attempt, isProved) => this.#authenticate(attempt, isProved),
        });
      }
    } catch (error) {
      if (!(error instanceof SshError)) throw error;
      this.failed(error);
    }
  }

  write(pieces: readonly Uint8Array[]): boolean {
    if (this.#over) return true;
    if (this.#packets.isOpen) return this.#ship(pieces);
    this.#held.push(...pieces);
    return false;
  }

  pause(): void {
    this.#paused = true;
    // Without the peer's part of it, a key exchange never ends, and nothing could be sent again.
    if (!this.#packets.isKeying) this.#raw.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#raw.resume();
  }

  end(): void {
    if (!this.#over && !this.#packets.isOpen) this.#packets.disconnect(DISCONNECT_BY_APPLICATION);
    this.#flush();
    this.#stop();
    this.#raw.end();
  }

  destroy(error?: unknown): void {
    this.#flush();
    this.#stop();
    this.#raw.destroy(error);
  }

  /** Agrees on new keys now, whether they are due or not. */
  rekey(): void {
    this.#packets.rekey();
  }

  /** Calls `task` once after so long, unless the connection is over. */
  after(ms: number, task: () => void): () => void {
    if (this.#over || !(ms > 0 && ms < 2 ** 31)) return () => {};
    const cancel = systemClock.after(ms, () => {
      this.#timers.delete(cancel);
      task();
    });
    this.#timers.add(cancel);
    return () => {
      this.#timers.delete(cancel);
      cancel();
    };
  }

  // ------------------------------------------------------------------ from ssh2

  /** What ssh2 has for the socket goes out together. */
  writeOut(bytes: Uint8Array): void {
    const out = this.#out;
    const last = out[out.length - 1];
    const end = last === undefined ? -1 : last.byteOffset + last.length;
    // Packets that lie one behind the other are one piece for the socket.
    if (last !== undefined && last.buffer === bytes.buffer && end === bytes.byteOffset) {
      out[out.length - 1] = new Uint8Array(last.buffer, last.byteOffset, last.length + bytes.length);
    } else out.push(bytes);
    if (this.#shipping || this.#outDue) return;
    this.#outDue = true;
    queueMicrotask(() => {
      this.#outDue = false;
      this.#flush();
    });
  }

  message(payload: Uint8Array): void {
    this.#keyedPackets++;
    this.#mayHide = true;
    if (globalAnswers.has(payload[0] as number)) this.#asked.shift();
    this.#handlers?.onData(payload);
  }

  /** A long one costs what as many short ones would. */
  idleMessage(payload: Uint8Array): void {
    if (this.#isAnswer(payload)) {
      this.message(payload);
      return;
    }
    const [type] = payload;
    const bytes = payload.length;
    if (this.#mayHide && type === MSG_IGNORE && bytes <= hidingBytes) {
      this.#mayHide = false;
      return;
    }
    for (let left = bytes; left >= 0; left -= idleBytes) this.#fault('useless');
  }

  loggedIn(software: string): void {
    this.#loggedIn = true;
    this.#uncount();
    const [name, version] = software.split('_');
    this.peerIsOurs = name === SOFTWARE && version !== undefined;
    this.peerMerges = this.peerIsOurs && Number(version) >= SOFTWARE_VERSION;
    this.login ??= { username: this.#login.client?.username ?? '', method: 'none' };
    this.#startKeys();
    this.#owner?.loggedIn();
    this.#open();
  }

  keying(byPeer: boolean): void {
    if (byPeer && this.#keyedBytes < fairRekeyBytes) this.#fault('settings');
    if (this.#paused) this.#raw.resume();
    const { handshakeMs } = this.#limits;
    this.#cancelKeying ??= this.after(handshakeMs, () => {
      this.failed(new SshError('transport', `an exchange of keys was not over after ${handshakeMs} ms`));
    });
  }

  /** What came before is data that the windows bound: the peer could not know of an exchange that we began. */
  peerKeying(): void {
    this.#peerKeying = true;
    this.#unkeyedBytes = 0;
  }

  keyed(): void {
    this.#peerKeying = false;
    this.#cancelKeying?.();
    this.#cancelKeying = null;
    if (!this.#loggedIn) return;
    this.#startKeys();
    if (this.#paused) this.#raw.pause();
    this.#open();
  }

  failed(error: SshError): void {
    if (this.#over) return;
    const { client } = this.#login;
    let cause = error;
    if (client?.hostFailure && !this.#loggedIn) cause = client.hostFailure;
    else if (!this.#loggedIn && client !== null && this.#isRefusal(error)) cause = client.loginFailure;
    const mine = client?.hostFailure != null || error.reason === 'algorithm' || error.reason === 'library';
    const told = failure(cause, !mine);
    if (this.#owner === null) throw told;
    this.#owner.failed(told);
  }

  // ------------------------------------------------------------------ inside

  /** The server sends a DISCONNECT of its own once a client has tried too often. */
  #isRefusal(error: SshError): boolean {
    return (
      error.reason === 'no-method' || (error.reason === 'disconnect' && this.#login.client?.hasTried === true)
    );
  }

  /** An UNIMPLEMENTED that names our oldest request (RFC 4253 §11.4), or what came behind it: tinyssh is one too far. */
  #isAnswer(payload: Uint8Array): boolean {
    const [asked] = this.#asked;
    if (asked === undefined || payload[0] !== MSG_UNIMPLEMENTED || payload.length !== 5) return false;
    return (readUint32(payload, 1) - asked) >>> 0 <= 1;
  }

  async #authenticate(attempt: SshAuthAttempt | null, isProved: boolean): Promise<boolean | null> {
    const accepted = attempt !== null && (await this.#login.authenticate(attempt)) === true;
    if (this.#over) return null;
    if (accepted && attempt !== null) {
      const { username, method } = attempt;
      if (!isProved) return true;
      this.login = method === 'publickey' ? { username, method, key: attempt.key } : { username, method };
      return true;
    }
    if (this.#attempts.failed()) return false;
    this.#packets.disconnect(DISCONNECT_NO_MORE_AUTH_METHODS);
    this.failed(new SshError('login', `the client failed to log in ${this.#limits.maxLoginAttempts} times`));
    return null;
  }

  #late(what: string): void {
    this.#packets.disconnect(DISCONNECT_BY_APPLICATION);
    this.failed(new SshError('login', `the peer ${what}`));
  }

  #received(chunk: Uint8Array): void {
    if (this.#over) {
      // In the clear, or in a cipher that nobody reads any more: only a session that is over may have it, to count it.
      if (this.#owner?.isOver()) this.#handlers?.onData(chunk);
      return;
    }
    // Some of what comes is not for the engine (IGNORE, an exchange of keys), but whoever sends it is not silent.
    this.#handlers?.onData(noBytes);
    const bytes = chunk.length;
    if (!this.#loggedIn || this.#peerKeying) {
      this.#unkeyedBytes += bytes;
      const { loginBytes, receiveBudgetBytes } = this.#limits;
      const most = this.#loggedIn ? loginBytes + receiveBudgetBytes : loginBytes;
      if (this.#unkeyedBytes > most) {
        this.#packets.disconnect(DISCONNECT_BY_APPLICATION);
        const when = this.#loggedIn ? 'while keys were exchanged' : 'before it was logged in';
        this.failed(new SshError('login', `the peer sent more than ${most} bytes ${when}`));
        return;
      }
    }
    this.#keyedBytes += bytes;
    this.#packets.receive(chunk);
    this.#rekeyIfDue();
  }

  /** Sends what was held, and lets the engine go on. */
  #open(): void {
    if (this.#over || !this.#packets.isOpen) return;
    const held = this.#held;
    this.#held = [];
    const more = held.length === 0 || this.#ship(held);
    if (more) this.#handlers?.onDrain();
  }

  #drained(): void {
    this.#reuse();
    if (this.#packets.isOpen) this.#open();
  }

  /** Makes packets of messages. */
  #ship(pieces: readonly Uint8Array[]): boolean {
    const packets = this.#packets;
    this.#shipping = true;
    let index = 0;
    let at = 0;
    while (index < pieces.length) {
      let piece = pieces[index] as Uint8Array;
      let left = readUint32(piece, at);
      at += 4;
      const packet = packets.allocate(left);
      let to = packets.payloadAt;
      this.#keyedBytes += left;
      this.#keyedPackets++;
      while (left > 0) {
        const here = Math.min(left, piece.length - at);
        copy(piece, at, here, packet, to);
        to += here;
        at += here;
        left -= here;
        if (at < piece.length) continue;
        index++;
        at = 0;
        piece = pieces[index] as Uint8Array;
      }
      const wantsAnswer = isAsking(packet, packets.payloadAt);
      const sequence = packets.send(packet);
      if (wantsAnswer) this.#asked.push(sequence);
    }
    this.#shipping = false;
    const more = this.#flush();
    this.#rekeyIfDue();
    return more && packets.isOpen;
  }

  #flush(): boolean {
    if (this.#out.length === 0) return true;
    const out = this.#out;
    this.#out = [];
    const more = this.#raw.write(out);
    this.#reuse();
    return more;
  }

  #reuse(): void {
    if (this.#out.length === 0 && this.#raw.isFlushed) this.#packets.reuse();
  }

  #startKeys(): void {
    this.#keyedBytes = 0;
    this.#keyedPackets = 0;
    this.#unkeyedBytes = 0;
    this.#cancelRekey?.();
    this.#cancelRekey = this.after(this.#limits.rekeyMs, () => this.rekey());
  }

  #rekeyIfDue(): void {
    const { rekeyBytes, rekeyPackets } = this.#limits;
    if (this.#keyedBytes < rekeyBytes && this.#keyedPackets < rekeyPackets) return;
    if (this.#loggedIn && !this.#over) this.rekey();
  }

  #fault(kind: 'useless' | 'settings'): void {
    if (this.#over) return;
    try {
      this.#owner?.fault(kind);
    } catch (error) {
      this.#owner?.failed(error as StreamError);
    }
  }

  #ended(): void {
    if (this.#loggedIn || this.#over) this.#handlers?.onEnd();
    else this.failed(new SshError('disconnect', hungUpEarly));
  }

  #closed(error: unknown): void {
    const wasOver = this.#over;
    this.#stop();
    if (!this.#loggedIn && !wasOver && error === undefined) {
      const message = 'the connection was lost before the login was over';
      this.#owner?.failed(new StreamError('closed', message, { remote: true }));
    }
    this.#handlers?.onClose(error);
  }

  #uncount(): void {
    if (!this.#counted) return;
    this.#counted = false;
    this.#login.unauthenticated.count--;
  }

  #stop(): void {
    if (this.#over) return;
    this.#over = true;
    this.#uncount();
    this.#held = [];
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
    this.#packets.close();
  }
}

/** Whether the message at `at` is a global request that wants an answer (RFC 4254 §4). */
function isAsking(packet: Uint8Array, at: number): boolean {
  return packet[at] === MSG_GLOBAL_REQUEST && packet[at + 5 + readUint32(packet, at + 1)] !== 0;
}

function copy(from: Uint8Array, at: number, bytes: number, target: Uint8Array, to: number): void {
  // Below this, the call of `set` costs more than the loop.
  if (bytes <= 64) for (let i = 0; i < bytes; i++) target[to + i] = from[at + i] as number;
  else target.set(bytes === from.length ? from : from.subarray(at, at + bytes), to);
}
