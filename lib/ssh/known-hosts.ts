import { createHmac } from 'node:crypto';

/** What known_hosts says of a host's key. */
export type KnownHost = 'known' | 'revoked' | 'changed' | 'unknown';

interface Line {
  readonly marker: string | undefined;
  readonly patterns: readonly string[];
  readonly algorithm: string;
  readonly key: string;
}

/**
 * Looks a host's key up in the contents of a known_hosts file (sshd(8)), under any of the host's names: `example.com`,
 * or `[example.com]:2222` where the port is not 22. Hashed names, patterns with `*`, `?` and `!`, and `@revoked` are
 * understood; `@cert-authority` lines are passed over, since there are no certificates. Addresses count only for what is
 * revoked: whoever has the address of a host in their hands, say by DNS, does not have its name.
 */
export function findKnownHost(
  contents: string,
  names: readonly string[],
  algorithm: string,
  key: Uint8Array,
  addresses: readonly string[] = [],
): KnownHost {
  const wanted = Buffer.from(key).toString('base64');
  let result: KnownHost = 'unknown';
  for (const line of linesOf(contents)) {
    if (line.marker === '@cert-authority') continue;
    const isNamed = (name: string): boolean => matches(line.patterns, name);
    const same = line.algorithm === algorithm && line.key === wanted;
    if (line.marker === '@revoked') {
      if (same && (names.some(isNamed) || addresses.some(isNamed))) return 'revoked';
    } else if (!names.some(isNamed)) continue;
    else if (same) result = 'known';
    else if (result === 'unknown') result = 'changed';
  }
  return result;
}

/** The kinds of keys that a host is known by: it is to be asked for one of these first, or it would look changed. */
export function knownAlgorithms(contents: string, names: readonly string[]): string[] {
  const found = new Set<string>();
  for (const { marker, patterns, algorithm } of linesOf(contents)) {
    if (marker === undefined && names.some((name) => matches(patterns, name))) found.add(algorithm);
  }
  return [...found];
}

/** The names under which known_hosts has a host. */
export function knownNames(host: string, port: number): string[] {
  const name = host.toLowerCase();
  return port === 22 ? [name, `[${name}]:22`] : [`[${name}]:${port}`];
}

function linesOf(contents: string): Line[] {
  const lines: Line[] = [];
  for (const text of contents.split('\n')) {
    const fields = text.trim().split(/[ \t]+/);
    if (fields[0] === '' || fields[0]?.startsWith('#')) continue;
    const marker = fields[0]?.startsWith('@') ? fields.shift() : undefined;
    const [patterns, algorithm, key] = fields;
    if (patterns === undefined || algorithm === undefined || key === undefined) continue;
    lines.push({ marker, patterns: patterns.split(','), algorithm, key });
  }
  return lines;
}

function matches(patterns: readonly string[], name: string): boolean {
  let found = false;
  for (const pattern of patterns) {
    if (pattern.startsWith('!')) {
      if (matchesPattern(pattern.slice(1), name)) return false;
    } else if (matchesPattern(pattern, name)) found = true;
  }
  return found;
}

function matchesPattern(pattern: string, name: string): boolean {
  if (pattern.startsWith('|1|')) return matchesHash(pattern, name);
  return matchesGlob(pattern.toLowerCase(), name);
}

/** `|1|salt|hash`, the hash being HMAC-SHA1 of the name. */
function matchesHash(pattern: string, name: string): boolean {
  const [, , salt, hash] = pattern.split('|');
  if (salt === undefined || hash === undefined) return false;
  return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === hash;
}

/** `*` is any text, `?` any character. Without going back more than one `*`, so that no pattern takes long. */
function matchesGlob(pattern: string, name: string): boolean {
  let at = 0;
  let starAt = -1;
  let resumeAt = 0;
  for (let here = 0; here < name.length; ) {
    if (pattern[at] === '*') {
      starAt = at++;
      resumeAt = here;
    } else if (at < pattern.length && (pattern[at] === '?' || pattern[at] === name[here])) {
      at++;
      here++;
    } else if (starAt >= 0) {
      at = starAt + 1;
      here = ++resumeAt;
    } else return false;
  }
  while (pattern[at] === '*') at++;
  return at === pattern.length;
}
