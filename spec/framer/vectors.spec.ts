import type { Stream } from '../../lib/api.js';
import { StreamError } from '../../lib/core/errors.js';
import { fromPeer } from '../../lib/core/headers.js';
import { defaultLimits } from '../../lib/core/limits.js';
import { type Frame, framesIn, hex, numberIn, readU32, T, toHex } from './bytes.js';
import { endPeers, Peer, turns } from './peer.js';
import { parsePieces } from './recorder.js';
import { type Vector, vectors } from './vectors.js';

const valid = vectors.filter((vector) => vector.events !== undefined);
const invalid = vectors.filter((vector) => vector.error !== undefined);

/** What only somebody who knows the streams can find wrong: to the codec these are frames like any other. */
const ofTheStreams =
  /role of the receiver|an even id|an odd id|id of the last|id below|never opened|before its answer|second ACCEPT|after ACCEPT|by the opener|after END|after TRAILERS|after the END|CREDIT of|beyond/;

const ofTheForm = /CREDIT of 3 bytes/;

afterEach(endPeers);

it('vectors.json has entries of both kinds, each with a name of its own', () => {
  expect(valid.length + invalid.length).toBe(vectors.length);
  expect(valid.length).toBeGreaterThan(40);
  expect(invalid.length).toBeGreaterThan(50);
  expect(new Set(vectors.map(({ name }) => name)).size).toBe(vectors.length);
});

function piecesOf(input: Uint8Array, size: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < input.byteLength; at += size) pieces.push(input.slice(at, at + size));
  return pieces;
}

const sizes: readonly (readonly [string, number])[] = [
  ['at once', Number.MAX_SAFE_INTEGER],
  ['byte by byte', 1],
];

// ------------------------------------------------------------------ the codec

/** The parser's events as a reader of streams would tell them: without those of streams that are over. */
function told(pieces: readonly Uint8Array[]): string[] {
  const { recorder, error } = parsePieces(pieces);
  if (error !== undefined) throw error;
  const over = new Set<string>();
  let blocks = 0;
  return recorder.events.flatMap((event) => {
    const [word, id = ''] = event.split(' ');
    const block = /^(open|accept|refuse|trailers)$/.test(word ?? '') ? recorder.blocks[blocks++] : undefined;
    if (/^(settings|ping|pong|goaway|skip)$/.test(word ?? '') || id === '0') return [event];
    if (over.has(id)) return [];
    const isBroken =
      (block !== undefined &&
        (block.error !== null || StreamError.is(fromPeer(block.flat, defaultLimits)))) ||
      Number(/^open .* urgency=(\d+)|$/.exec(event)?.[1] ?? 0) > 7;
    if (isBroken || word === 'reset' || word === 'refuse') over.add(id);
    return [isBroken ? `stream-error ${id} code=1` : event];
  });
}

describe.each(sizes)('the codec, %s', (_how, size) => {
  it.each(valid)('$name', ({ bytes, events }) => {
    expect(told(piecesOf(hex(bytes), size))).toEqual(events);
  });

  it.each(invalid)('$name', ({ name, bytes, error: expected }) => {
    const { error } = parsePieces(piecesOf(hex(bytes), size));
    if (ofTheStreams.test(name) && !ofTheForm.test(name)) expect(error).toBeUndefined();
    else {
      expect(StreamError.is(error)).toBe(true);
      // Without a word in the vector there is no GOAWAY; the error is the same.
      expect(error).toMatchObject({ code: 'protocol', reset: expected?.code ?? 'protocol-error' });
    }
  });
});

// ------------------------------------------------------------------ a provider

/** What is known of one stream, by whoever tells it: the vector, or the provider. */
interface StreamStory {
  headers?: string;
  reply?: string;
  data: string;
  end: boolean;
  trailers?: string;
  credit: number;
  stop?: number;
  reset?: string;
  refusal?: string;
  error?: number;
}

type Story = Record<string, StreamStory>;

