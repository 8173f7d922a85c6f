import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { der, derObjectId, derText, derTime } from './der.js';

/** A key and the certificate for it, as PEM. */
export interface Identity {
  readonly key: string;
  readonly cert: string;
}

const dayMs = 24 * 60 * 60 * 1000;

/**
 * A certificate (RFC 5280 §4.1) that nobody but its maker vouches for, good for one name and one day either way: a
 * client trusts it by having it as its only `ca`. The key never leaves this run of the job.
 */
export function selfSigned(host: string): Identity {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ecdsaWithSha256 = der('sequence', derObjectId('1.2.840.10045.4.3.2'));
  const commonName = der('sequence', derObjectId('2.5.4.3'), derText('utf8String', host));
  const name = der('sequence', der('set', commonName));
  const now = Date.now();
  const version3 = der(0xa0, der('integer', Uint8Array.of(2)));
  const content = der(
    'sequence',
    version3,
    der('integer', positive(randomBytes(16))),
    ecdsaWithSha256,
    name,
    der('sequence', derTime(new Date(now - dayMs)), derTime(new Date(now + dayMs))),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, der('sequence', authority(), altName(host))),
  );
  const signature = sign('sha256', content, privateKey);
  // A bit string says first how many bits of its last byte do not count.
  const certificate = der(
    'sequence',
    content,
    ecdsaWithSha256,
    der('bitString', Uint8Array.of(0), signature),
  );
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    cert: pem('CERTIFICATE', certificate),
  };
}

/** It may sign certificates, which it does with itself (§4.2.1.9). Critical, as all authorities' must be. */
function authority(): Uint8Array {
  const yes = der('boolean', Uint8Array.of(0xff));
  return der('sequence', derObjectId('2.5.29.19'), yes, der('octetString', der('sequence', yes)));
}

/** The name that clients compare; they have stopped looking at the common name (§4.2.1.6). */
function altName(host: string): Uint8Array {
  const dnsName = 0x82;
  const names = der('sequence', derText(dnsName, host));
  return der('sequence', derObjectId('2.5.29.17'), der('octetString', names));
}

/** A serial number is above zero, and written in as few bytes as it needs. */
function positive(bytes: Uint8Array): Uint8Array {
  bytes[0] = ((bytes[0] as number) & 0x3f) | 0x40;
  return bytes;
}

function pem(label: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
