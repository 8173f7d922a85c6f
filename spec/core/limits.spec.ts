import type { Limits, Provider, Stream, StreamError } from 'rxmux';
import { framer, memoryPair } from 'rxmux';
import { http2 } from 'rxmux/http2';
import { defaultLimits, withLimits } from '../../lib/core/limits.js';
import { codes } from '../../lib/framer/frames.js';
import { writeFrameHeader, writePreface, writeSettings } from '../../lib/http2/codec.js';
import { frameType } from '../../lib/http2/frames.js';
import { fate, streamFailure, watch } from '../conformance/wait.js';
import {
  accept,
  clientId,
  credit,
  data,
  dataFrames,
  frame,
  goAway,
  hello,
  join,
  many,
  open,
  ping,
  pong,
  repeat,
  reset,
  settings,
  stop,
  uint32,
} from '../hostile/frames.js';
import { clearRigs, type Rig, type RigOptions, rig, settled } from '../hostile/raw-peer.js';
import { trackProvider } from '../support/leaks.js';

afterEach(clearRigs);

const mostCredit = 2 ** 31 - 1;
/** So many frames of a stream that has ended can be the network's delay, and do not count. */
const lateFrames = 4;

/** The connection is over for everybody, and the peer was told why. */
async function expectEnded(
  { provider, peer }: Rig,
  code: StreamError['code'],
  word: keyof typeof codes,
): Promise<StreamError> {
  const said = peer.last('GOAWAY').value;
  const error = await streamFailure(() => provider.closed);
  expect({ code: error.code, said }).toEqual({ code, said: codes[word] });
  expect(peer.ended).toBe(true);
  expect(provider.streams.size).toBe(0);
  return error;
}

/** The connection still answers, and still takes streams. */
async function expectAlive({ provider, peer }: Rig): Promise<void> {
  const pongs = peer.all('PONG').length;
  await peer.say(ping());
  expect(peer.all('PONG')).toHaveLength(pongs + 1);
  expect(peer.all('GOAWAY')).toEqual([]);
  expect(fate(provider.closed).state).toBe('pending');
}

/** A rig whose provider takes what it is offered. */
async function takingRig(options: RigOptions = {}): Promise<Rig & { taken: Stream[] }> {
  const made = await rig(options);
  return { ...made, taken: watch(made.provider.accept$).values };
}

/** Reads whatever comes, at once. */
function drain(stream: Stream): void {
  stream.data$.subscribe({ error: () => {} });
}

/** What our SETTINGS and CREDIT frames have allowed the peer so far, less what it sent. */
function creditOf({ peer }: Rig, id: number, sent: number): number {
  const said = peer.last('SETTINGS').settings;
  const start = id === 0 ? said?.connectionWindow : said?.initialWindow;
  return peer.all('CREDIT', id).reduce((sum, one) => sum + one.value, start ?? 0) - sent;
}

/** One name is one limit: whoever adds a name adds the test that goes one over it. */
const tested: Set<string> = new Set();
function limit(names: keyof typeof defaultLimits | (keyof typeof defaultLimits)[], body: () => void): void {
  for (const name of [names].flat()) tested.add(name);
  describe([names].flat().join(', '), body);
}

describe('limits', () => {
  it('are of a name that exists', () => {
    expect(() => withLimits(defaultLimits, { windowByte: 1 })).toThrow(TypeError);
    expect(() => withLimits(defaultLimits, { toString: 1 } as unknown as Limits)).toThrow(TypeError);
    const own = JSON.parse('{"__proto__": 1}') as Limits;
    expect(() => withLimits(defaultLimits, own)).toThrow('there is no limit "__proto__"');
    expect(() => framer(memoryPair()[0], { limits: { windows: 1 } })).toThrow('there is no limit "windows"');
  });

  it.each([-1, Number.NaN, '1', null, true, {}])('are not %p', (value) => {
    const own = { maxStreams: value } as unknown as Limits;
    expect(() => withLimits(defaultLimits, own)).toThrow(RangeError);
    expect(() => framer(memoryPair()[0], { limits: own })).toThrow(/^limit maxStreams cannot be /);
  });

  it.each([
    ['windowBytes', 1000.5],
    ['sendQuantumBytes', 1000.7],
    ['maxStreams', 0.5],
    ['sendQuantumBytes', 0],
    ['maxFramesPerTurn', 0],
    ['streamQueueBytes', 0],
    ['queueBytes', 0],
    ['receiveBudgetBytes', 0],
    ['backlog', 0],
  ])('are whole, and large enough for anything to move: not %s of %d', (name, value) => {
    expect(() => withLimits(defaultLimits, { [name]: value })).toThrow(RangeError);
  });

  it('may be broken numbers where they are times and rates', () => {
    const own = { deadMs: 0.5, pingsPerSecond: 0.25 };
    expect(withLimits(defaultLimits, own)).toEqual({ ...defaultLimits, ...own });
  });

  it('stay within what the wire can say', () => {
    const make = (limits: Partial<Limits>) => () => framer(memoryPair()[0], { limits });
    expect(make({ maxFrameBytes: 65_535 })).toThrow('limit maxFrameBytes is 65536 to 16777215, not 65535');
    expect(make({ maxFrameBytes: 2 ** 24 })).toThrow(RangeError);
  });

  it.each([
    ['windowBytes', 2 ** 31],
    ['maxWindowBytes', 2 ** 31],
    ['receiveBudgetBytes', 2 ** 31],
    ['windowBytes', Number.POSITIVE_INFINITY],
    ['maxStreamId', 2 ** 31],
  ])('stay within what the wire can say: %s of %d', (name, value) => {
    expect(() => framer(memoryPair()[0], { limits: { [name]: value } }).abort()).toThrow(RangeError);
  });

  it.each(['windowBytes', 'maxWindowBytes', 'receiveBudgetBytes', 'maxStreamId'])(
    'let a connection move: not %s of 0',
    (name) => {
      expect(() => framer(memoryPair()[0], { limits: { [name]: 0 } }).abort()).toThrow(RangeError);
    },
  );

  it('may be 0, or for times Infinity', () => {
    const none = { maxStreams: 0, idleMs: Number.POSITIVE_INFINITY };
    expect(withLimits(defaultLimits, none)).toEqual({ ...defaultLimits, ...none });
  });

  it('do not change the defaults', () => {
    const before = { ...defaultLimits };
    withLimits(defaultLimits, { windowBytes: 1, receiveBudgetBytes: 2 });
    expect(defaultLimits).toEqual(before);
  });
});

