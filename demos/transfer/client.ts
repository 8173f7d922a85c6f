import { createHash, type Hash } from 'node:crypto';
import type { Provider, Stream } from 'rxmux';
import { type Part, read } from './files.js';
import { counted, messageOf } from './text.js';

/** Something that was not verified, and why. */
export interface Failure {
  readonly what: string;
  readonly why: string;
}

/** What has been moved so far; the table's figures. */
export interface Tally {
  /** Opened in all, or tried to. */
  streams: number;
  /** The most that were open at the same time. */
  atOnce: number;
  verified: number;
  /** That came back, verified or not. */
  bytes: number;
  seconds: number;
  readonly failures: Failure[];
  /** Told of each chunk that comes back. */
  readonly onBytes: (bytes: number) => void;
}

export function newTally(onBytes: (bytes: number) => void): Tally {
  return { streams: 0, atOnce: 0, verified: 0, bytes: 0, seconds: 0, failures: [], onBytes };
}

/**
 * Moves every part over a stream of its own, `streams` of them at once. Never rejects: what goes wrong with one part is
 * in `tally.failures`, and the other parts go on; a lost connection ends them all.
 */
export async function moveAll(
  provider: Provider,
  parts: readonly Part[],
  streams: number,
  tally: Tally,
): Promise<void> {
  const waiting = parts.values();
  let lost: unknown;
  provider.closed.catch((error: unknown) => {
    lost = error;
  });
  const work = async (): Promise<void> => {
    while (lost === undefined) {
      const next = waiting.next();
      if (next.done) return;
      await moveOne(provider, next.value, tally);
    }
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: Math.min(streams, parts.length) }, work));
  tally.seconds = (performance.now() - startedAt) / 1000;
  const left = parts.length - tally.streams;
  if (left > 0) tally.failures.push({ what: `${counted(left, 'further stream')}`, why: messageOf(lost) });
}

async function moveOne(provider: Provider, part: Part, tally: Tally): Promise<void> {
  const { name, offset, length } = part;
  const what = length === 0 ? name : `${name}, bytes ${offset} to ${offset + length - 1}`;
  const path = name.split('/').map(encodeURIComponent).join('/');
  tally.streams++;
  try {
    // Throws for a path that no headers have room for.
    const stream = provider.newStream({ ':method': 'POST', ':path': `/echo/${path}` }, { label: what });
    tally.atOnce = Math.max(tally.atOnce, provider.streams.size);
    const why = mismatch(await digests(stream, part, tally), provider.info.features.trailers);
    if (why === undefined) tally.verified++;
    else tally.failures.push({ what, why });
  } catch (error) {
    tally.failures.push({ what, why: messageOf(error) });
  }
}

/** SHA-256 of the same bytes, taken in three places. */
interface Digests {
  readonly sent: string;
  /** By the server, in its trailers. */
  readonly received: string | undefined;
  readonly returned: string;
}

async function digests(stream: Stream, part: Part, tally: Tally): Promise<Digests> {
  const sent = createHash('sha256');
  const returned = createHash('sha256');
  const sending = stream.send(hashed(read(part), sent));
  // Credit goes back as each chunk has been dealt with: the server is never more than a window ahead.
  const receiving = stream.data$.forEach((chunk) => {
    returned.update(chunk);
    tally.bytes += chunk.byteLength;
    tally.onBytes(chunk.byteLength);
  });
  const halves = await Promise.allSettled([sending, receiving]);
  // A file that cannot be read resets the stream, so both halves fail; the first one knows why.
  for (const half of halves) if (half.status === 'rejected') throw half.reason;
  const trailers = await stream.trailers;
  await stream.closed;
  return { sent: sent.digest('hex'), received: trailers?.get('sha256'), returned: returned.digest('hex') };
}

async function* hashed(source: AsyncIterable<Uint8Array>, hash: Hash): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
}

/** Why a stream is not verified, if so. Where the protocol has no trailers, the bytes themselves must do. */
function mismatch({ sent, received, returned }: Digests, hasTrailers: boolean): string | undefined {
  if (hasTrailers && received === undefined) return 'the server did not say what it got';
  if (received !== undefined && received !== sent)
    return `sent ${brief(sent)}, the server got ${brief(received)}`;
  if (returned !== sent) return `sent ${brief(sent)}, got back ${brief(returned)}`;
  return undefined;
}

function brief(digest: string): string {
  return `sha256 ${digest.slice(0, 12)}…`;
}
