import { createHash } from 'node:crypto';
import { map, tap } from 'rxjs';
import type { Provider, Stream } from 'rxmux';
import { listen } from 'rxmux/node';
import { protocolNamed } from './scenarios.js';

/** What a server is told; plain data, so that it can cross to another process. */
export interface ServerRequest {
  readonly protocol: string;
  readonly address: string;
  /** The most that one client opens at once. */
  readonly streams: number;
  readonly tls: { readonly key: string; readonly cert: string };
}

export interface RunningServer {
  /** With the port that the system chose. */
  readonly address: string;
  close(): Promise<void>;
}

export type StartServer = (request: ServerRequest) => Promise<RunningServer>;

/** Faults that a spec injects. */
export interface ServerFaults {
  /** Changes a chunk on its way back to the client. */
  readonly tamper?: (chunk: Uint8Array, path: string) => Uint8Array;
  /** Changes what the server says it got. */
  readonly misreport?: (sha256: string, path: string) => string;
}

/** Starts a server that sends every stream's bytes back, and the SHA-256 of what it got in its trailers. */
export async function serve(request: ServerRequest, faults: ServerFaults = {}): Promise<RunningServer> {
  const { protocol, address, streams, tls } = request;
  const limits = { maxStreams: streams, backlog: streams };
  const listener = await listen(address, protocolNamed(protocol, tls), { tls, limits });
  // A connection or stream that fails is the client's to report: its digests will be missing there.
  const ignore = (): void => {};
  const take = (provider: Provider): void => {
    provider.accept$.subscribe({
      next: (stream) => void answer(stream, faults).catch(ignore),
      error: ignore,
    });
  };
  listener.accept$.subscribe({ next: take, error: ignore });
  return { address: listener.address, close: () => listener.close() };
}

async function answer(stream: Stream, faults: ServerFaults): Promise<void> {
  const path = stream.headers.get(':path') ?? '';
  if (!path.startsWith('/echo/')) {
    stream.reject('refused', { ':status': '404' });
    return;
  }
  stream.accept({ ':status': '200' });
  const { tamper = (chunk) => chunk, misreport = (sha256) => sha256 } = faults;
  const hash = createHash('sha256');
  const echo$ = stream.data$.pipe(
    tap((chunk) => hash.update(chunk)),
    map((chunk) => tamper(chunk, path)),
  );
  // While the client's window is shut, send() holds data$, which in turn shuts the window of the client's sending half.
  await stream.send(echo$, { end: false });
  await stream.end({ sha256: misreport(hash.digest('hex'), path) });
}
