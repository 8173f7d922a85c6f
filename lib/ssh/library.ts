import type { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import { looksLikePath } from './contents.js';
import { SshError } from './errors.js';

/**
 * The library ssh2, as much of it as is used. Much of that is not public, so everything is looked for before it is used,
 * and `ssh2` is pinned to ~1.17.
 */

/** What of the library we use, public or not. */
interface Ssh2 {
  readonly Client: new () => Ssh2Client;
  readonly Server: new (config: object) => Ssh2Server;
  readonly utils: { parseKey(data: unknown, passphrase?: string): PrivateKey | PrivateKey[] | Error };
}

/** A key that has been read. */
export interface PrivateKey {
  readonly type: string;
  getPrivatePEM(): string | null;
  getPublicSSH(): Buffer;
  verify(data: Uint8Array, signature: Uint8Array, hash?: string): boolean | Error;
}

export interface Ssh2Connection extends EventEmitter {
  readonly _protocol: Internals;
  readonly _sock: unknown;
}

interface Ssh2Client extends Ssh2Connection {
  readonly _remoteVer: string | undefined;
  connect(config: object): void;
}

export interface Ssh2Server extends EventEmitter {
  injectSocket(socket: EventEmitter): void;
}

export interface AuthContext {
  readonly method: string;
  readonly username: string;
  readonly password?: unknown;
  readonly key?: { readonly algo: string; readonly data: Buffer };
  readonly hashAlgo?: string;
  readonly signature?: Buffer;
  readonly blob?: Buffer;
  accept(): void;
  reject(methodsLeft: readonly string[]): void;
}

export interface Decipher {
  readonly inSeqno: number;
  /** 0 between two packets, where there is such a thing. */
  readonly _lenBytes?: number;
  /** What it gives, unless it is undefined, is where the parser goes on. */
  _onPayload(payload: Uint8Array): unknown;
  free(): void;
}

/** ssh2's `Protocol`: packets, ciphers and the key exchange. */
export interface Internals {
  _onPayload(payload: Uint8Array): unknown;
  _onHandshakeComplete(...negotiated: unknown[]): void;
  readonly _packetRW: {
    readonly write: {
      readonly allocStart: number;
      alloc(bytes: number): Uint8Array;
      finalize(packet: Uint8Array): Uint8Array;
    };
  };
  readonly _cipher: { readonly outSeqno: number; encrypt(packet: Uint8Array): void };
  _decipher: Decipher | undefined;
  /** Ours, while a key exchange runs. */
  readonly _kexinit: unknown;
  readonly _kex: { remoteExtInfoEnabled: boolean } | undefined;
  /** Frees the ciphers. Not there any more once the connection is broken. */
  _destruct: ((reason?: string) => void) | undefined;
  /** Reads `bytes[from..to)`; throws where they are not what they should be. */
  parse(bytes: Uint8Array, from: number, to: number): void;
  disconnect(reason: number): void;
  rekey(): void;
}

let loaded: { readonly ssh2: Ssh2; readonly version: string } | undefined;

/** The library, once it is needed. Says what to install where it is missing. */
export function load(): { readonly ssh2: Ssh2; readonly version: string } {
  if (loaded !== undefined) return loaded;
  const from = createRequire(import.meta.url);
  let ssh2: Ssh2;
  try {
    ssh2 = from('ssh2') as Ssh2;
  } catch (cause) {
    throw new Error('rxmux/ssh needs the package ssh2 beside rxmux: npm install ssh2@~1.17', { cause });
  }
  loaded = { ssh2, version: (from('ssh2/package.json') as { version: string }).version };
  return loaded;
}

/** Reads a private key; one that cannot be read is the caller's mistake. */
export function readPrivateKey(what: string, key: string | Uint8Array, passphrase?: string): PrivateKey {
  const bytes = typeof key === 'string' ? key : Buffer.from(key.buffer, key.byteOffset, key.length);
  const parsed = load().ssh2.utils.parseKey(bytes, passphrase);
  const one = Array.isArray(parsed) ? parsed[0] : parsed;
  if (one instanceof Error || one === undefined) {
    const isPath = typeof key === 'string' && looksLikePath(key);
    const reason = isPath
      ? 'it looks like the path of a file, and what is in the file is needed'
      : (one?.message ?? 'it is empty');
    throw new TypeError(`${what} cannot be read: ${reason}`);
  }
  if (one.getPrivatePEM() === null) throw new TypeError(`${what} is a public key: the private one is needed`);
  return one;
}

/** Throws unless everything that we use is there. */
export function checked(protocol: Internals): Internals {
  const write = protocol?._packetRW?.write;
  const members: Record<string, boolean> = {
    _onPayload: typeof protocol?._onPayload === 'function',
    _onHandshakeComplete: typeof protocol?._onHandshakeComplete === 'function',
    '_packetRW.write.alloc': typeof write?.alloc === 'function',
    '_packetRW.write.finalize': typeof write?.finalize === 'function',
    '_packetRW.write.allocStart': typeof write?.allocStart === 'number',
    '_cipher.encrypt': typeof protocol?._cipher?.encrypt === 'function',
    '_cipher.outSeqno': typeof protocol?._cipher?.outSeqno === 'number',
    _kexinit: protocol !== undefined && '_kexinit' in protocol,
    _kex: protocol !== undefined && '_kex' in protocol,
    _decipher: protocol !== undefined && '_decipher' in protocol,
    _destruct: typeof protocol?._destruct === 'function',
    parse: typeof protocol?.parse === 'function',
    disconnect: typeof protocol?.disconnect === 'function',
    rekey: typeof protocol?.rekey === 'function',
  };
  const missing = Object.keys(members).filter((name) => !members[name]);
  if (missing.length === 0) return protocol;
  const { version } = load();
  const message = `ssh2 ${version} is not built as rxmux knows it (${missing.join(', ')} differ): npm install ssh2@~1.17`;
  throw new SshError('library', message);
}
