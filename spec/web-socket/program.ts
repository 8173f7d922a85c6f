import { framer, fromWebSocket, type Provider, type Stream, StreamError } from 'rxmux';

/**
 * What runs where nothing of Node is: it is bundled, and a spec calls it in a page and in a process that has the
 * platform's WebSocket. `serve` and `sendRandom` are for both ends.
 */

let connection: Provider;
const kept: Stream[] = [];

export async function connect(url: string): Promise<void> {
  connection = framer(fromWebSocket(new WebSocket(url)), { role: 'client' });
  connection.accept$.subscribe({ next: (stream) => void serve(stream), error: () => {} });
  await connection.ping();
}

/** Does with a stream what its header says. */
export async function serve(stream: Stream): Promise<void> {
  switch (stream.headers.get('do')) {
    case 'hash':
      await stream.send(await hashOf(stream));
      break;
    case 'keep':
      kept.push(stream.accept());
      break;
    case 'reset':
      stream.reset(7);
      break;
    default:
      stream.reject();
  }
}

export interface Told {
  readonly sent: string;
  readonly got: string;
}

/** Sends random bytes, and has the other end say what their hash is. */
export async function sendRandom(provider: Provider, bytes: number): Promise<Told> {
  const all = new Uint8Array(bytes);
  const pieces = piecesOf(all);
  for (const piece of pieces) crypto.getRandomValues(piece);
  const stream = provider.newStream({ do: 'hash' });
  void stream.send(pieces);
  const [sent, got] = await Promise.all([digest(all), textOf(stream)]);
  return { sent, got };
}

/** The memory of WebAssembly with threads is shared, and that of an ArrayBuffer may be resizable. */
export async function sendFromOddMemory(): Promise<Told[]> {
  const { buffer } = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const Resizable = ArrayBuffer as unknown as new (bytes: number, options: object) => ArrayBuffer;
  const told: Told[] = [];
  for (const memory of [buffer, new Resizable(50_000, { maxByteLength: 60_000 })]) {
    const bytes = new Uint8Array(memory, 0, 50_000).fill(told.length + 1);
    const stream = connection.newStream({ do: 'hash' });
    void stream.send(bytes);
    const [sent, got] = await Promise.all([digest(bytes.slice()), textOf(stream)]);
    told.push({ sent, got });
  }
  return told;
}

export function send(bytes: number): Promise<Told> {
  return sendRandom(connection, bytes);
}

/** Reads what was left unread. */
export async function readKept(): Promise<string> {
  return hashOf(kept.shift() as Stream);
}

/** What is seen of a stream that the other end resets. */
export async function openDoomed(): Promise<Partial<StreamError>> {
  const error: unknown = await connection.newStream({ do: 'reset' }).closed.catch((reason) => reason);
  if (!StreamError.is(error)) throw new Error(`it was ${error}`);
  const { code, wireCode, remote } = error;
  return { code, ...(wireCode === undefined ? {} : { wireCode }), remote };
}

export function close(): Promise<void> {
  return connection.close();
}

/** How the connection has ended, or undefined if it ended well. */
export function fate(): Promise<string | undefined> {
  return connection.closed.then(
    () => undefined,
    ({ message, cause }: Error) => `${message}: ${(cause as Error | undefined)?.message}`,
  );
}

/** Speaks text on a WebSocket, and tells how it is closed. */
export function speakText(url: string): Promise<{ code: number; reason: string }> {
  const socket = new WebSocket(url);
  socket.onopen = () => socket.send('hello');
  return new Promise((resolve) => {
    socket.onclose = ({ code, reason }) => resolve({ code, reason });
  });
}

/** 64 KiB each: as much as the platform gives random bytes for at a time. */
export function piecesOf(all: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>[] {
  const length = 65_536;
  return Array.from({ length: Math.ceil(all.length / length) }, (_, index) =>
    all.subarray(index * length, (index + 1) * length),
  );
}

export async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return [...hash].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function hashOf(stream: Stream): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return digest(new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer()));
}

async function textOf(stream: Stream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += new TextDecoder().decode(chunk);
  return text;
}
