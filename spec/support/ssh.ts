import { generateKeyPairSync } from 'node:crypto';
import type { Limits, Protocol } from 'rxmux';
import { type SshOptions, ssh } from 'rxmux/ssh';

/** A key pair as ssh2 and OpenSSH have them. */
export interface KeyPair {
  /** PEM. */
  readonly privateKey: string;
  /** As in authorized_keys and known_hosts, without the type before it and the comment behind it: base64. */
  readonly publicKey: string;
  /** `ssh-ed25519` or the like. */
  readonly algorithm: string;
}

/** Makes an Ed25519 pair in the format of OpenSSH, which is the only one that ssh2 knows for it. */
export function keyPair(): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const seed = Buffer.from(privateKey.export({ format: 'jwk' }).d as string, 'base64url');
  const point = Buffer.from(publicKey.export({ format: 'jwk' }).x as string, 'base64url');
  const algorithm = 'ssh-ed25519';
  const blob = Buffer.concat([text(algorithm), text(point)]);
  const check = Buffer.alloc(8, 7);
  const secret = Buffer.concat([
    check,
    text(algorithm),
    text(point),
    text(Buffer.concat([seed, point])),
    text(''),
  ]);
  const padding = Buffer.from(Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, at) => at + 1));
  const file = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    text('none'),
    text('none'),
    text(''),
    Buffer.from([0, 0, 0, 1]),
    text(blob),
    text(Buffer.concat([secret, padding])),
  ]);
  const lines = file.toString('base64').replace(/(.{70})/g, '$1\n');
  return {
    privateKey: `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----\n`,
    publicKey: blob.toString('base64'),
    algorithm,
  };
}

function text(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

let host: KeyPair | undefined;
let user: KeyPair | undefined;

/** The keys of this process: one for hosts, one for users. */
export function keys(): { readonly host: KeyPair; readonly user: KeyPair } {
  host ??= keyPair();
  user ??= keyPair();
  return { host, user };
}

/** What both ends need to trust each other; add to it, or replace parts. */
export function trusting(more: SshOptions = {}): SshOptions {
  const { host, user } = keys();
  return {
    username: 'alice',
    privateKey: user.privateKey,
    verifyHost: (key) => Buffer.from(key.bytes).toString('base64') === host.publicKey,
    hostKeys: [host.privateKey],
    authenticate: (attempt) =>
      attempt.method === 'publickey' &&
      attempt.username === 'alice' &&
      Buffer.from(attempt.key).toString('base64') === user.publicKey,
    ...more,
  };
}

/** SSH between two ends that trust each other, as any other protocol: for the kit, and for what compares them. */
export function trustedSsh(more: SshOptions = {}): Protocol {
  return ssh(trusting(more));
}

export type SomeLimits = Partial<Limits>;
