/** Attacks on a SPDY server, with a polite connection beside each of them. */
import { once } from 'node:events';
import { connect as dial } from 'node:net';
import { deflateSync, constants as zlib } from 'node:zlib';
import { connect, type Listener, listen, type Provider, type StreamError } from 'rxmux/node';
import { spdy } from 'rxmux/spdy';
import { SpdyParser, writeSynStreamHead } from '../../lib/spdy/codec.js';
import { SPDY_DICTIONARY_ID, spdyDictionary } from '../../lib/spdy/dictionary.js';
import { HeaderBlockEncoder, StoredDeflate } from '../../lib/spdy/header-block.js';
import {
  control,
  data,
  goAway,
  initialWindow,
  ping,
  rawSynStream,
  rst,
  settings,
  windowUpdate,
} from '../spdy/scripted-peer.js';
import { trackProvider } from '../support/leaks.js';
import { residentBytes } from './resident.js';

const MiB = 1024 * 1024;
/** 16 MiB for the victim; the attacker is in this process too. */
const mostGrown: number = 32 * MiB;

let listener: Listener;
let canary: Provider;
/** The server's ends of the connections, the canary's first. */
let victims: Provider[];
/** What became of them. */
let fates: Promise<StreamError | null>[];

beforeEach(async () => {
  fates = [];
  victims = [];
  listener = await listen('tcp://127.0.0.1:0', spdy);
  listener.accept$.subscribe((provider) => {
    victims.push(trackProvider(provider));
    fates.push(
      provider.closed.then(
        () => null,
        (error: StreamError) => error,
      ),
    );
    provider.accept$.subscribe({
      next: (stream) => void stream.send(stream.data$).catch(() => {}),
      error: () => {},
    });
  });
  canary = await connect(listener.address, spdy);
  await roundTrip();
});

afterEach(async () => {
  await canary.close();
  await listener.close();
});

async function roundTrip(): Promise<void> {
  const stream = canary.newStream({ 'x-canary': 'yes' });
  void stream.send('are you there?');
  let text = '';
  for await (const chunk of stream) text += new TextDecoder().decode(chunk);
  expect(text).toBe('are you there?');
}

interface Attack {
  /** Written first. */
  readonly head?: Uint8Array;
  /** Written again and again, until the connection is gone. */
  readonly loop?: Uint8Array;
  /** The attacker reads what it is told. Default true. */
  readonly reads?: boolean;
}

interface Outcome {
  readonly error: StreamError | null;
  /** Of the GOAWAY that the attacker heard. */
  readonly status: number | undefined;
  readonly written: number;
  readonly grown: number;
  /** The most that the victim held for the application. */
  readonly unread: number;
}

/** Attacks until the victim has thrown the attacker out, with the canary going on meanwhile. */
async function attack({ head, loop, reads = true }: Attack): Promise<Outcome> {
  const before = residentBytes();
  const socket = dial(Number(listener.address.split(':').at(-1)), '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  let over = false;
  socket.once('close', () => {
    over = true;
  });
  let status: number | undefined;
  const ignore = (): void => {};
  const parser = new SpdyParser({
    synStream: ignore,
    synReply: ignore,
    headers: ignore,
    dataStart: ignore,
    data: ignore,
    rstStream: ignore,
    settings: ignore,
    ping: ignore,
    windowUpdate: ignore,
    unknown: ignore,
    goAway: (_last, code) => {
      status = code;
    },
  });
  if (reads) socket.on('data', (chunk) => parser.parse(chunk));
  let written = 0;
  const write = (bytes: Uint8Array): void => {
    written += bytes.byteLength;
    socket.write(bytes);
  };
  if (head !== undefined) write(head);
  let grown = 0;
  let unread = 0;
  const deadline = performance.now() + 4000;
  while (!over && performance.now() < deadline) {
    if (loop !== undefined && socket.writableLength < MiB) write(loop);
    await roundTrip();
    grown = Math.max(grown, residentBytes() - before);
    const streams = [...(victims[1]?.streams.values() ?? [])];
    unread = Math.max(
      unread,
      streams.reduce((sum, { stats }) => sum + stats.queuedIn, 0),
    );
  }
  socket.destroy();
  const fate = fates[1];
  if (fate === undefined) throw new Error('the victim never saw the attacker');
  return { error: await fate, status, written, grown, unread };
}

/** Thrown out, with a typed error, and without having cost much. */
function expectThrownOut({ error, grown }: Outcome, code?: string): void {
  expect(error).toMatchObject({ remote: true, ...(code === undefined ? {} : { code }) });
  expect(grown).toBeLessThan(mostGrown);
}

function many(count: number, make: (index: number) => Uint8Array): Uint8Array {
  return Buffer.concat(Array.from({ length: count }, (_, index) => make(index)));
}

function opening(encoder: HeaderBlockEncoder, id: number, headers: [string, string][] = []): Uint8Array {
  const frame = encoder.encode(headers, 18);
  writeSynStreamHead(frame, 0, id, 0, 0, 0, frame.byteLength - 18);
  return frame;
}

function words(...values: number[]): Uint8Array {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, at) => {
    bytes.writeUInt32BE(value >>> 0, at * 4);
  });
  return bytes;
}

