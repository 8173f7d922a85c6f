import { encodeMessage } from './codec.js';
import { SshError } from './errors.js';
import {
  MSG_DISCONNECT,
  MSG_EXT_INFO,
  MSG_KEXINIT,
  MSG_UNIMPLEMENTED,
  SOFTWARE,
  SOFTWARE_VERSION,
} from './frames.js';
import { Greeting } from './greeting.js';
import {
  type AuthContext,
  checked,
  type Decipher,
  type Internals,
  load,
  type PrivateKey,
  type Ssh2Connection,
  type Ssh2Server,
} from './library.js';
import type { SshAlgorithms, SshAuthAttempt } from './options.js';
import { blocksInPlace, PacketSlab } from './packet-slab.js';
import { PseudoSocket, type SocketOwner } from './pseudo-socket.js';
import { takingAnyTime } from './rekeying.js';
import { decryptingInPlace, WholePackets } from './whole-packets.js';

/** Where SSH is ssh2: packets, keys and logins come from that library (library.ts), and nothing else does. */

/** How to log in, one way after the other, as ssh2's `authHandler` wants it. */
export type NextLogin = (methodsLeft: readonly string[] | null) => object | false;

export interface ClientLogin {
  readonly role: 'client';
  readonly username: string;
  readonly algorithms: Required<SshAlgorithms>;
  nextLogin: NextLogin;
  /** Whether the host's key is the right one. After the first time it must answer at once. */
  checkHost(key: Uint8Array): boolean | Promise<boolean>;
}

export interface ServerLogin {
  readonly role: 'server';
  readonly server: ServerSide;
  /** `isProved` unless a key was only offered. Null: this was one attempt too many. */
  authenticate(attempt: SshAuthAttempt | null, isProved: boolean): Promise<boolean | null>;
}

/** Whoever is on the clear side: what `Packets` tells. */
export interface PacketsOwner {
  /** Bytes for the socket. */
  writeOut(bytes: Uint8Array): void;
  /** A message of the connection protocol, or DISCONNECT. */
  message(payload: Uint8Array): void;
  /** A message of the transport that does nothing. */
  idleMessage(payload: Uint8Array): void;
  loggedIn(peerSoftware: string): void;
  /** A key exchange has begun; by us, or by the peer. */
  keying(byPeer: boolean): void;
  /** The peer has begun its part of it: nothing else comes before the end (RFC 4253 §7.1). */
  peerKeying(): void;
  keyed(): void;
  failed(error: SshError): void;
}

export const hungUpEarly = 'the peer closed the connection before the login was over';

/** Logging in to a server is what ssh2's own clients do not count. */
const loginMethods: readonly string[] = ['publickey', 'password'];

const firstConnectionMessage = 80;
const lastConnectionMessage = 100;
/** What ssh2 has a handler for once somebody is logged in, apart from channels and the key exchange. */
const handled: ReadonlySet<number> = new Set([1, 2, 3, 4, 6, 7, 20, 50, 51, 52, 53, 60, 61]);
const idle: ReadonlySet<number> = new Set([2, 3, 4, 7, 50]);
/** RFC 4252 §5.1: Twisted's clients log in anew after each key exchange. */
const ignored: ReadonlySet<number> = new Set([50, 52]);

/** A server's keys, and how its connections find their way from ssh2 back to us. */
export class ServerSide {
  readonly #server: Ssh2Server;
  readonly #waiting: WeakMap<PseudoSocket, Attach> = new WeakMap();

  constructor(keys: readonly PrivateKey[], algorithms: Required<SshAlgorithms>) {
    const hostKeys = keys.map((key) => ({ key }));
    this.#server = new (load().ssh2.Server)({
      hostKeys,
      ident,
      algorithms: ssh2Algorithms(algorithms, false),
    });
    this.#server.on('connection', (client: Ssh2Connection, info: { header: Header }) => {
      this.#waiting.get(client._sock as PseudoSocket)?.(client, info.header.versions.software);
    });
  }

  /** `attach` is called once the client has said what it is, before it says anything else. */
  begin(socket: PseudoSocket, attach: Attach): void {
    this.#waiting.set(socket, attach);
    this.#server.injectSocket(socket);
  }
}

type Header = { readonly versions: { readonly software: string } };
type Attach = (client: Ssh2Connection, software: string) => void;

const ident: string = `${SOFTWARE}_${SOFTWARE_VERSION}`;

function ssh2Algorithms(algorithms: Required<SshAlgorithms>, withHostKeys: boolean): object {
  return {
    kex: [...algorithms.kex],
    cipher: [...algorithms.cipher],
    hmac: [...algorithms.mac],
    // Compressed payloads could not be told apart, and before the login they are an attack.
    compress: ['none'],
    ...(withHostKeys ? { serverHostKey: [...algorithms.hostKey] } : {}),
  };
}