// ------------------------------------------------------------------ sizes

limit('maxFrameBytes', () => {
  it.each([65_536, 100_000])('ends the connection for a frame of one more than %d', async (maxFrameBytes) => {
    const made = await takingRig({ limits: { maxFrameBytes } });
    const { peer, taken } = made;
    expect(peer.last('SETTINGS').settings?.maxFrame).toBe(maxFrameBytes);
    await peer.say(open(1), data(1, maxFrameBytes));
    expect(taken[0]?.stats.bytesIn).toBe(maxFrameBytes);
    await expectAlive(made);
    await peer.say(data(1, maxFrameBytes + 1));
    const error = await expectEnded(made, 'protocol', 'protocol-error');
    expect(error.message).toBe(`the peer sent a frame of ${maxFrameBytes + 1} bytes of ${maxFrameBytes}`);
    expect(error.remote).toBe(true);
  });

  it('counts frames of every kind, from their header on', async () => {
    const made = await takingRig();
    await made.peer.say(frame(20, 0, 0, new Uint8Array(65_537)).subarray(0, 8));
    await expectEnded(made, 'protocol', 'protocol-error');
  });
});

limit('sendQuantumBytes', () => {
  it.each([1000, 1001])('sends %d bytes of a stream in turns of 1000', async (bytes) => {
    const { peer, taken } = await takingRig({ limits: { sendQuantumBytes: 1000 } });
    await peer.say(open(1), open(3));
    for (const stream of taken) void stream.write(new Uint8Array(bytes));
    await settled();
    const turns = peer.heard.filter((one) => one.name === 'ACCEPT' || one.name === 'DATA');
    expect(turns.map(({ id, bytes: sent }) => [id, sent])).toEqual(
      bytes === 1000 ? [[1, 1000], [3, 1000]] : [[1, 1000], [3, 1000], [1, 1], [3, 1]], // biome-ignore format: a table
    );
  });
});

limit('maxHeaderBlockBytes', () => {
  const value = (bytes: number): string => 'x'.repeat(bytes);
  /** A block of exactly `bytes` behind its own length. */
  const block = (bytes: number) =>
    [
      ['a', value(8000)],
      ['b', value(bytes - 8000 - 10)],
    ] as const;

  it('takes a block of exactly that', async () => {
    const { peer, taken } = await takingRig();
    await peer.say(open(1, { headers: block(16_000) }));
    expect(taken[0]?.headers.get('b')).toHaveLength(7990);
  });

  it('refuses a stream for one byte more', async () => {
    const made = await takingRig({ limits: { maxHeaderBlockBytes: 16_000 } });
    await made.peer.say(open(1, { headers: block(16_001) }));
    expect(made.taken).toEqual([]);
    expect(made.peer.last('REFUSE', 1).value).toBe(codes.limit);
    await expectAlive(made);
  });
});

limit('maxHeaderListBytes', () => {
  it('is not needed where header blocks are not packed', async () => {
    const { peer, taken } = await takingRig({ limits: { maxHeaderListBytes: 0 } });
    await peer.say(open(1, { headers: [['a', 'b']] }));
    expect(taken[0]?.headers.get('a')).toBe('b');
  });
});

limit('maxContinuations', () => {
  /** HTTP/2 cuts header blocks, our own frames do not: a HEADERS frame with so many CONTINUATION frames. */
  function block(continuations: number): Uint8Array {
    const ended = 4;
    const out = new Uint8Array(9 * (1 + continuations));
    writeFrameHeader(out, 0, 0, frameType.HEADERS, 0, 1);
    for (let count = 1; count <= continuations; count++) {
      const flags = count === continuations ? ended : 0;
      writeFrameHeader(out, 9 * count, 0, frameType.CONTINUATION, flags, 1);
    }
    return out;
  }

  it('ends the connection for one more frame of a header block', async () => {
    for (const [continuations, wrong] of [
      [5, false],
      [6, true],
    ] as const) {
      const [near, far] = memoryPair();
      const server = trackProvider(http2(far, { role: 'server', limits: { maxContinuations: 5 } }));
      near.start({ onData: () => {}, onEnd: () => {}, onDrain: () => {}, onClose: () => {} });
      const hello = new Uint8Array(24 + 9);
      writeSettings(hello, writePreface(hello, 0), []);
      near.write([hello, block(continuations)]);
      await settled();
      const closed = fate(server.closed);
      await settled();
      expect(closed.state).toBe(wrong ? 'rejected' : 'pending');
      if (wrong) expect((await streamFailure(() => server.closed)).message).toContain('CONTINUATION');
      near.destroy();
      await server.closed.catch(() => {});
    }
  });
});

limit('maxHeaders', () => {
  const list = (count: number) => Array.from({ length: count }, (_, index) => [`n${index}`, ''] as const);

  it('refuses a stream for one more, and the connection lives', async () => {
    const made = await takingRig({ limits: { maxHeaders: 5 } });
    const { peer, taken } = made;
    await peer.say(open(1, { headers: list(5) }), open(3, { headers: list(6) }));
    expect(taken.map(({ id }) => id)).toEqual([1]);
    expect(peer.last('REFUSE', 3)).toMatchObject({
      value: codes.limit,
      reason: 'the peer sent 6 headers, and 5 are allowed',
    });
    await expectAlive(made);
  });

  it('resets a stream of ours whose answer has one more', async () => {
    const made = await rig({ role: 'client', limits: { maxHeaders: 5 } });
    const [good, bad] = [made.provider.newStream(), made.provider.newStream()];
    await settled();
    await made.peer.say(accept(1, list(5)), accept(3, list(6)));
    expect([...(await good.reply)]).toHaveLength(5);
    const error = await streamFailure(() => bad.reply);
    expect([error.code, error.remote]).toEqual(['limit', true]);
    expect(made.peer.last('RESET', 3).value).toBe(codes.limit);
    expect(made.provider.streams.size).toBe(1);
    await expectAlive(made);
  });
});