/** A header block as zlib makes it. */
function deflated(content: Uint8Array): Uint8Array {
  return deflateSync(content, { dictionary: spdyDictionary, finishFlush: zlib.Z_SYNC_FLUSH, level: 9 });
}

/** A header block that is not compressed, with any content. */
function stored(content: Uint8Array): Uint8Array {
  const deflate = new StoredDeflate(SPDY_DICTIONARY_ID);
  const block = new Uint8Array(deflate.size(content.byteLength));
  deflate.write(block, 0, content);
  return block;
}

describe('numbers that are believed', () => {
  it.each([
    ['a SETTINGS count of 2^32 - 1', control(4, words(0xffffffff))],
    ['a SETTINGS count that is not that of its entries', control(4, words(5, 7, 65_536))],
    ['more SETTINGS than anybody needs', control(4, Buffer.concat([words(1000), new Uint8Array(8000)]))],
    ['a control frame of 16 MiB', words(0x80030001, 0x00ffffff)],
    ['a PING of the wrong length', control(6, new Uint8Array(5))],
    ['a frame of another version', words(0x80020006, 4, 1)],
    ['DATA for stream 0', data(0, 10)],
  ])('%s ends the connection', async (_name, frame) => {
    const outcome = await attack({ head: Buffer.concat([ping(1), frame]) });
    expectThrownOut(outcome);
    expect(outcome.status).toBe(1);
  });

  it.each([
    ['2^32 - 1 headers', words(0xffffffff)],
    ['a name of 2^32 - 1 bytes', words(1, 0xffffffff)],
    ['a value of 2^31 bytes', Buffer.concat([words(1, 1), Buffer.from('x'), words(0x80000000)])],
    ['an empty name', words(1, 0, 0)],
    ['a block that ends too early', words(3)],
  ])('a header block of %s is one stream’s error', async (_name, content) => {
    const outcome = await attack({ head: Buffer.concat([rawSynStream(1, stored(content)), goAway(0)]) });
    expect(outcome.error).toBeNull();
    expect(outcome.grown).toBeLessThan(mostGrown);
  });

  it('names of the prototype are names like others', async () => {
    const encoder = new HeaderBlockEncoder();
    const names = ['__proto__', 'constructor', 'hasownproperty', 'tostring'];
    const frame = opening(
      encoder,
      1,
      names.map((name) => [name, 'polluted']),
    );
    await attack({ head: Buffer.concat([frame, rst(1), goAway(0)]) });
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(Object.prototype.toString.call({})).toBe('[object Object]');
  });
});

describe('the zlib stream', () => {
  it('of a bomb is not unpacked beyond the limit', async () => {
    const outcome = await attack({ head: rawSynStream(1, deflated(new Uint8Array(8 * MiB))) });
    expectThrownOut(outcome, 'limit');
  });

  it('of garbage ends the connection', async () => {
    const noise = Uint8Array.from({ length: 500 }, (_, at) => (at * 7919) >> 3);
    expectThrownOut(await attack({ head: rawSynStream(1, noise) }), 'protocol');
  });

  it('with another dictionary ends the connection', async () => {
    const block = deflateSync(words(0), {
      dictionary: Buffer.from('quite another dictionary'),
      finishFlush: zlib.Z_SYNC_FLUSH,
    });
    expectThrownOut(await attack({ head: rawSynStream(1, block) }), 'protocol');
  });

  it('of a block of 64 KiB is too long on the wire', async () => {
    expectThrownOut(await attack({ head: rawSynStream(1, new Uint8Array(60_000)) }), 'limit');
  });
});