/** The part of a vector's events that is about streams, one stream at a time. */
function storyOf(events: readonly string[]): Story {
  const story: Story = {};
  for (const event of events) {
    const [word = '', id = ''] = event.split(' ');
    if (/^(settings|ping|pong|goaway|skip)$/.test(word) || id === '0') continue;
    story[id] ??= { data: '', end: false, credit: 0 };
    const stream = story[id];
    const has = (pattern: RegExp): string => pattern.exec(event)?.[1] ?? '';
    const block = has(/headers=(\[.*\])/);
    if (word === 'open') stream.headers = block;
    if (word === 'accept') stream.reply = block;
    if (word === 'open' || word === 'accept') stream.data += has(/data=(.*)$/);
    if (word === 'data') stream.data += has(/end=\w+ (.*)$/);
    if (/end=true/.test(event)) stream.end = true;
    if (word === 'trailers') Object.assign(stream, { trailers: block, end: true });
    if (word === 'credit') stream.credit += Number(event.split(' ')[2]);
    if (word === 'stop') stream.stop = Number(has(/code=(\d+)/));
    if (word === 'reset') stream.reset = `${has(/code=(\d+)/)} ${has(/reason=(.*)$/)}`;
    if (word === 'refuse') stream.refusal = `${has(/code=(\d+)/)} ${has(/reason=(.*) headers/)} ${block}`;
    if (word === 'stream-error') stream.error = Number(has(/code=(\d+)/));
  }
  return story;
}

function list(headers: Iterable<readonly [string, string]>): string {
  return `[${[...headers].map(([name, value]) => `${name}=${value}`).join(',')}]`;
}

/** Watches one stream of a provider, reading whatever comes. */
class Watcher {
  readonly #stream: Stream;
  readonly #story: StreamStory = { data: '', end: false, credit: 0 };
  readonly #window: number;

  constructor(stream: Stream, window: number) {
    this.#stream = stream;
    this.#window = window;
    if (stream.origin === 'remote') this.#story.headers = list(stream.headers);
    else
      stream.reply.then(
        (headers) => {
          this.#story.reply = list(headers);
        },
        (error) => this.#failed(error),
      );
    stream.closed.catch((error) => this.#failed(error));
    stream.trailers.then(
      (trailers) => {
        if (trailers !== undefined) this.#story.trailers = list(trailers);
      },
      () => {},
    );
    stream.data$.subscribe({
      next: (chunk) => {
        this.#story.data += toHex(chunk);
      },
      error: (error) => this.#failed(error),
      complete: () => {
        this.#story.end = true;
      },
    });
  }

  /** What was seen; `out` are the frames that the provider sent. */
  async story(out: readonly Frame[]): Promise<StreamStory> {
    const stream = this.#stream;
    const story = this.#story;
    if (story.reset === undefined && story.refusal === undefined) {
      // What we sent ourselves is no credit of the peer's.
      story.credit = stream.stats.sendWindow - this.#window;
    }
    void stream.write('x').catch((error: unknown) => {
      if (StreamError.is(error) && error.code === 'stopped') story.stop = error.wireCode ?? -1;
    });
    await turns(2);
    const answer = out.find(({ id, type }) => id === stream.id && (type === T.RESET || type === T.REFUSE));
    if (answer !== undefined) {
      delete story.reset;
      delete story.refusal;
      story.error = numberIn(answer);
    }
    return story;
  }

  #failed(error: unknown): void {
    if (!StreamError.is(error) || !error.remote) return;
    const reason = /\): (.*)$/.exec(error.message)?.[1] ?? '';
    if (error.code === 'reset') this.#story.reset = `${error.wireCode} ${reason}`;
    if (error.code === 'refused')
      this.#story.refusal = `${error.wireCode} ${reason} ${list(error.headers ?? [])}`;
  }
}

/** The ids in `input` that the receiver, in the other role, must have opened itself. */
function ownIds({ from, bytes }: Vector): number[] {
  const odd = from === 'server';
  const ids = framesIn(hex(bytes), 8).map(({ id }) => id);
  return ids.filter((id) => id > 0 && id < 100 && (id % 2 === 1) === odd);
}

/** A provider that announced the least windows, and opened what the bytes take for granted. */
async function providerFor(vector: Vector): Promise<{ peer: Peer; streams: Stream[]; seen: string[] }> {
  const peer = new Peer(vector.from, {
    says: new Uint8Array(0),
    limits: { windowBytes: 16_384, receiveBudgetBytes: 65_536 },
  });
  const streams: Stream[] = [];
  const last = Math.max(0, ...ownIds(vector));
  while ((streams.at(-1)?.id ?? 0) < last) streams.push(peer.provider.newStream());
  await turns(1);
  const seen: string[] = [];
  peer.provider.frames$.subscribe(({ direction, name, streamId, length, flags }) => {
    if (direction === 'in') seen.push(`${name} ${streamId} ${length} ${flags}`);
  });
  return { peer, streams, seen };
}