limit(['maxHeaderNameBytes', 'maxHeaderValueBytes'], () => {
  it.each([
    [
      'name',
      [
        ['abc', ''],
        ['abcd', ''],
      ],
    ],
    [
      'value',
      [
        ['a', 'ééx'],
        ['a', 'éééé'],
      ],
    ],
  ] as const)('refuses a stream for a %s of one byte more', async (_what, [good, bad]) => {
    // biome-ignore format: a table
    const made = await takingRig({ limits: { maxHeaderNameBytes: 3, maxHeaderValueBytes: 5 } });
    const { peer, taken } = made;
    await peer.say(open(1, { headers: [good] }), open(3, { headers: [bad] }));
    expect(taken.map(({ id }) => id)).toEqual([1]);
    expect(peer.last('REFUSE', 3).value).toBe(codes.limit);
    await expectAlive(made);
  });
});

limit('windowBytes', () => {
  it('ends the connection for one byte more than an unread stream has', async () => {
    const made = await takingRig({ limits: { windowBytes: 20_000 } });
    const { peer, taken } = made;
    expect(peer.last('SETTINGS').settings?.initialWindow).toBe(20_000);
    await peer.say(open(1), data(1, 20_000));
    expect(taken[0]?.stats).toMatchObject({ queuedIn: 20_000, receiveWindow: 0 });
    await expectAlive(made);
    await peer.say(data(1, 1));
    const error = await expectEnded(made, 'flow-control', 'flow-control');
    expect([error.streamId, error.remote]).toEqual([1, true]);
    expect(error.message).toBe('stream 1: the peer sent 1 bytes into a window of 0');
  });

  it('tolerates what a peer may assume before it knows', async () => {
    const made = await takingRig({ limits: { windowBytes: 10 } });
    await made.peer.say(open(1), data(1, 16_384));
    await expectAlive(made);
    await made.peer.say(data(1, 1));
    await expectEnded(made, 'flow-control', 'flow-control');
  });

  it('counts the bytes that come with the opening', async () => {
    const made = await takingRig({ limits: { windowBytes: 20_000 } });
    await made.peer.say(open(1, { data: new Uint8Array(20_001) }));
    await expectEnded(made, 'flow-control', 'flow-control');
  });
});

limit(['maxWindowBytes', 'growthBudgetBytes'], () => {
  /** Sends as fast as allowed to a reader that takes everything at once; the widest credit of each stream. */
  async function widest(limits: Partial<Limits>, streams: number): Promise<number[]> {
    const made = await takingRig({ limits });
    const { peer, taken } = made;
    const sent: number[] = [];
    const most: number[] = [];
    await peer.say(many(streams, (index) => open(clientId(index))));
    for (const stream of taken) drain(stream);
    await settled();
    for (let round = 0; round < 12; round++) {
      for (let index = 0; index < streams; index++) {
        const id = clientId(index);
        const allowed = creditOf(made, id, sent[index] ?? 0);
        most[index] = Math.max(most[index] ?? 0, allowed);
        await peer.say(dataFrames(id, allowed));
        sent[index] = (sent[index] ?? 0) + allowed;
      }
    }
    expect(peer.all('GOAWAY')).toEqual([]);
    return most;
  }

  it('grow a window no further than that, for a reader that keeps up', async () => {
    expect(await widest({ windowBytes: 20_000, maxWindowBytes: 50_000 }, 1)).toEqual([50_000]);
  });

  it('grow all windows together no further than their budget', async () => {
    const limits = { windowBytes: 20_000, maxWindowBytes: 100_000, growthBudgetBytes: 30_000 };
    const windows = await widest(limits, 3);
    expect(windows.reduce((sum, one) => sum + one - 20_000, 0)).toBe(30_000);
  });

  it('leave a window alone if they say so', async () => {
    expect(await widest({ windowBytes: 20_000 }, 1)).toEqual([20_000]);
    const frozen = { windowBytes: 20_000, maxWindowBytes: 100_000, growthBudgetBytes: 0 };
    expect(await widest(frozen, 1)).toEqual([20_000]);
  });

  it('give the budget back when the stream is over', async () => {
    const limits = { windowBytes: 20_000, maxWindowBytes: 50_000, growthBudgetBytes: 30_000 };
    const made = await takingRig({ limits });
    const { peer, taken } = made;
    for (let index = 0; index < 3; index++) {
      const id = clientId(index);
      await peer.say(open(id));
      drain(taken[index] as Stream);
      let sent = 0;
      let most = 0;
      for (let round = 0; round < 8; round++) {
        const allowed = creditOf(made, id, sent);
        most = Math.max(most, allowed);
        await peer.say(dataFrames(id, allowed));
        sent += allowed;
      }
      expect(most).toBe(50_000);
      await peer.say(reset(id));
    }
  });
});

limit('receiveBudgetBytes', () => {
  const limits = { windowBytes: 60_000, receiveBudgetBytes: 100_000 };

  it('ends the connection for one byte more, over all its streams', async () => {
    const made = await takingRig({ limits });
    const { peer } = made;
    expect(peer.last('SETTINGS').settings?.connectionWindow).toBe(100_000);
    await peer.say(open(1), open(3), data(1, 60_000), data(3, 40_000));
    await expectAlive(made);
    await peer.say(data(3, 1));
    const error = await expectEnded(made, 'flow-control', 'flow-control');
    expect(error.message).toBe('the connection: the peer sent 1 bytes into a window of 0');
    expect(error.streamId).toBeUndefined();
  });

  it('gives back what is read, dropped, or for nobody', async () => {
    const made = await takingRig({ limits: { ...limits, maxStreams: 2 } });
    const { peer, taken } = made;
    await peer.say(open(1), open(3), data(1, 50_000), data(3, 50_000));
    expect(creditOf(made, 0, 100_000)).toBe(0);
    drain(taken[0] as Stream);
    await settled();
    expect(creditOf(made, 0, 100_000)).toBe(50_000);
    taken[1]?.reset();
    await settled();
    await peer.say(
      open(5, { data: new Uint8Array(1000) }),
      open(7),
      open(9, { data: new Uint8Array(60_000) }),
    );
    expect(peer.all('REFUSE').map(({ id }) => id)).toEqual([7, 9]);
    expect(creditOf(made, 0, 161_000)).toBeGreaterThanOrEqual(50_000);
    await expectAlive(made);
  });

  it('has room for one whole window, unless it says otherwise', () => {
    expect(withLimits(defaultLimits, { windowBytes: 5_000_000 }).receiveBudgetBytes).toBe(5_000_000);
  });
});

