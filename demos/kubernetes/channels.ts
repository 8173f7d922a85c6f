import type { Provider, Stream } from 'rxmux';
import type { Size } from './process.js';

/** The version of Kubernetes' channels that we speak: a Status on the error stream tells how the command ended. */
export const channelProtocol = 'v4.channel.k8s.io';

export type ChannelName = 'error' | 'stdin' | 'stdout' | 'stderr' | 'resize';

/** The streams of one command. */
export interface Channels {
  readonly error: Stream;
  readonly stdin?: Stream;
  readonly stdout?: Stream;
  readonly stderr?: Stream;
  readonly resize?: Stream;
}

/** What the query of `exec` and `attach` asks for. */
export interface ChannelOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

export function channelOptions(query: URLSearchParams): ChannelOptions {
  const isAskedFor = (name: string): boolean => ['true', '1'].includes(query.get(name) ?? '');
  const tty = isAskedFor('tty');
  return {
    stdin: isAskedFor('stdin'),
    stdout: isAskedFor('stdout'),
    // A terminal has one output.
    stderr: isAskedFor('stderr') && !tty,
    tty,
  };
}

/** In the order in which `kubectl` opens them. */
export function channelNames({ stdin, stdout, stderr, tty }: ChannelOptions): ChannelName[] {
  const wanted = { error: true, stdin, stdout, stderr, resize: tty };
  return (Object.keys(wanted) as ChannelName[]).filter((name) => wanted[name]);
}

/** How long the client may take to open them all. */
const openingMs = 30_000;

/** The streams that the client opens, told apart by their header `streamtype`. Rejects if one of them does not come. */
export async function acceptChannels(provider: Provider, options: ChannelOptions): Promise<Channels> {
  const wanted = new Set<string>(channelNames(options));
  const channels: Record<string, Stream> = {};
  const signal = AbortSignal.timeout(openingMs);
  while (wanted.size > 0) {
    const stream = await provider.accept({ signal });
    if (stream === null) throw new Error(`the client left before it had opened ${[...wanted].join(', ')}`);
    const name = stream.headers.get('streamtype') ?? '';
    if (!wanted.delete(name)) {
      stream.reject();
      continue;
    }
    // The client opens the next one when this one is answered.
    channels[name] = stream.accept();
  }
  return channels as unknown as Channels;
}

/** The sizes that the client's terminal has had; they come as lines of JSON. */
export async function* sizesOf(stream: Stream): AsyncGenerator<Size> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of stream) {
    const lines = (text + decoder.decode(chunk, { stream: true })).split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) {
      const { Width: columns, Height: rows } = JSON.parse(line) as { Width: number; Height: number };
      if (columns > 0 && rows > 0) yield { columns, rows };
    }
    if (text.length > mostLineChars) throw new Error('a size of a terminal is a short line');
  }
}

const mostLineChars = 1000;

export function sizeLine({ columns, rows }: Size): string {
  return `${JSON.stringify({ Width: columns, Height: rows })}\n`;
}