describe('floods', () => {
  const encoder = new HeaderBlockEncoder();
  const block = [...opening(encoder, 1)].slice(18);
  const head = opening(new HeaderBlockEncoder(), 1);
  const next = (index: number): Uint8Array => rawSynStream(3 + 2 * index, nextBlock);
  const nextBlock = opening(encoder, 3).subarray(18);

  it.each<[string, Attack]>([
    ['pings', { loop: many(1000, (index) => ping(1 + 2 * index)) }],
    ['pings whose answers are not read', { loop: many(1000, () => ping(1)), reads: false }],
    ['settings', { loop: many(200, () => initialWindow(65_536)) }],
    ['settings that change nothing', { loop: many(200, () => settings()) }],
    ['frames of unknown types', { loop: many(1000, () => control(10, new Uint8Array(4))) }],
    ['empty DATA', { head, loop: many(1000, () => data(1, 0)) }],
    ['DATA for unknown streams', { loop: many(1000, () => data(99, 100)) }],
    ['tiny credit', { head, loop: many(1000, () => windowUpdate(1, 1)) }],
    ['credit of 0 for a stream', { head, loop: many(1000, () => windowUpdate(1, 0)) }],
    ['RST_STREAM for unknown streams', { loop: many(1000, () => rst(99)) }],
    [
      'HEADERS that never end',
      { head, loop: many(500, () => control(8, Buffer.concat([words(1), nextBlock]))) },
    ],
    ['rapid resets', { head, loop: many(1000, (index) => Buffer.concat([next(index), rst(3 + 2 * index)])) }],
    ['streams, and no answer is read', { head, loop: many(3000, next), reads: false }],
    ['streams of the wrong parity', { head: Buffer.concat([head, rawSynStream(2, nextBlock)]) }],
    ['the same stream again and again', { head, loop: many(300, () => rawSynStream(1, nextBlock)) }],
    ['a window beyond 2^31 - 1', { head: many(2, () => windowUpdate(0, 0x7fffffff)) }],
    ['a credit of 0 for the connection', { head: windowUpdate(0, 0) }],
    ['noise', { head: Uint8Array.from({ length: 5000 }, (_, at) => (at * 2654435761) >>> 13) }],
  ])('%s', async (_name, how) => {
    expect(block.length).toBeGreaterThan(0);
    const outcome = await attack(how);
    expectThrownOut(outcome);
  });

  it('data beyond the connection’s window, by a peer that has shown windows', async () => {
    // More full windows than the budget has, with what it lends to streams beside unread ones.
    const ids = Array.from({ length: 20 }, (_, index) => 3 + 2 * index);
    const outcome = await attack({
      head: Buffer.concat([initialWindow(0), head, ...ids.map((_, index) => next(index))]),
      loop: Buffer.concat(ids.map((id) => data(id, 65_536))),
    });
    expectThrownOut(outcome, 'flow-control');
    expect(outcome.status).toBe(7);
  });

  it('data without windows, unread: the attacker waits, and our memory is bounded', async () => {
    const outcome = await attack({ head, loop: data(1, 65_536), reads: false });
    expect(outcome.unread).toBeGreaterThanOrEqual(MiB);
    expect(outcome.unread).toBeLessThan(1.25 * MiB);
    // What that costs the process is weighed where it has one of its own: spdy-attacks.spec.ts.
  });
});

it('a connection that says nothing is closed', async () => {
  const quick = await listen('tcp://127.0.0.1:0', spdy, { limits: { handshakeMs: 50 } });
  const accepted = new Promise<Provider>((resolve) => {
    quick.accept$.subscribe(resolve);
  });
  const socket = dial(Number(quick.address.split(':').at(-1)), '127.0.0.1');
  socket.resume();
  socket.write(Uint8Array.of(0x80, 3, 0));
  await expect((await accepted).closed).rejects.toMatchObject({ code: 'timeout' });
  if (!socket.destroyed) await once(socket.end(), 'close');
  await quick.close();
});

it('frames cut into single bytes are the same frames', async () => {
  const encoder = new HeaderBlockEncoder();
  const bytes = Buffer.concat([opening(encoder, 1, [['x-name', 'value']]), data(1, 10, true), goAway(0)]);
  const socket = dial(Number(listener.address.split(':').at(-1)), '127.0.0.1');
  socket.setNoDelay(true);
  let heard = 0;
  const ignore = (): void => {};
  const parser = new SpdyParser({
    synStream: ignore,
    synReply: ignore,
    headers: ignore,
    dataStart: ignore,
    rstStream: ignore,
    settings: ignore,
    ping: ignore,
    goAway: ignore,
    windowUpdate: ignore,
    unknown: ignore,
    data: (_id, chunk) => {
      heard += chunk.byteLength;
    },
  });
  socket.on('data', (chunk) => parser.parse(chunk));
  for (const byte of bytes) socket.write(Uint8Array.of(byte));
  await once(socket, 'close');
  expect(heard).toBe(10);
});
