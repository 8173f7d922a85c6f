import { createHash } from 'node:crypto';
import { SshError } from './errors.js';
import { findKnownHost, knownAlgorithms } from './known-hosts.js';
import type { PrivateKey } from './library.js';
import type { SshAlgorithms, SshHostKey, SshOptions } from './options.js';
import type { ClientLogin } from './seam.js';

/** What is modern, the most wanted first: no SHA-1, no CBC, no DSA, no compression (it is not asked for at all). */
export const defaultAlgorithms: Required<SshAlgorithms> = {
  // The older name first: ssh2 drops the packet of a client that has guessed right (RFC 4253 §7), as dropbear would.
  kex: [
    'curve25519-sha256@libssh.org',
    'curve25519-sha256',
    'ecdh-sha2-nistp256',
    'ecdh-sha2-nistp384',
    'ecdh-sha2-nistp521',
  ],
  hostKey: [
    'ssh-ed25519',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'rsa-sha2-512',
    'rsa-sha2-256',
  ],
  cipher: [
    'aes128-gcm@openssh.com',
    'aes256-gcm@openssh.com',
    'chacha20-poly1305@openssh.com',
    'aes128-ctr',
    'aes256-ctr',
  ],
  mac: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-512'],
};

/** How our client logs in, and what it makes of the host's key. */
export class ClientSide implements ClientLogin {
  readonly role = 'client';
  readonly username: string;
  readonly algorithms: Required<SshAlgorithms>;
  /** Why the host was not trusted; ssh2 only knows that. */
  hostFailure: SshError | null = null;
  readonly #options: SshOptions;
  readonly #key: PrivateKey | null;
  readonly #names: readonly string[];
  readonly #addresses: readonly string[];
  readonly #waiting: string[] = [];
  readonly #tried: string[] = [];
  #offered: readonly string[] = [];
  #hostKey: string | null = null;