limit(['streamQueueBytes', 'queueBytes'], () => {
  function source(chunkBytes: number): { pulled: number; chunks: Iterable<Uint8Array> } {
    const made = { pulled: 0, chunks: [] as Iterable<Uint8Array> };
    made.chunks = (function* () {
      while (made.pulled < 10_000) {
        made.pulled += chunkBytes;
        yield new Uint8Array(chunkBytes);
      }
    })();
    return made;
  }

  it.each([
    [1000, 1000],
    [1001, 1100],
  ])('of %d has a source pulled for %d bytes before any is with the transport', async (limit, pulled) => {
    const { provider } = await rig({ role: 'client', limits: { streamQueueBytes: limit } });
    const one = source(100);
    void provider.newStream().send(one.chunks);
    expect(one.pulled).toBe(pulled);
  });

  it('counts all streams together', async () => {
    const limits = { streamQueueBytes: 1000, queueBytes: 1500 };
    const { provider } = await rig({ role: 'client', limits });
    const sources = [source(100), source(100), source(100)];
    for (const one of sources) void provider.newStream().send(one.chunks);
    expect(sources.map(({ pulled }) => pulled)).toEqual([1000, 500, 0]);
  });

  it('pulls nothing more while the transport takes nothing', async () => {
    const { provider, peer } = await rig({ role: 'client', limits: { streamQueueBytes: 1000 } });
    peer.blocked = true;
    const one = source(100);
    void provider.newStream().send(one.chunks);
    await settled();
    expect(one.pulled).toBeLessThanOrEqual(2000);
    await peer.drain();
    expect(one.pulled).toBe(10_000);
  });
});

limit('discardBytes', () => {
  it('is not needed where the wire has STOP: what was stopped gets no credit beyond its window', async () => {
    const made = await takingRig({ limits: { windowBytes: 20_000 } });
    const { peer, taken } = made;
    await peer.say(open(1));
    taken[0]?.accept().stop();
    await peer.say(dataFrames(1, 20_000));
    expect(peer.all('STOP', 1)).toHaveLength(1);
    expect(peer.all('CREDIT', 1)).toEqual([]);
    await expectAlive(made);
    await peer.say(data(1, 1));
    await expectEnded(made, 'flow-control', 'flow-control');
  });
});

limit('maxAnswerBytes', () => {
  const limits = { maxAnswerBytes: 1600, pingBurst: 1000, deadMs: 1000, keepaliveMs: 0 };

  /** 16 bytes each, which a transport does not take. */
  async function unheard(count: number): Promise<Rig> {
    const made = await rig({ limits });
    made.peer.blocked = true;
    // The first goes to the transport, which says then that it was the last.
    for (let index = 0; index <= count; index++) await made.peer.say(ping());
    return made;
  }

  it('pauses reading for one answer more, and goes on when they are gone', async () => {
    expect((await unheard(100)).peer.paused).toBe(false);
    const made = await unheard(101);
    expect(made.peer.paused).toBe(true);
    await made.peer.drain();
    expect(made.peer.paused).toBe(false);
    expect(made.peer.all('PONG')).toHaveLength(102);
    await expectAlive(made);
  });

  it('ends the connection of a peer that never takes its answers', async () => {
    const made = await unheard(101);
    await made.clock.advance(1000 + 1000 / 8 + 5);
    expect((await streamFailure(() => made.provider.closed)).code).toBe('timeout');
  });

  it('pauses within one turn of the event loop, however many ask in it', async () => {
    const made = await rig({ limits: { ...limits, pingBurst: 100_000 } });
    made.peer.blocked = true;
    await made.peer.say(ping());
    await made.peer.say(many(10_000, ping));
    for (let turn = 0; turn < 100; turn++) await made.clock.turn();
    expect(made.peer.paused).toBe(true);
    await made.peer.drain();
    const answered = made.peer.all('PONG').length;
    expect(answered).toBeLessThanOrEqual(1 + 2 * defaultLimits.maxFramesPerTurn);
  });
});

// ------------------------------------------------------------------ counts

limit('maxStreams', () => {
  it('refuses one more, to be tried elsewhere, until one is over', async () => {
    const made = await takingRig({ limits: { maxStreams: 2 } });
    const { peer, taken } = made;
    await peer.say(open(1), open(3), open(5));
    expect(taken.map(({ id }) => id)).toEqual([1, 3]);
    expect(peer.last('REFUSE').id).toBe(5);
    expect(peer.last('REFUSE').value).toBe(codes.refused);
    await peer.say(reset(1), open(7));
    expect(taken.map(({ id }) => id)).toEqual([1, 3, 7]);
    await expectAlive(made);
  });

  it('of 0 takes none at all', async () => {
    const made = await takingRig({ limits: { maxStreams: 0 } });
    await made.peer.say(open(1));
    expect([made.taken, made.peer.all('REFUSE')]).toMatchObject([[], [{ id: 1 }]]);
  });

  it('is nothing to those we open', async () => {
    const { provider } = await rig({ role: 'client', limits: { maxStreams: 0 } });
    for (let count = 0; count < 10; count++) provider.newStream();
    expect(provider.streams.size).toBe(10);
  });
});

