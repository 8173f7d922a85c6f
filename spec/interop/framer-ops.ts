import { createHash } from 'node:crypto';
import type { Provider, Stream } from 'rxmux/node';

/** What the streams of spec/interop/go/framer ask for in their header `op`, answered through the public API. */

/** The byte at offset `at` of what `source` sends and `echo` is given. */
function patternByte(at: number): number {
  return ((at % 251) * 31 + 7) % 251;
}

/** The pattern repeats after 251 bytes; pieces are cut out of this. */
const pieceBytes = 64 * 1024;
const repeated: Uint8Array = Uint8Array.from({ length: pieceBytes + 251 }, (_, at) => patternByte(at));

/** `size` bytes of the pattern, beginning with offset `from`. */
export function* pattern(size: number, from = 0): Generator<Uint8Array> {
  for (let at = from; at < from + size; at += pieceBytes) {
    const start = at % 251;
    yield repeated.slice(start, start + Math.min(pieceBytes, from + size - at));
  }
}

export function patternBytes(size: number): Uint8Array {
  return Buffer.concat([...pattern(size)]);
}

/** Reads a stream to its end: how many bytes there were, whether they were the pattern, and their SHA-256. */
export async function readPattern(
  stream: AsyncIterable<Uint8Array>,
): Promise<{ bytes: number; isPattern: boolean; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  let isPattern = true;
  for await (const chunk of stream) {
    hash.update(chunk);
    for (let at = 0; at < chunk.byteLength; at += pieceBytes) {
      const piece = chunk.subarray(at, at + pieceBytes);
      const start = bytes % 251;
      if (Buffer.compare(piece, repeated.subarray(start, start + piece.byteLength)) !== 0) isPattern = false;
      bytes += piece.byteLength;
    }
  }
  return { bytes, isPattern, sha256: hash.digest('hex') };
}

export function patternHash(size: number): string {
  const hash = createHash('sha256');
  for (const piece of pattern(size)) hash.update(piece);
  return hash.digest('hex');
}

function numberOf(stream: Stream, name: string, otherwise: number): number {
  const text = stream.headers.get(name);
  return text === undefined ? otherwise : Number(text);
}

/** The headers that an echo gives back. */
function echoed(headers: Iterable<readonly [string, string]>): (readonly [string, string])[] {
  return [...headers].filter(([name]) => name.startsWith('x-'));
}

/** Answers every stream that the peer opens, until the connection is over. */
export function serveOps(provider: Provider): void {
  provider.accept$.subscribe({
    // A stream that fails is the business of whoever reset it.
    next: (stream) => void serveOp(provider, stream).catch(() => stream.reset('internal-error')),
    error: () => {},
  });
}

async function serveOp(provider: Provider, stream: Stream): Promise<void> {
  switch (stream.headers.get('op')) {
    case 'echo':
      return echo(stream);
    case 'sink':
      return sink(stream.accept());
    case 'slow':
      stream.accept();
      // As long as the peer asks for: it looks meanwhile at what it may send.
      await new Promise((resolve) => setTimeout(resolve, numberOf(stream, 'ms', 100)));
      return sink(stream);
    case 'source':
      stream.accept();
      await stream.send(pattern(numberOf(stream, 'size', 0)));
      return discard(stream);
    case 'refuse':
      return stream.reject(numberOf(stream, 'code', 4), { 'x-why': 'test' });
    case 'reset':
      await take(stream.accept(), numberOf(stream, 'after', 0));
      return stream.reset(numberOf(stream, 'code', 5));
    case 'stop':
      await take(stream.accept(), numberOf(stream, 'after', 0));
      stream.stop('cancel');
      return stream.send('stopped');
    case 'dial-back':
      return dialBack(provider, stream.accept());
    default:
      return stream.reject();
  }
}

async function echo(stream: Stream): Promise<void> {
  stream.accept(echoed(stream.headers));
  if (stream.headers.get('trailers') !== 'yes') return stream.send(stream.data$);
  await stream.send(stream.data$, { end: false });
  return stream.end({ 'x-count': String(stream.stats.bytesIn) });
}

async function sink(stream: Stream): Promise<void> {
  const { sha256 } = await readPattern(stream);
  return stream.send(sha256);
}

async function discard(stream: Stream): Promise<void> {
  for await (const _chunk of stream);
}

/** Reads until there were `count` bytes. */
async function take(stream: Stream, count: number): Promise<void> {
  for (let had = 0; had < count; ) {
    const chunk = await stream.read();
    if (chunk === null) throw new Error(`the stream ended after ${had} bytes of ${count}`);
    had += chunk.byteLength;
  }
}

async function dialBack(provider: Provider, stream: Stream): Promise<void> {
  const count = numberOf(stream, 'count', 1);
  const echoes = Array.from({ length: count }, (_, n) => echoOnce(provider, [['x-n', String(n)]], 1000));
  const good = (await Promise.allSettled(echoes)).filter(({ status }) => status === 'fulfilled').length;
  await stream.send(String(good));
  return discard(stream);
}

/** Sends `size` bytes of the pattern to an echo, and fails unless they and the headers come back. */
export async function echoOnce(
  provider: Provider,
  headers: readonly (readonly [string, string])[],
  size: number,
): Promise<void> {
  const stream = provider.newStream([['op', 'echo'], ...headers]);
  void stream.send(pattern(size));
  const answer = JSON.stringify([...(await stream.reply)]);
  const wanted = JSON.stringify(echoed(headers));
  if (answer !== wanted) throw new Error(`the reply's headers are ${answer}, not ${wanted}`);
  const { bytes, isPattern } = await readPattern(stream);
  if (bytes !== size || !isPattern) throw new Error(`an echo of ${bytes} bytes for ${size}: ${isPattern}`);
  await stream.closed;
}