describe.each(sizes)('a provider, %s', (_how, size) => {
  it.each(valid)('$name', async (vector) => {
    const input = hex(vector.bytes);
    const events = vector.events ?? [];
    const { peer, streams, seen } = await providerFor(vector);
    const initialWindow = Number(/initialWindow=(\d+)/.exec(events[0] ?? '')?.[1] ?? 0);
    const watchers = new Map(
      streams.map((stream) => [String(stream.id), new Watcher(stream, initialWindow)]),
    );
    const goAways: string[] = [];
    peer.provider.events$.subscribe((event) => {
      if (event.type === 'goaway' && event.remote) goAways.push(`last=${event.lastId}`);
    });
    const looked = new Set<Stream>();
    const look = (): void => {
      for (const stream of peer.accepted.filter((one) => !looked.has(one))) {
        looked.add(stream);
        watchers.set(String(stream.id), new Watcher(stream, initialWindow));
      }
    };
    for (const piece of piecesOf(input, size)) {
      peer.transport.feed(piece);
      look();
    }
    await turns();
    look();
    await turns();

    const out = await peer.frames();
    const story: Story = {};
    for (const [id, watcher] of watchers) story[id] = await watcher.story(out);
    for (const { id, type } of out) {
      // Refused before anybody saw it.
      if (type === T.REFUSE && story[id] === undefined)
        story[id] = { data: '', end: false, credit: 0, error: 1 };
    }
    const expected = storyOf(events);
    const begun = unfinishedData(input);
    // Data is passed on as it comes, and not only with its last byte.
    if (begun !== undefined) (expected[begun.id] as StreamStory).data += begun.data;
    expect(normal(story)).toEqual(normal(expected));

    const whole = framesIn(input, 8);
    expect(seen.slice(0, whole.length)).toEqual(
      whole.map(({ name, id, payload, flags }) => `${name} ${id} ${payload.byteLength} ${flags}`),
    );
    const pings = events.filter((event) => event.startsWith('ping')).map((event) => event.slice(5));
    expect(out.filter(({ name }) => name === 'PONG').map(({ payload }) => toHex(payload))).toEqual(pings);
    const away = events.filter((event) => event.startsWith('goaway'));
    expect(goAways).toEqual(away.map((event) => event.split(' ')[1]));
    expect(out.filter(({ name }) => name === 'GOAWAY')).toEqual([]);
    const failure = /code=([1-9]\d*)/.exec(away.join())?.[1];
    if (failure !== undefined) {
      await expect(peer.provider.closed).rejects.toMatchObject({ remote: true, wireCode: Number(failure) });
    } else if (away.length === 0 && events.length > 0) {
      expect(peer.provider.newStream().stats.sendWindow).toBe(initialWindow);
    }
  });

  it.each(invalid)('$name', async (vector) => {
    const { peer } = await providerFor(vector);
    for (const piece of piecesOf(hex(vector.bytes), size)) peer.transport.feed(piece);
    const error = await peer.expectEnd(vector.error?.code ?? null);
    expect(error.remote).toBe(true);
  });
});

/** The beginning of a DATA frame at the end of `input`. */
function unfinishedData(input: Uint8Array): { id: number; data: string } | undefined {
  const at = framesIn(input, 8).reduce((end, { payload }) => end + 8 + payload.byteLength, 8);
  if (at + 8 >= input.byteLength || (input[at] as number) >> 3 !== T.DATA) return undefined;
  return { id: readU32(input, at + 4), data: toHex(input.subarray(at + 8)) };
}

/** Without what cannot be seen of a stream that was reset: its data is dropped, and nothing else is left of it. */
function normal(story: Story): Story {
  return Object.fromEntries(
    Object.entries(story)
      .filter(([, { data, end, credit, ...rest }]) => data || end || credit || Object.keys(rest).length > 0)
      .map(([id, { headers, ...known }]) => {
        if (known.error !== undefined) return [id, { data: '', end: false, credit: 0, error: known.error }];
        const over = known.reset !== undefined || known.refusal !== undefined;
        return [
          id,
          { ...known, ...(over ? { data: '', end: false, credit: 0, stop: undefined } : {}), headers },
        ];
      })
      .map(([id, known]) => [id, JSON.parse(JSON.stringify(known))]),
  );
}