limit('backlog', () => {
  it('refuses one more than wait, and never the connection', async () => {
    const made = await rig({ limits: { backlog: 2 } });
    const { peer, provider } = made;
    await peer.say(open(1), open(3), open(5));
    expect(peer.all('REFUSE')).toMatchObject([{ id: 5, value: codes.refused }]);
    expect([(await provider.accept())?.id, (await provider.accept())?.id]).toEqual([1, 3]);
    await peer.say(open(7));
    expect((await provider.accept())?.id).toBe(7);
    await expectAlive(made);
  });
});

limit('maxFramesPerTurn', () => {
  it('reads one more only in the next turn of the event loop', async () => {
    const { peer, taken, clock } = await takingRig({ limits: { maxFramesPerTurn: 4 } });
    await peer.say(
      open(1),
      many(10, () => data(1, 1)),
    );
    let before = 0;
    for (let turn = 0; turn < 4; turn++) {
      const bytesIn = taken[0]?.stats.bytesIn ?? 0;
      expect(bytesIn - before).toBeLessThanOrEqual(4);
      if (bytesIn < 10) expect(peer.paused).toBe(true);
      before = bytesIn;
      await clock.turn();
    }
    expect(before).toBe(10);
  });
});

describe('a violation that is noticed in a later turn', () => {
  it('leaves the transport reading, so that its end is seen', async () => {
    const made = await rig({ limits: { maxFramesPerTurn: 4 } });
    await made.peer.say(
      open(1),
      many(10, () => data(1, 1)),
      open(1),
    );
    for (let turn = 0; turn < 4; turn++) await made.clock.turn();
    await expectEnded(made, 'protocol', 'protocol-error');
    expect(made.peer.paused).toBe(false);
  });
});

describe('memory that a reader transfers while more in it is to be read', () => {
  it('ends the connection: what was lost is no end', async () => {
    const { peer, taken, provider, clock } = await takingRig({ limits: { maxFramesPerTurn: 1 } });
    await peer.say(open(1), open(3));
    for (let turn = 0; turn < 4; turn++) await clock.turn();
    const [one, other] = taken as [Stream, Stream];
    const failed = expect(other.read()).rejects.toMatchObject({ code: 'closed' });
    one.data$.subscribe({
      next: (chunk) => void structuredClone(0, { transfer: [chunk.buffer as ArrayBuffer] }),
      error: () => {},
    });
    await settled();
    await clock.turn();
    await peer.say(data(1, 5000), data(3, 5000, true));
    for (let turn = 0; turn < 4; turn++) await clock.turn();
    await failed;
    await expect(provider.closed).rejects.toMatchObject({ code: 'closed' });
  });
});

limit('maxTurnMs', () => {
  it('leaves the rest to the next turn once the time is over', async () => {
    const { peer, taken, clock } = await takingRig({ limits: { maxTurnMs: 5 } });
    await peer.say(open(1));
    await clock.turn();
    clock.msPerLook = 2;
    await peer.say(many(250, () => data(1, 1)));
    // It looks at the clock each 8 frames: three intervals of 2 ms are over 5.
    expect(taken[0]?.stats.bytesIn).toBe(24);
    clock.msPerLook = 0;
    await clock.turn();
    expect(taken[0]?.stats.bytesIn).toBe(250);
  });
});

limit(['tombstones', 'tombstoneMs'], () => {
  /** Two streams that we have reset, the second later than the first. */
  async function twoReset(limits: Partial<Limits>): Promise<Rig> {
    const made = await takingRig({ limits: { uselessBurst: 0, ...limits } });
    await made.peer.say(open(1), open(3));
    for (const stream of made.taken) stream.reset();
    await settled();
    return made;
  }

  it('forgives late frames of that many streams', async () => {
    const made = await twoReset({ tombstones: 2 });
    await made.peer.say(data(1, 1), data(3, 1), reset(1), credit(3, 100));
    await expectAlive(made);
  });

  it('do not know one stream more', async () => {
    const made = await twoReset({ tombstones: 1 });
    await made.peer.say(repeat(data(3, 1), 100));
    await expectAlive(made);
    await made.peer.say(repeat(credit(1, 100), 2 * lateFrames));
    await expectAlive(made);
    await made.peer.say(credit(1, 100));
    await expectEnded(made, 'limit', 'calm');
  });

  it('are forgotten after their time', async () => {
    const made = await twoReset({ tombstoneMs: 100 });
    await made.clock.advance(99);
    await made.peer.say(repeat(data(1, 1), 20));
    await expectAlive(made);
    await made.clock.advance(1);
    await made.peer.say(repeat(credit(1, 100), 2 * lateFrames));
    await expectAlive(made);
    await made.peer.say(credit(1, 100));
    await expectEnded(made, 'limit', 'calm');
  });

  it('forgive no more than could have been on its way', async () => {
    const made = await takingRig({ limits: { uselessBurst: 10, maxFramesPerTurn: 1_000_000 } });
    await made.peer.say(open(1));
    made.taken[0]?.reset();
    await made.peer.say(repeat(credit(1, 100), 20_000));
    await expectEnded(made, 'limit', 'calm');
  });

  it('forgive nothing to a peer that reset the stream itself', async () => {
    const made = await takingRig({ limits: { uselessBurst: 0 } });
    await made.peer.say(open(1), reset(1), repeat(reset(1), lateFrames));
    await expectAlive(made);
    await made.peer.say(reset(1));
    await expectEnded(made, 'limit', 'calm');
  });
});

limit('maxStreamId', () => {
  it('fails the next stream, which may be tried elsewhere, and says go-away', async () => {
    const made = await rig({ role: 'client', limits: { maxStreamId: 3 } });
    const { provider, peer } = made;
    const ours = [provider.newStream(), provider.newStream()];
    expect(ours.map(({ id }) => id)).toEqual([1, 3]);
    const error = await streamFailure(() => provider.newStream().closed);
    expect([error.code, error.remote, error.retryable]).toEqual(['limit', false, true]);
    await settled();
    expect(peer.last('GOAWAY').value).toBe(0);
    await peer.say(accept(1), data(1, 1, true), accept(3));
    expect(await ours[0]?.read()).toEqual(new Uint8Array(1));
    expect((await streamFailure(() => provider.newStream().closed)).code).toBe('closed');
    await Promise.all(ours.map((stream) => stream.end()));
    await peer.say(data(3, 1, true));
    await expect(ours[1]?.read()).resolves.toEqual(new Uint8Array(1));
    await peer.leave();
    await provider.closed;
  });
});