/**
 * Packets over a pipe of bytes: ssh2's transport, key exchange and login. Messages of the connection protocol go past
 * ssh2's own channels; whoever is logged in sends and takes them as payloads.
 */
export class Packets implements SocketOwner {
  readonly #owner: PacketsOwner;
  readonly #wire: PseudoSocket;
  /** Null until ssh2 has one: a server's client is not there before its version string. */
  #protocol: Internals | null = null;
  /** Bytes that came before ssh2 was ready to read. */
  #early: Uint8Array[] | null = [];
  /** The peer has not said yet what it is. */
  #greeting: Greeting | null = null;
  /** The cipher that `#blockBytes` is of; 0 if ssh2 is to make the packets. */
  #cipher: object | null = null;
  #blockBytes = 0;
  readonly #slab: PacketSlab;
  readonly #whole: WholePackets;
  /** The decipher whose packets `#whole` knows the beginnings of. */
  #cutFor: object | null = null;
  /** Calls of ssh2's parser that are not over. */
  #parsing = 0;
  /** To be freed once they are. */
  #spent: Decipher | null = null;
  #software = '';
  #loggedIn = false;
  #keyed = false;
  /** The peer has said goodbye, and ssh2 is to close the socket. */
  #hungUp = false;
  #over = false;

  /** `isReused` if the owner is going to call `reuse`. */
  constructor(owner: PacketsOwner, isReused: boolean) {
    this.#owner = owner;
    this.#slab = new PacketSlab(isReused);
    this.#wire = new PseudoSocket(this);
    this.#whole = new WholePackets((bytes) => this.#decrypt(bytes));
  }

