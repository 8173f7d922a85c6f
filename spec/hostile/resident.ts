/** How much memory a process holds. */
import { readFileSync } from 'node:fs';

/**
 * Bytes of this process in memory. Where the system tells them apart, without the parts of files that are mapped: the
 * executable is read in piece by piece as its code first runs, Node 26's compilers by megabytes, and whatever attack
 * happens to be the first would pay for it.
 */
export function residentBytes(): number {
  const own = process.platform === 'linux' ? ownKibibytes() : undefined;
  return own === undefined ? process.memoryUsage.rss() : own * 1024;
}

function ownKibibytes(): number | undefined {
  const status = readFileSync('/proc/self/status', 'latin1');
  const [anonymous, shared] = ['RssAnon', 'RssShmem'].map(
    (name) => status.match(`${name}:\\s*(\\d+) kB`)?.[1],
  );
  return anonymous === undefined || shared === undefined ? undefined : Number(anonymous) + Number(shared);
}