// ------------------------------------------------------------------ rates

/** Says `one(0)`, `one(1)`… one at a time until the connection is over; how many were allowed. */
async function allowed(made: Rig, one: (index: number) => Uint8Array, first: number = 0): Promise<number> {
  const over = fate(made.provider.closed);
  let index = first;
  for (; over.state === 'pending' && index < first + 100; index++) await made.peer.say(one(index));
  return index - first - 1;
}

/** A stream that both sides have ended, and one that only we have. */
const overId = 99_999;
const halfId = 99_997;

const rates = [
  ['reset', 'RESET', {}, (index: number) => join(open(clientId(index)), reset(clientId(index)))],
  ['refusal', 'OPEN beyond maxStreams', { maxStreams: 0 }, (index: number) => open(clientId(index))],
  ['error', 'OPEN with bad headers', {}, (index: number) => open(clientId(index), { headers: [['A', '']] })],
  ['error', 'OPEN with bad urgency', {}, (index: number) => open(clientId(index), { urgency: 8 })],
  ['error', 'OPEN with long headers', { maxHeaders: 0 }, (index: number) => open(clientId(index), { headers: [['a', '']] })], // biome-ignore format: a table
  ['ping', 'PING', {}, ping],
  ['useless', 'a frame of an unknown type', {}, () => frame(12, 0, 7)],
  ['useless', 'PONG that nobody asked for', {}, () => pong()],
  ['useless', 'tiny CREDIT', {}, () => credit(0, 63)],
  ['useless', 'second STOP', {}, () => stop(halfId)],
  ['useless', 'DATA of a stream that is over', {}, () => data(overId, 1)],
  ['useless', 'RESET of a stream that is over', {}, () => reset(overId)],
  ['useless', 'CREDIT of a stream that is over', {}, () => credit(overId, 1000)],
] as const satisfies [string, string, Partial<Limits>, (index: number) => Uint8Array][];

limit(
  [
    'resetBurst',
    'resetsPerSecond',
    'refusalBurst',
    'refusalsPerSecond',
    'errorBurst',
    'errorsPerSecond',
    'pingBurst',
    'pingsPerSecond',
    'uselessBurst',
    'uselessPerSecond',
  ],
  () => {
    it.each(rates)('%s: one %s too many ends the connection', async (fault, _what, others, one) => {
      const rate = fault === 'useless' ? 'uselessPerSecond' : `${fault}sPerSecond`;
      const limits = { [`${fault}Burst`]: 3, [rate]: 2 };
      const made = await rig({ limits: { ...limits, ...others } });
      closeEnded(made.provider);
      if (fault === 'useless') {
        await made.peer.say(open(halfId), open(overId, { end: true }));
        await made.peer.say(repeat(credit(overId, 100), lateFrames));
      }
      for (let index = 0; index < 3; index++) await made.peer.say(one(index));
      await made.clock.advance(1000);
      expect(made.peer.all('GOAWAY')).toEqual([]);
      // Two came back in that second.
      expect(await allowed(made, one, 3)).toBe(2);
      const error = await expectEnded(made, 'limit', 'calm');
      expect(error.message).toBe(`the peer sent too much that is of no use (${fault})`);
      expect(error.remote).toBe(true);
    });

    it('take empty DATA for useless, unless it ends the stream', async () => {
      const made = await takingRig({ limits: { uselessBurst: 2, uselessPerSecond: 0 } });
      await made.peer.say(open(1), data(1, 0), data(1, 0), data(1, 0, true));
      await expectAlive(made);
      await made.peer.say(open(3), data(3, 0));
      await expectEnded(made, 'limit', 'calm');
    });

    it('are full again after a while, and no fuller', async () => {
      const made = await rig({ limits: { pingBurst: 3, pingsPerSecond: 1 } });
      expect(await allowed(await rig({ limits: { pingBurst: 3, pingsPerSecond: 1 } }), ping)).toBe(3);
      await made.peer.say(ping(), ping(), ping());
      await made.clock.advance(10_000);
      expect(await allowed(made, ping)).toBe(3);
    });

    it('are never reached by our own pings', async () => {
      const { provider, peer, clock } = await rig({ role: 'client' });
      for (let count = 0; count < 100; count++) void provider.ping();
      let last = 0;
      for (let second = 0; second < 20; second++) {
        await clock.advance(1000);
        const now = peer.all('PING').length;
        if (second > 0) expect(now - last).toBeLessThanOrEqual(defaultLimits.pingsPerSecond);
        else expect(now).toBeLessThanOrEqual(defaultLimits.pingBurst);
        last = now;
      }
    });
  },
);

/** Streams of the peer's that end must not stay for the sake of our half. */
function closeEnded(provider: Provider): void {
  provider.accept$.subscribe({ next: (stream) => void stream.end(), error: () => {} });
}

limit(['settingsBurst', 'settingsPerSecond'], () => {
  it('are not needed where SETTINGS comes once: a second one ends the connection', async () => {
    const made = await rig();
    await made.peer.say(settings());
    await expectEnded(made, 'protocol', 'protocol-error');
  });
});

limit('maxSettings', () => {
  const entries = (count: number) =>
    many(count, (index) => join(Uint8Array.of(0, index === 0 ? 1 : 200 + index), uint32(1)));

  it('ends the connection for one more', async () => {
    const good = await rig({ settings: false });
    await good.peer.say(hello().subarray(0, 8), frame(0, 0, 0, entries(32)));
    await expectAlive(good);
    const bad = await rig({ settings: false });
    await bad.peer.say(hello().subarray(0, 8), frame(0, 0, 0, entries(33)));
    const error = await streamFailure(() => bad.provider.closed);
    expect([error.code, error.remote]).toEqual(['protocol', true]);
    expect(error.message).toBe('the peer sent more than 32 settings');
  });
});