  constructor(
    options: SshOptions,
    key: PrivateKey | null,
    algorithms: Required<SshAlgorithms>,
    names: readonly string[],
    addresses: readonly string[] = [],
  ) {
    this.#options = options;
    this.#key = key;
    this.#names = names;
    this.#addresses = addresses;
    this.username = options.username ?? '';
    this.algorithms = { ...algorithms, hostKey: preferKnown(algorithms.hostKey, options.knownHosts, names) };
    const { agent, password } = options;
    if (agent !== undefined) this.#waiting.push('agent');
    if (key !== null) this.#waiting.push('publickey');
    if (password !== undefined) this.#waiting.push('password', 'keyboard-interactive');
    if (this.#waiting.length === 0) this.#waiting.push('none');
  }

  /** The next way to log in, of those that the server has not ruled out. */
  nextLogin(methodsLeft: readonly string[] | null): object | false {
    if (methodsLeft !== null) this.#offered = methodsLeft;
    for (let type = this.#waiting.shift(); type !== undefined; type = this.#waiting.shift()) {
      const method = type === 'agent' ? 'publickey' : type;
      if (methodsLeft !== null && type !== 'none' && !methodsLeft.includes(method)) continue;
      this.#tried.push(type);
      return this.#login(type);
    }
    return false;
  }

  #login(type: string): object {
    const { username } = this;
    const { agent, password } = this.#options;
    switch (type) {
      case 'agent':
        return { type, username, agent };
      case 'publickey':
        return { type, username, key: this.#key };
      case 'password':
        return { type, username, password };
      case 'keyboard-interactive':
        // Servers that ask for the password in this way ask nothing else.
        return {
          type,
          username,
          prompt: (
            _name: string,
            _text: string,
            _language: string,
            prompts: unknown[],
            answer: (all: string[]) => void,
          ) => answer(prompts.map(() => password ?? '')),
        };
    }
    return { type: 'none', username };
  }

  get hasTried(): boolean {
    return this.#tried.length > 0;
  }

  /** In place of what ssh2 says once nothing is left. */
  get loginFailure(): SshError {
    const who = `"${this.username}"`;
    const tried = this.#tried.filter((type) => type !== 'none');
    const offered = this.#offered.length > 0 ? `; the server takes ${this.#offered.join(' and ')}` : '';
    if (tried.length > 0 && tried.every((type) => type === 'publickey' || type === 'agent')) {
      const whose = tried.includes('publickey') ? 'our key' : "the agent's keys";
      return new SshError('user-key', `the server does not let ${who} in with ${whose}${offered}`);
    }
    if (tried.length > 0 && tried.every((type) => type === 'password' || type === 'keyboard-interactive')) {
      return new SshError('password', `the server does not let ${who} in with this password${offered}`);
    }
    return new SshError('no-method', `nothing is left to log ${who} in with${offered}`);
  }

  // ------------------------------------------------------------------ the host

  checkHost(bytes: Uint8Array): boolean | Promise<boolean> {
    const encoded = Buffer.from(bytes).toString('base64');
    if (this.#hostKey !== null) {
      // New keys are agreed on with the same host as before.
      if (this.#hostKey === encoded) return true;
      this.hostFailure = new SshError('host-key', 'the host has shown another key than at first');
      return false;
    }
    const key = describeKey(bytes);
    const found = this.#lookUp(key);
    const { verifyHost } = this.#options;
    const accept = (isRight: boolean): boolean => {
      if (isRight) this.#hostKey = encoded;
      else this.hostFailure ??= new SshError('host-key', `verifyHost does not accept ${describeHost(key)}`);
      return isRight;
    };
    if (found !== null) return found && accept(true);
    try {
      const answer = verifyHost?.(key) ?? false;
      return typeof answer === 'boolean' ? accept(answer) : answer.then(accept, () => accept(false));
    } catch {
      return accept(false);
    }
  }

  /** Null where `verifyHost` is to decide. */
  #lookUp(key: SshHostKey): boolean | null {
    const { knownHosts, verifyHost } = this.#options;
    if (knownHosts === undefined) return null;
    const host = this.#names[0] ?? 'a host without a name (set the option "host")';
    switch (findKnownHost(knownHosts, this.#names, key.algorithm, key.bytes, this.#addresses)) {
      case 'known':
        return true;
      case 'revoked':
        this.hostFailure = new SshError(
          'revoked',
          `${describeHost(key)} of ${host} is revoked in known_hosts`,
        );
        return false;
      case 'changed':
        this.hostFailure = new SshError(
          'host-key',
          `${host} has shown ${describeHost(key)}, and known_hosts has another: this may be somebody else`,
        );
        return false;
      case 'unknown':
        if (verifyHost !== undefined) return null;
        this.hostFailure = new SshError(
          'host-key',
          `${host} is not in known_hosts; it has shown ${describeHost(key)}`,
        );
        return false;
    }
  }
}

function describeHost({ algorithm, fingerprint }: SshHostKey): string {
  return `the ${algorithm} key ${fingerprint}`;
}

function describeKey(bytes: Uint8Array): SshHostKey {
  const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(0);
  const hash = createHash('sha256').update(bytes).digest('base64').replace(/=+$/, '');
  return {
    algorithm: Buffer.from(bytes.subarray(4, 4 + length)).toString('latin1'),
    fingerprint: `SHA256:${hash}`,
    bytes,
  };
}

/** A host with several keys is to show the one that is known. */
function preferKnown(
  algorithms: readonly string[],
  knownHosts: string | undefined,
  names: readonly string[],
): readonly string[] {
  if (knownHosts === undefined) return algorithms;
  const known = new Set(knownAlgorithms(knownHosts, names));
  const isKnown = (name: string): boolean => known.has(name.startsWith('rsa-sha2-') ? 'ssh-rsa' : name);
  return [...algorithms.filter(isKnown), ...algorithms.filter((name) => !isKnown(name))];
}

/** How many attempts a client has had. */
export class Attempts {
  #failed = 0;
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  /** Counts one that failed; false once there are no more. */
  failed(): boolean {
    this.#failed++;
    return this.#failed < this.#most;
  }
}
