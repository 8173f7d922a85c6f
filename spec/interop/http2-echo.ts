import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import type { Limits, Provider, Stream } from 'rxmux';
import { http2 } from 'rxmux/http2';
import { listen } from 'rxmux/node';
import { trackProvider } from '../support/leaks.js';

export interface Serving {
  readonly port: number;
  readonly address: string;
  /** Every stream that came, in order. */
  readonly streams: Stream[];
  readonly providers: Provider[];
  close(): Promise<void>;
}

/** A server of ours; what it does with a stream is `serve`. Without it, streams are echoed. */
export async function serving(
  serve: (stream: Stream) => void = echo,
  limits: Partial<Limits> = {},
  address = 'tcp://127.0.0.1:0',
  tls: object = {},
): Promise<Serving> {
  const listener = await listen(address, http2, { limits, tls });
  const streams: Stream[] = [];
  const providers: Provider[] = [];
  listener.accept$.subscribe((provider) => {
    providers.push(trackProvider(provider));
    provider.accept$.subscribe({
      next: (stream) => {
        streams.push(stream);
        serve(stream);
      },
      error: () => {},
    });
  });
  return {
    port: Number(listener.address.split(':').at(-1)),
    address: listener.address,
    streams,
    providers,
    close: () => listener.close({ signal: AbortSignal.timeout(900) }).catch(() => {}),
  };
}

export function echo(stream: Stream): void {
  stream.accept();
  void stream.send(stream.data$);
}

/** `count` bytes that are no pattern of any length, in pieces, and their sha256. */
export function* noise(count: number, piece: number = 64 * 1024): Generator<Uint8Array> {
  let state = 1;
  const words = new Uint32Array(piece / 4);
  for (let left = count; left > 0; left -= piece) {
    for (let at = 0; at < words.length; at++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      words[at] = state;
    }
    yield new Uint8Array(words.slice().buffer, 0, Math.min(left, piece));
  }
}

export function noiseHash(count: number): string {
  const hash = createHash('sha256');
  for (const piece of noise(count)) hash.update(piece);
  return hash.digest('hex');
}

/** What comes out of an async iterable of bytes: how much, and its sha256. */
export async function digest(source: AsyncIterable<Uint8Array>): Promise<{ bytes: number; hash: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of source) {
    hash.update(chunk);
    bytes += chunk.byteLength;
  }
  return { bytes, hash: hash.digest('hex') };
}

/** Runs a program to its end. */
export function run(
  program: string,
  args: readonly string[],
  input?: string | Uint8Array,
): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args);
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    child.stderr.on('data', (chunk) => {
      err += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}