// ------------------------------------------------------------------ times

/** A deadline is noticed by a look each eighth of it, or each 2 s. */
const late = (ms: number): number => Math.max(5, Math.min(2000, ms / 8));

limit('handshakeMs', () => {
  it.each([
    ['nothing', new Uint8Array()],
    ['a part of the preface', hello().subarray(0, 5)],
    ['the preface alone', hello().subarray(0, 8)],
    ['a part of its SETTINGS', hello().subarray(0, 20)],
  ])('gives up a peer that has said %s', async (_what, bytes) => {
    const { provider, peer, clock } = await rig({ settings: false, limits: { handshakeMs: 1000 } });
    await peer.say(bytes);
    await clock.advance(1000);
    expect(fate(provider.closed).state).toBe('pending');
    const closed = fate(provider.closed);
    await clock.advance(late(1000));
    expect(closed).toMatchObject({ state: 'rejected', error: { code: 'timeout', remote: true } });
    expect(peer.ended).toBe(true);
    for (const { value } of peer.all('GOAWAY')) expect(value).toBe(codes.timeout);
    await clock.advance(1000);
    expect(peer.destroyed).toBe(true);
  });

  it('is over with the peer’s SETTINGS', async () => {
    const made = await rig({ settings: false, limits: { handshakeMs: 1000, keepaliveMs: 0, deadMs: 0 } });
    await made.clock.advance(999);
    await made.peer.say(hello());
    await made.clock.advance(100_000);
    await expectAlive(made);
  });

  it('is a deadline for whoever talks slowly, too', async () => {
    const made = await rig({ settings: false, limits: { handshakeMs: 1000 } });
    const closed = fate(made.provider.closed);
    const bytes = hello();
    for (let at = 0; at < 8; at++) {
      await made.peer.say(bytes.subarray(at, at + 1));
      await made.clock.advance(200);
    }
    expect(closed).toMatchObject({ state: 'rejected', error: { code: 'timeout' } });
  });
});

limit(['keepaliveMs', 'deadMs'], () => {
  const limits = { keepaliveMs: 1000, deadMs: 4000 };

  it('ping a peer that is silent, once, and give it up', async () => {
    const made = await rig({ limits });
    const { peer, clock } = made;
    await clock.advance(1000);
    expect(peer.all('PING')).toEqual([]);
    await clock.advance(late(1000));
    expect(peer.all('PING')).toHaveLength(1);
    await clock.advance(4000 - 1000 - late(1000));
    expect([peer.all('PING').length, peer.all('GOAWAY').length]).toEqual([1, 0]);
    await clock.advance(late(1000));
    const error = await expectEnded(made, 'timeout', 'timeout');
    expect(error.remote).toBe(true);
    expect(error.message).toMatch(/^the peer was silent for 4\d\d\d ms$/);
  });

  it('end a ping without an answer, though the peer talks', async () => {
    const made = await rig({ limits: { keepaliveMs: 0, deadMs: 1000 } });
    const pinged = fate(made.provider.ping());
    for (let waited = 0; waited < 1000; waited += 250) {
      expect(pinged.state).toBe('pending');
      await made.clock.advance(250);
      await made.peer.say(ping());
    }
    await made.clock.advance(late(1000));
    expect(pinged).toMatchObject({ state: 'rejected', error: { code: 'timeout', remote: true } });
    await expectAlive(made);
  });

  it('take any byte for a sign of life', async () => {
    const made = await takingRig({ limits });
    const { peer, clock } = made;
    await peer.say(open(1));
    for (let count = 0; count < 20; count++) {
      await clock.advance(900);
      await peer.say(data(1, 1));
    }
    expect(peer.all('PING')).toEqual([]);
    await expectAlive(made);
  });
});

limit('idleMs', () => {
  it('closes a connection without streams, gracefully', async () => {
    const { provider, peer, clock } = await takingRig({ limits: { idleMs: 1000 } });
    await clock.advance(500);
    await peer.say(open(1));
    await clock.advance(5000);
    expect(peer.all('GOAWAY')).toEqual([]);
    await peer.say(reset(1));
    await clock.advance(1000 - late(1000));
    expect(peer.all('GOAWAY')).toEqual([]);
    await clock.advance(2 * late(1000));
    expect([peer.last('GOAWAY').value, peer.ended]).toEqual([0, true]);
    await peer.leave();
    await provider.closed;
  });

  it('of 0 is off', async () => {
    const made = await rig({ limits: { idleMs: 0, keepaliveMs: 0, deadMs: 0 } });
    await made.clock.advance(1_000_000);
    await expectAlive(made);
  });
});

limit('openMs', () => {
  it('fails a stream that nobody answers, and no other', async () => {
    const made = await rig({ role: 'client', limits: { openMs: 1000, halfClosedMs: 0 } });
    const { provider, peer, clock } = made;
    const [answered, ignored] = [provider.newStream(), provider.newStream()];
    await settled();
    await peer.say(accept(1));
    await clock.advance(1000);
    expect(ignored.state).toBe('opening');
    await clock.advance(late(1000));
    const error = await streamFailure(() => ignored.reply);
    expect([error.code, error.streamId, error.remote]).toEqual(['timeout', 3, false]);
    expect(peer.last('RESET').id).toBe(3);
    expect(peer.last('RESET').value).toBe(codes.timeout);
    expect(answered.state).toBe('open');
    await expectAlive(made);
  });

  it('fails a stream of the peer’s that waits in the backlog', async () => {
    const made = await rig({ limits: { openMs: 1000, backlog: 1 } });
    await made.peer.say(open(1));
    await made.clock.advance(1000 + late(1000));
    expect(made.peer.last('RESET', 1).value).toBe(codes.timeout);
    await made.peer.say(open(3));
    expect((await made.provider.accept())?.id).toBe(3);
  });
});

