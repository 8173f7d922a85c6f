import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findKnownHost, knownAlgorithms, knownNames } from '../../lib/ssh/known-hosts.js';
import { keygen, run } from '../interop/openssh.js';
import { interopTest } from '../support/interop.js';
import { keyPair } from '../support/ssh.js';

const right = keyPair();
const wrong = keyPair();
const bytes = new Uint8Array(Buffer.from(right.publicKey, 'base64'));
const line = (names: string, key = right): string => `${names} ${key.algorithm} ${key.publicKey}`;
const found = (contents: string, ...names: string[]): string =>
  findKnownHost(contents, names, right.algorithm, bytes);

describe('known_hosts', () => {
  it('knows a host by its name, its address or its port', () => {
    const contents = `# ours\n\n${line('example.com,10.0.0.1')} comment\n${line('[example.com]:2222')}\n`;
    expect(found(contents, ...knownNames('Example.com', 22))).toBe('known');
    expect(found(contents, ...knownNames('10.0.0.1', 22))).toBe('known');
    expect(found(contents, ...knownNames('example.com', 2222))).toBe('known');
    expect(found(contents, ...knownNames('example.com', 2223))).toBe('unknown');
    expect(found(contents, ...knownNames('example.org', 22))).toBe('unknown');
  });

  it('says that a key has changed, unless another line has it', () => {
    expect(found(line('a', wrong), 'a')).toBe('changed');
    expect(found(`${line('a', wrong)}\n${line('a')}`, 'a')).toBe('known');
    expect(found(`${line('a')}\n${line('a', wrong)}`, 'a')).toBe('known');
    expect(found(line('b', wrong), 'a')).toBe('unknown');
  });

  it('has patterns, and exceptions from them', () => {
    expect(found(line('*.example.com'), 'www.example.com')).toBe('known');
    expect(found(line('*.example.com'), 'example.com')).toBe('unknown');
    expect(found(line('ho?t'), 'host')).toBe('known');
    expect(found(line('*,!secret.example.com'), 'secret.example.com')).toBe('unknown');
    expect(found(line('*a*b*c*d*e*f*g*h*i*j'), 'a'.repeat(5000))).toBe('unknown');
  });

  it('a revoked key is revoked, whatever else is said of it', () => {
    expect(found(`${line('a')}\n@revoked ${line('*')}`, 'a')).toBe('revoked');
    expect(found(`@revoked ${line('*', wrong)}\n${line('a')}`, 'a')).toBe('known');
    expect(found(`@cert-authority ${line('a')}`, 'a')).toBe('unknown');
  });

  it('a key of its address is none of its name, unless it is revoked', () => {
    const ofAddress = (contents: string): string =>
      findKnownHost(contents, ['a'], right.algorithm, bytes, ['10.0.0.1']);
    expect(ofAddress(line('10.0.0.1'))).toBe('unknown');
    expect(ofAddress(`${line('a', wrong)}\n${line('10.0.0.1')}`)).toBe('changed');
    expect(ofAddress(`${line('a')}\n${line('10.0.0.1', wrong)}`)).toBe('known');
    expect(ofAddress(`${line('a')}\n@revoked ${line('10.0.0.1')}`)).toBe('revoked');
  });

  it('tells which kinds of keys a host has', () => {
    const contents = `${line('a')}\na ssh-rsa AAAA\n@revoked a ecdsa-sha2-nistp256 AAAA\nb x y`;
    expect(knownAlgorithms(contents, ['a'])).toEqual(['ssh-ed25519', 'ssh-rsa']);
  });

  it('survives what is no line of it', () => {
    expect(found('a\nb c\n@revoked\n|1|x a b\n|1||| a b\n\u0000\n', 'a')).toBe('unknown');
  });

  interopTest('understands names that ssh-keygen has hashed', keygen, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rxmux-known-'));
    const file = join(folder, 'known_hosts');
    writeFileSync(file, `${line('example.com')}\n${line('[example.com]:2222')}\n`);
    await run('ssh-keygen', ['-H', '-f', file]);
    const contents = readFileSync(file, 'utf8');
    rmSync(folder, { recursive: true });
    expect(contents).toContain('|1|');
    expect(found(contents, 'example.com')).toBe('known');
    expect(found(contents, '[example.com]:2222')).toBe('known');
    expect(found(contents, 'example.org')).toBe('unknown');
  });
});
