import type { Limits } from '../api.js';
import { defaultLimits, type LimitBounds, type LimitValues, withLimits } from '../core/limits.js';
import { MAX_DATA_BYTES, MAX_FIRST_BYTES, MAX_WINDOW_BYTES } from './frames.js';

/** An attempt of a client to log in. The signature of a key has been checked already. */
export type SshAuthAttempt =
  | { readonly method: 'password'; readonly username: string; readonly password: string }
  | {
      readonly method: 'publickey';
      readonly username: string;
      readonly algorithm: string;
      /** As in the second field of an authorized_keys line, decoded. */
      readonly key: Uint8Array;
    };

/**
 * The standard channels, as the pseudo-header `:ssh` names them on a stream, with `:command`, `:subsystem`, `:host`,
 * `:port` and `:path`. Plain headers of a session are its environment, with names in upper case; `:env`, as
 * `name=value`, has those of another case.
 */
export type SshChannel =
  | 'exec'
  | 'shell'
  | 'subsystem'
  | 'direct-tcpip'
  | 'direct-streamlocal'
  | 'forwarded-tcpip'
  | 'forwarded-streamlocal';

/** The key that a host has shown. `bytes` are its public key as known_hosts has it, decoded. */
export interface SshHostKey {
  readonly algorithm: string;
  /** `SHA256:…`, as ssh-keygen -l prints it. */
  readonly fingerprint: string;
  readonly bytes: Uint8Array;
}

/** Algorithms by their names on the wire. */
export interface SshAlgorithms {
  kex?: readonly string[];
  hostKey?: readonly string[];
  cipher?: readonly string[];
  mac?: readonly string[];
}

/** What `ssh()` is to do, as client or as server. */
export interface SshOptions {
  // ---- client
  username?: string;
  password?: string;
  /** OpenSSH's or PEM; `passphrase` if it is encrypted. */
  privateKey?: string | Uint8Array;
  passphrase?: string;
  /** Path of an agent's socket. */
  agent?: string;
  /** Contents of a known_hosts file. A host that it does not have, or has with another key, is not talked to. */
  knownHosts?: string;
  /**
   * The one name by which known_hosts has the host, `example.com` or `example.com:2222`. Default: what was dialled, or
   * the address where that is not known. The address of a host that has a name counts only for `@revoked`.
   */
  host?: string;
  /** A decision of the caller's own. With `knownHosts` too, it is asked about hosts that are not in there. */
  verifyHost?: (key: SshHostKey) => boolean | Promise<boolean>;

  // ---- server
  hostKeys?: readonly (string | Uint8Array)[];
  /** Who may log in. Called for each password, and for each key twice: when it is offered, and when it has signed. */
  authenticate?: (attempt: SshAuthAttempt) => boolean | Promise<boolean>;

  // ---- both
  /** In place of the modern ones, for peers that have only old ones; the most wanted first. */
  algorithms?: SshAlgorithms;
  /**
   * What accept$ takes besides our own streams. Default: nothing, all else is refused. `forwarded-…` of a server lets
   * clients have it listen, on loopback for TCP. A client that has called `forward()` takes what comes of that, and needs none.
   */
  serve?: readonly SshChannel[];
}

/** The limits that every protocol has, and those of logging in. */
export interface SshLimitValues extends LimitValues {
  /** Until the peer has said that it speaks SSH; `handshakeMs` is for the login as a whole. */
  bannerMs: number;
  /** What a peer may send before it is logged in. */
  loginBytes: number;
  /** Attempts to log in. */
  maxLoginAttempts: number;
  /** Connections at once that are not logged in, for all that have the same options. */
  maxUnauthenticated: number;
  /** New keys are agreed on after so many bytes, packets or milliseconds, whichever comes first (RFC 4253 §9). */
  rekeyBytes: number;
  rekeyPackets: number;
  rekeyMs: number;
  /** A command of `exec`. */
  maxCommandBytes: number;
  /** Variables that a session may set. */
  maxEnvironment: number;
  /** Places where a client may have us listen. */
  maxForwards: number;
  /** What is kept of a command's standard error while nobody reads it. */
  sideBytes: number;
}

const KiB = 1024;
const MiB = 1024 * KiB;

const sshLimits: SshLimitValues = {
  ...defaultLimits,
  maxFrameBytes: MAX_DATA_BYTES,
  sendQuantumBytes: MAX_DATA_BYTES,
  // A packet need not be longer than 35,000 bytes, and the block must fit into one (RFC 4253 §6.1).
  maxHeaderBlockBytes: 24 * KiB,
  maxHeaders: 256,
  maxHeaderNameBytes: KiB,
  maxHeaderValueBytes: 16 * KiB,
  windowBytes: MiB,
  maxWindowBytes: 2 * MiB,
  receiveBudgetBytes: 4 * MiB,
  // Numbers on the wire are used again; these are ours alone.
  maxStreamId: 2 ** 53 - 2,
  handshakeMs: 30_000,
  // What is of no use on the transport below counts too, but for one short IGNORE with each message.
  uselessBurst: 1000,
  uselessPerSecond: 100,
  settingsBurst: 4,
  settingsPerSecond: 0.1,
  bannerMs: 10_000,
  loginBytes: 256 * KiB,
  maxLoginAttempts: 6,
  maxUnauthenticated: 100,
  rekeyBytes: 1024 * MiB,
  rekeyPackets: 2 ** 30,
  rekeyMs: 3_600_000,
  maxCommandBytes: 64 * KiB,
  maxEnvironment: 64,
  maxForwards: 16,
  sideBytes: 64 * KiB,
};

/** First data must leave more than half of a window: it may be read before the peer can be given credit for it. */
const smallestWindowBytes = 4 * MAX_FIRST_BYTES;

export const sshBounds: LimitBounds = {
  maxFrameBytes: [MAX_DATA_BYTES, MAX_DATA_BYTES],
  sendQuantumBytes: [1, MAX_DATA_BYTES],
  windowBytes: [smallestWindowBytes, MAX_WINDOW_BYTES],
  maxWindowBytes: [smallestWindowBytes, MAX_WINDOW_BYTES],
  // The rest of the packet is for what stands before the headers, and for first data.
  maxHeaderBlockBytes: [0, MAX_DATA_BYTES - MAX_FIRST_BYTES - KiB],
};

/** The limits of a connection. */
export function sshLimitsWith(own: Partial<Limits> | undefined): SshLimitValues {
  return withLimits(sshLimits, own, sshBounds) as SshLimitValues;
}