  /** Begins to speak, as soon as ssh2 has its ciphers. */
  begin(login: ClientLogin | ServerLogin): void {
    this.#greeting = new Greeting(login.role === 'client' ? 'server' : 'client');
    if (login.role === 'client') this.#beginClient(login);
    else {
      login.server.begin(this.#wire, (client, software) => {
        this.#software = software;
        this.#attachServer(client, login);
      });
    }
  }

  /** Bytes from the socket. */
  receive(chunk: Uint8Array): void {
    if (this.#early !== null) this.#early.push(chunk);
    else if (this.#greeting !== null) {
      const bytes = this.#greeting.push(chunk);
      if (bytes === null) return;
      this.#greeting = null;
      this.#read(bytes);
    } else if (this.#canCut()) this.#whole.push(chunk);
    else {
      this.#whole.flush();
      this.#read(chunk);
    }
  }

  #read(bytes: Uint8Array): void {
    if (this.#over) return;
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#parse(() => this.#wire.emit('data', chunk));
  }

  /** Packets: what ssh2 does with what its socket says, without the socket in between. */
  #decrypt(bytes: Uint8Array): void {
    if (this.#over) return;
    try {
      this.#parse(() => this.#protocol?.parse(bytes, 0, bytes.length));
    } catch (error) {
      this.#failed(error as Error);
    }
  }

  #parse(parse: () => void): void {
    this.#parsing++;
    try {
      parse();
    } finally {
      if (--this.#parsing === 0) {
        this.#spent?.free();
        this.#spent = null;
      }
    }
  }

  /**
   * ssh2's loops over a chunk go on with a decipher that a packet of it had freed, which is memory that is not ours any
   * more where the decipher is in C++: it is freed when they are through, and nothing comes of the packets till then.
   */
  #destruct(protocol: Internals, destruct: () => void): void {
    const decipher = protocol._decipher;
    if (this.#parsing === 0 || decipher === undefined) {
      destruct();
      return;
    }
    decipher._onPayload = () => Number.POSITIVE_INFINITY;
    this.#spent = decipher;
    protocol._decipher = undefined;
    destruct();
    protocol._decipher = decipher;
  }

  /** Whether the lengths of packets can be read, and it is known where the next one begins. */
  #canCut(): boolean {
    const decipher = this.#protocol?._decipher;
    if (decipher === undefined || !this.isOpen) {
      this.#cutFor = null;
      return false;
    }
    if (decipher === this.#cutFor) return true;
    if (!decryptingInPlace.has(decipher.constructor.name)) return false;
    // What still waits was cut for the decipher before.
    this.#whole.flush();
    if (decipher._lenBytes !== 0) return false;
    this.#cutFor = decipher;
    return true;
  }

  /** Whether messages can be sent now: logged in, and no key exchange in between. */
  get isOpen(): boolean {
    return this.#loggedIn && this.isAlive && this.#protocol?._kexinit === undefined;
  }

  get isKeying(): boolean {
    return this.isAlive && this.#protocol !== null && this.#protocol._kexinit !== undefined;
  }

  get isAlive(): boolean {
    return !this.#over && (this.#protocol === null || this.#protocol._destruct !== undefined);
  }

  /** Room for a payload, to be filled from `payloadAt` on. Only while `isOpen`, as `send`, which gives its number. */
  allocate(bytes: number): Uint8Array {
    const { _packetRW, _cipher } = this.#protocol as Internals;
    if (_cipher !== this.#cipher) {
      this.#cipher = _cipher;
      this.#blockBytes = blocksInPlace.get(_cipher.constructor.name) ?? 0;
    }
    return this.#blockBytes === 0 ? _packetRW.write.alloc(bytes) : this.#slab.packet(bytes, this.#blockBytes);
  }

  get payloadAt(): number {
    return (this.#protocol as Internals)._packetRW.write.allocStart;
  }

  send(packet: Uint8Array): number {
    const { _cipher, _packetRW } = this.#protocol as Internals;
    _cipher.encrypt(_packetRW.write.finalize(packet));
    return (_cipher.outSeqno - 1) >>> 0;
  }

  /** The owner has no packet any more that it was given by `writeOut`. */
  reuse(): void {
    this.#slab.reuse();
  }

  /** Agrees on new keys. */
  rekey(): void {
    if (!this.isOpen) return;
    this.#protocol?.rekey();
    this.#owner.keying(false);
  }

  /** Says why the connection ends, at any time. */
  disconnect(reason: number): void {
    if (this.isAlive) this.#protocol?.disconnect(reason);
  }

  /** The socket is closed: lets go of everything. */
  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#early = null;
    this.#wire.writable = false;
    this.#wire.emit('close');
    this.#wire.removeAllListeners();
  }

  // ------------------------------------------------------------------ from ssh2's socket

  wrote(bytes: Uint8Array): void {
    if (!this.#over) this.#owner.writeOut(bytes);
  }

  started(): void {
    const early = this.#early;
    this.#early = null;
    if (early !== null) for (const chunk of early) this.receive(chunk);
  }

  /** ssh2 wants the socket closed, and has not said why. */
  givenUp(): void {
    if (this.#over) return;
    this.#owner.failed(
      this.#hungUp
        ? new SshError('disconnect', hungUpEarly)
        : new SshError('transport', 'the peer broke the rules of the SSH transport or of logging in'),
    );
  }

  // ------------------------------------------------------------------ attaching

  #beginClient(login: ClientLogin): void {
    const client = new (load().ssh2.Client)();
    client.on('error', (error: Error) => this.#failed(error));
    client.on('ready', () => {
      this.#software = client._remoteVer ?? '';
      this.#ready();
    });
    client.connect({
      sock: this.#wire,
      username: login.username,
      ident,
      algorithms: ssh2Algorithms(login.algorithms, true),
      readyTimeout: 0,
      authHandler: (methodsLeft: string[] | null) => login.nextLogin(methodsLeft),
      hostVerifier: (key: Buffer, verify: (isRight: boolean) => void) => {
        const bytes = new Uint8Array(key);
        const answer = login.checkHost(bytes);
        if (typeof answer === 'boolean') verify(answer);
        else
          answer.then(
            (isRight) => this.isAlive && verify(isRight),
            () => this.isAlive && verify(false),
          );
      },
    });
    this.#attach(client);
  }

  #attachServer(client: Ssh2Connection, login: ServerLogin): void {
    // ssh2 would send keepalives of its own, and take the answers for ours.
    client.removeAllListeners('ready');
    client.on('error', (error: Error) => this.#failed(error));
    client.on('ready', () => this.#ready());
    client.on('authentication', (context: AuthContext) => void this.#authenticate(context, login));
    this.#attach(client);
  }

  /** Before the key exchange ends, so that every later one keeps what is put here. */
  #attach(connection: Ssh2Connection): void {
    const protocol = checked(connection._protocol);
    this.#protocol = protocol;
    const onPayload = takingAnyTime(protocol);
    protocol._onPayload = (payload) => this.#payload(payload, onPayload);
    const destruct = protocol._destruct;
    protocol._destruct = (reason) => this.#destruct(protocol, () => destruct?.call(protocol, reason));
    const onHandshakeComplete = protocol._onHandshakeComplete;
    protocol._onHandshakeComplete = (...negotiated) => {
      const kex = protocol._kex;
      const tellsMore = !this.#keyed && 'authenticated' in connection && kex?.remoteExtInfoEnabled === true;
      // ssh2's own list joins two names for want of a comma, so that clients with such keys give up.
      if (tellsMore) kex.remoteExtInfoEnabled = false;
      onHandshakeComplete.call(protocol, ...negotiated);
      this.#keyed = true;
      if (tellsMore) this.#sendExtInfo(protocol);
      this.#owner.keyed();
    };
  }

  #ready(): void {
    this.#loggedIn = true;
    this.#owner.loggedIn(this.#software);
  }

  /** Gives what ssh2's parser is to go on with. */
  #payload(payload: Uint8Array, onPayload: (payload: Uint8Array) => unknown): unknown {
    const type = payload[0] as number;
    if (type >= firstConnectionMessage && type <= lastConnectionMessage) {
      if (this.#loggedIn) this.#owner.message(plain(payload));
      else {
        this.disconnect(2);
        const message = `the peer sent message ${type} of the connection protocol before it was logged in`;
        this.#owner.failed(new SshError('login', message));
      }
      return undefined;
    }
    if (type === MSG_DISCONNECT) this.#hungUp = true;
    if (!this.#loggedIn || payload.length === 0) return onPayload(payload);
    if (type === MSG_DISCONNECT) {
      this.#owner.message(plain(payload));
      return undefined;
    }
    if (type === MSG_KEXINIT) {
      if (this.#protocol?._kexinit === undefined) this.#owner.keying(true);
      this.#owner.peerKeying();
    } else if (!handled.has(type)) {
      this.#unimplemented();
      this.#owner.idleMessage(payload);
      return undefined;
    } else if (idle.has(type)) this.#owner.idleMessage(payload);
    return ignored.has(type) ? undefined : onPayload(payload);
  }

  /** RFC 4253 §11.4. */
  #unimplemented(): void {
    if (!this.isOpen) return;
    const sequence = ((this.#protocol?._decipher?.inSeqno ?? 1) - 1) >>> 0;
    const packet = this.allocate(5);
    packet.set(encodeMessage(MSG_UNIMPLEMENTED, sequence), this.payloadAt);
    this.send(packet);
  }

  /** RFC 8308 §3.1. */
  #sendExtInfo(protocol: Internals): void {
    const list =
      'ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256';
    const payload = encodeMessage(MSG_EXT_INFO, 1, 'server-sig-algs', list);
    const { write } = protocol._packetRW;
    const packet = write.alloc(payload.length);
    packet.set(payload, write.allocStart);
    protocol._cipher.encrypt(write.finalize(packet));
  }

  async #authenticate(context: AuthContext, login: ServerLogin): Promise<void> {
    // The first thing a client asks is what it may try.
    if (context.method === 'none') {
      context.reject(loginMethods);
      return;
    }
    let accepted: boolean | null = false;
    try {
      const isProved = context.method !== 'publickey' || context.signature !== undefined;
      accepted = await login.authenticate(attemptOf(context), isProved);
    } catch {
      // Whoever cannot decide lets nobody in.
    }
    if (!this.isAlive) return;
    if (accepted === true) context.accept();
    else if (accepted === false) context.reject(loginMethods);
  }

  #failed(error: Error & { level?: string; code?: unknown }): void {
    if (this.#over || error.level === 'agent') return;
    this.#owner.failed(error instanceof SshError ? error : explained(error));
  }
}

/** A key counts only with its signature checked, which ssh2 leaves to its users. */
function attemptOf(context: AuthContext): SshAuthAttempt | null {
  const { method, username, key } = context;
  if (method === 'password') {
    return typeof context.password === 'string' ? { method, username, password: context.password } : null;
  }
  if (method !== 'publickey' || key === undefined) return null;
  if (context.signature !== undefined) {
    const parsed = load().ssh2.utils.parseKey(key.data);
    if (parsed instanceof Error || Array.isArray(parsed) || context.blob === undefined) return null;
    if (parsed.verify(context.blob, context.signature, context.hashAlgo) !== true) return null;
  }
  return { method, username, algorithm: key.algo, key: new Uint8Array(key.data) };
}

function explained(error: Error & { level?: string; code?: unknown }): SshError {
  const { message } = error;
  if (message.includes('no matching') || message.includes('No matching')) {
    const what = message.replace(/^.*no matching /i, '');
    return new SshError('algorithm', `there is no ${what} that both ends take`, { cause: error });
  }
  if (typeof error.code === 'number') {
    const said = `the peer ended the connection: ${message} (${error.code})`;
    return new SshError('disconnect', said, { wireCode: error.code, cause: error });
  }
  if (error.level === 'client-authentication') {
    return new SshError('no-method', 'the server took nothing that we could log in with', { cause: error });
  }
  return new SshError('transport', `the SSH transport is broken: ${message}`, { cause: error });
}

/** Without Node's subclass: its methods differ, and its views are slower. */
function plain(payload: Uint8Array): Uint8Array {
  return new Uint8Array(payload.buffer, payload.byteOffset, payload.length);
}