limit('stallMs', () => {
  const limits = { stallMs: 1000, openMs: 0, keepaliveMs: 0, deadMs: 0 };

  /** Whether a stream to a peer with these windows, that keeps talking, is given up in time. */
  async function stallOf(
    windows: { initialWindow: number; connectionWindow: number },
    source: Iterable<Uint8Array>,
    prepare: (made: Rig) => void = () => {},
  ): Promise<Rig & { error: StreamError; other: Stream }> {
    const made = await rig({ role: 'client', limits, settings: windows });
    prepare(made);
    const stream = made.provider.newStream();
    const other = made.provider.newStream();
    await settled();
    await made.peer.say(accept(1), accept(3));
    const sending = fate(stream.send(source));
    await settled();
    for (let waited = 0; waited < 1000; waited += 250) {
      expect(sending.state).toBe('pending');
      await made.clock.advance(250);
      await made.peer.say(ping());
    }
    await made.clock.advance(2 * late(1000));
    expect(sending).toMatchObject({ state: 'rejected', error: { code: 'timeout' } });
    return { ...made, error: sending.error as StreamError, other };
  }

  it('resets a stream that gets no window for ever, and no other', async () => {
    const windows = { initialWindow: 20_000, connectionWindow: mostCredit };
    const made = await stallOf(windows, [new Uint8Array(20_001)]);
    expect([made.error.streamId, made.other.state]).toEqual([1, 'open']);
    expect(made.peer.last('RESET', 1).value).toBe(codes.timeout);
    await expectAlive(made);
  });

  it('does not for one byte of credit in time', async () => {
    const windows = { initialWindow: 20_000, connectionWindow: mostCredit };
    const made = await rig({ role: 'client', limits, settings: windows });
    const stream = made.provider.newStream();
    await settled();
    await made.peer.say(accept(1));
    const sending = fate(stream.send(new Uint8Array(20_100)));
    for (let count = 0; count < 20; count++) {
      await made.clock.advance(800);
      await made.peer.say(credit(1, 2));
    }
    expect(sending.state).toBe('pending');
    expect(stream.stats.bytesOut).toBe(20_040);
  });

  it('resets a stream that the connection gives no window for ever', async () => {
    const windows = { initialWindow: mostCredit, connectionWindow: 20_000 };
    await stallOf(windows, [new Uint8Array(20_001)]);
  });

  it('resets a stream whose source waits for more than the rest of the window', async () => {
    const windows = { initialWindow: 100, connectionWindow: mostCredit };
    await stallOf(windows, [new Uint8Array(60), new Uint8Array(60)]);
  });

  it('resets a stream whose peer talks and does not listen', async () => {
    const windows = { initialWindow: mostCredit, connectionWindow: mostCredit };
    const source = Array.from({ length: 10_000 }, () => new Uint8Array(1000));
    await stallOf(windows, source, ({ peer }) => {
      peer.blocked = true;
    });
  });
});

limit('halfClosedMs', () => {
  const limits = { halfClosedMs: 1000, openMs: 0, keepaliveMs: 0, deadMs: 0 };

  it('resets a stream that is half closed and stands still, and no other', async () => {
    const made = await takingRig({ limits });
    const { peer, taken, clock } = made;
    await peer.say(open(1, { end: true }), open(3));
    for (const stream of taken) stream.accept();
    await clock.advance(1000);
    expect(taken[0]?.state).toBe('half-closed-remote');
    await clock.advance(2 * late(1000));
    const error = await streamFailure(() => (taken[0] as Stream).closed);
    expect([error.code, error.streamId, taken[1]?.state]).toEqual(['timeout', 1, 'open']);
    expect(peer.last('RESET', 1).value).toBe(codes.timeout);
    await expectAlive(made);
  });

  it('does not while something moves', async () => {
    const { peer, taken, clock } = await takingRig({ limits });
    await peer.say(open(1));
    const stream = taken[0] as Stream;
    await stream.end();
    drain(stream);
    for (let count = 0; count < 20; count++) {
      await clock.advance(900);
      await peer.say(data(1, 1));
    }
    expect(stream.state).toBe('half-closed-local');
  });
});

limit(['drainMs', 'closeMs'], () => {
  const limits = { drainMs: 1000, closeMs: 500, openMs: 0, keepaliveMs: 0, deadMs: 0 };

  it('aborts the streams that are still open when their time is over', async () => {
    const { provider, peer, taken, clock } = await takingRig({ limits });
    await peer.say(open(1));
    taken[0]?.accept();
    const closing = fate(provider.close());
    await clock.advance(999);
    expect([closing.state, taken[0]?.state]).toEqual(['pending', 'open']);
    await clock.advance(1);
    expect(closing.state).toBe('rejected');
    const error = await streamFailure(() => (taken[0] as Stream).closed);
    expect([error.code, error.remote, peer.destroyed]).toEqual(['closed', false, true]);
  });

  it('does not wait for a transport that does not close', async () => {
    const { provider, peer, clock } = await rig({ limits });
    const closing = fate(provider.close());
    await settled();
    await clock.advance(499);
    expect([closing.state, peer.ended, peer.destroyed]).toEqual(['pending', true, false]);
    await clock.advance(1);
    expect([closing.state, peer.destroyed]).toEqual(['resolved', true]);
  });

  it('counts what a peer opens after our go-away, though it is ignored', async () => {
    const made = await rig({ limits: { ...limits, uselessBurst: 10, refusalBurst: 10 } });
    made.provider.newStream();
    void made.provider.close();
    await settled();
    await made.peer.say(many(200, (index) => open(clientId(index))));
    await expectGivenUp(made);
  });

  it('does not let a peer say go-away for ever', async () => {
    const made = await rig({ limits: { ...limits, uselessBurst: 10 } });
    made.provider.newStream();
    await settled();
    await made.peer.say(many(200, () => goAway(mostCredit)));
    await expectGivenUp(made);
  });

  /** As `expectEnded`, though an earlier go-away without an error may have been heard. */
  async function expectGivenUp({ provider, peer }: Rig): Promise<void> {
    expect(peer.last('GOAWAY').value).toBe(codes.calm);
    expect((await streamFailure(() => provider.closed)).code).toBe('limit');
  }
});

describe('the table of limits', () => {
  it('has a test for each name', () => {
    expect([...tested].sort()).toEqual(Object.keys(defaultLimits).sort());
  });
});
