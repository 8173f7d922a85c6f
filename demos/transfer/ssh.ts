import { createPrivateKey, createPublicKey } from 'node:crypto';
import type { Protocol } from 'rxmux';
import { ssh } from 'rxmux/ssh';
import type { Identity } from './tls.js';

/** SSH between two ends that have the same key: each shows it, and trusts whoever has it too. */
export function sshBetween({ key }: Identity): Protocol {
  const privateKey = createPrivateKey(key).export({ type: 'sec1', format: 'pem' }) as string;
  const ours = publicPoint(key);
  const isOurs = (bytes: Uint8Array): boolean => Buffer.from(bytes).subarray(-ours.length).equals(ours);
  return ssh({
    username: 'transfer',
    privateKey,
    hostKeys: [privateKey],
    verifyHost: (host) => isOurs(host.bytes),
    authenticate: (attempt) => attempt.method === 'publickey' && isOurs(attempt.key),
  });
}

/** The point of an elliptic curve with which a public key ends, in certificates as in SSH (RFC 5656 §3.1). */
function publicPoint(key: string): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(-65);
}
