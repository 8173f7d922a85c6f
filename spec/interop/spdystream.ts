/** Go's spdystream as a child process, and what is played with it: see go/spdystream/main.go. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createHash, type Hash } from 'node:crypto';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { connect, listen, type Provider, type Stream } from 'rxmux/node';
import { type SpdyOptions, spdy } from 'rxmux/spdy';
import { type Peer, peers } from '../support/interop.js';
import { trackProvider } from '../support/leaks.js';
import { buildGo, type GoProgram } from './go-program.js';

export const spdystream: readonly Peer[] = [
  peers.go,
  {
    name: 'spdystream',
    goPackage: 'github.com/docker/spdystream',
    debianPackage: 'golang-github-docker-spdystream-dev',
  },
];

/** Builds the peer; call it in a `beforeAll`, and `remove` in an `afterAll`. */
export function buildPeer(): Promise<GoProgram> {
  return buildGo('spdystream');
}

/** One connection with Go at its other end. */
export class GoPeer {
  readonly provider: Provider;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #answers: ((line: string) => void)[];
  readonly #close: () => Promise<void>;

  constructor(
    provider: Provider,
    child: ChildProcessWithoutNullStreams,
    answers: ((line: string) => void)[],
    close: () => Promise<void>,
  ) {
    this.provider = trackProvider(provider);
    this.#child = child;
    this.#answers = answers;
    this.#close = close;
  }

  /** Has Go do something on its side of the connection. One at a time. */
  async run(...words: readonly (string | number)[]): Promise<string> {
    const answer = new Promise<string>((resolve) => this.#answers.push(resolve));
    this.#child.stdin.write(`${words.join(' ')}\n`);
    const line = await answer;
    return line.slice(String(words[0]).length + 1);
  }

  /** Ends the connection, and then the process. */
  async end(): Promise<void> {
    this.provider.abort(new Error('the test is over'));
    const exited = once(this.#child, 'exit');
    this.#child.stdin.end();
    await exited;
    await this.#close();
  }
}

/** Connects to Go; `ours` is our role. */
export async function meet(
  program: string,
  ours: 'client' | 'server',
  options: SpdyOptions = {},
): Promise<GoPeer> {
  if (ours === 'client') {
    const { child, lines, answers } = start(program, '-');
    const [address] = (await once(lines, 'line')) as [string];
    lines.on('line', (line: string) => answers.shift()?.(line));
    const provider = await connect(`tcp://${address}`, spdy, options);
    return new GoPeer(provider, child, answers, async () => {});
  }
  const listener = await listen('tcp://127.0.0.1:0', spdy, options);
  const accepted = new Promise<Provider>((resolve) => {
    listener.accept$.subscribe(resolve);
  });
  const { child, lines, answers } = start(program, listener.address.replace('tcp://', ''));
  lines.on('line', (line: string) => answers.shift()?.(line));
  return new GoPeer(await accepted, child, answers, () => listener.close());
}

function start(
  program: string,
  address: string,
): { child: ChildProcessWithoutNullStreams; lines: Interface; answers: ((line: string) => void)[] } {
  const child = spawn(program, [address]);
  child.stderr.pipe(process.stderr);
  return { child, lines: createInterface(child.stdout), answers: [] };
}

/** Answers Go's streams as their header `play` says. */
export function serve(provider: Provider): void {
  provider.accept$.subscribe({
    next: (stream) => void play(stream).catch(() => {}),
    error: () => {},
  });
}

async function play(stream: Stream): Promise<void> {
  switch (stream.headers.get('play')) {
    case 'refuse':
      stream.reject();
      break;
    case 'reset':
      stream.reset();
      break;
    case 'headers':
      stream.accept({ 'x-seen': 'yes' });
      await stream.send(JSON.stringify(stream.headers));
      break;
    case 'trailers':
      await stream.write('body');
      await stream.end({ 'x-status': ['done', 'well'] });
      break;
    case 'sum': {
      const { bytes, sum } = await hashOf(stream);
      await stream.send(`${bytes} ${sum}`);
      break;
    }
    default:
      await stream.send(stream.data$);
  }
}

/** The bytes that both ends can make, from `at` on. */
export function filled(length: number, at: number = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = ((at + i) * 31) >> 3;
  return bytes;
}

const pieceBytes = 64 * 1024;

/** The same, made as it is asked for. */
export function* supply(length: number): Generator<Uint8Array> {
  for (let at = 0; at < length; at += pieceBytes) yield filled(Math.min(pieceBytes, length - at), at);
}

export function sumOf(length: number): string {
  const hash = createHash('sha256');
  for (const piece of supply(length)) hash.update(piece);
  return hash.digest('hex');
}

/** Reads to the end. */
export async function hashOf(stream: Stream): Promise<{ bytes: number; sum: string }> {
  const hash: Hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of stream) {
    hash.update(chunk);
    bytes += chunk.byteLength;
  }
  return { bytes, sum: hash.digest('hex') };
}

export async function textOf(stream: Stream): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** Sends bytes to a stream that echoes, and tells whether they came back. */
export async function echoes(stream: Stream, bytes: Uint8Array): Promise<boolean> {
  void stream.send(bytes);
  const expected = createHash('sha256').update(bytes).digest('hex');
  return (await hashOf(stream)).sum === expected;
}
