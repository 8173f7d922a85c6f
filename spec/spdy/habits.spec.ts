/** What Go's spdystream and kubectl do, and what we take care of for their sake. */
import { Duplex } from 'node:stream';
import { constants, createDeflate } from 'node:zlib';
import { memoryPair, type Stream } from 'rxmux';
import { fromDuplex } from 'rxmux/node';
import { spdy } from 'rxmux/spdy';
import { spdyDictionary } from '../../lib/spdy/dictionary.js';
import { SETTINGS_OF_OURS } from '../../lib/spdy/frames.js';
import { many } from '../hostile/frames.js';
import { trackProvider } from '../support/leaks.js';
import {
  clearPeers,
  control,
  data,
  goAway,
  initialWindow,
  ping,
  rawSynStream,
  rst,
  ScriptedPeer,
  settings,
  settled,
  windowUpdate,
} from './scripted-peer.js';

const KiB = 1024;
const MiB = 1024 * KiB;

afterEach(clearPeers);

/** What became of a promise so far. */
function fate(promise: Promise<unknown>): { state: string; error?: unknown } {
  const seen: { state: string; error?: unknown } = { state: 'pending' };
  promise.then(
    () => {
      seen.state = 'resolved';
    },
    (error) => {
      seen.state = 'rejected';
      seen.error = error;
    },
  );
  return seen;
}

async function take(peer: ScriptedPeer): Promise<Stream> {
  const stream = await peer.provider.accept();
  if (stream === null) throw new Error('no stream');
  return stream;
}

describe('DATA before the SYN_REPLY is dropped by Go', () => {
  it('so an opener’s data waits for it', async () => {
    const peer = new ScriptedPeer('client');
    const stream = peer.provider.newStream();
    const written = fate(stream.write('hello'));
    const sending = fate(stream.send(['more']));
    await settled();
    expect([peer.all('SYN_STREAM').length, peer.bytes(1)]).toEqual([1, 0]);
    expect([written.state, sending.state]).toEqual(['pending', 'pending']);
    await peer.say(peer.synReply(1));
    expect([written.state, sending.state, peer.bytes(1)]).toEqual(['resolved', 'resolved', 9]);
  });

  it('but not to peers of ours', async () => {
    const peer = new ScriptedPeer('client');
    await peer.say(settings({ id: SETTINGS_OF_OURS, flags: 0, value: MiB }));
    const sending = fate(peer.provider.newStream().send('hello'));
    await settled();
    const names = peer.names();
    expect(names.slice(names.indexOf('SYN_STREAM'))).toEqual(['SYN_STREAM', 'DATA']);
    expect([peer.bytes(1), peer.all('DATA', 1).at(-1)?.flags, sending.state]).toEqual([5, 1, 'resolved']);
  });

  it('nor does a source wait that began before they were known', async () => {
    const peer = new ScriptedPeer('client');
    const sending = fate(peer.provider.newStream().send(new Set(['some', 'more'])));
    await settled();
    expect([peer.bytes(1), sending.state]).toEqual([0, 'pending']);
    await peer.say(settings({ id: SETTINGS_OF_OURS, flags: 0, value: MiB }));
    await settled();
    expect([peer.bytes(1), sending.state]).toEqual([8, 'resolved']);
  });

  it('nor to peers of ours that were told of no windows', async () => {
    const [near, far] = memoryPair();
    const client = trackProvider(spdy(near, { flowControl: 'off' }));
    const server = trackProvider(spdy(far, { flowControl: 'off', role: 'server' }));
    await settled();
    const stream = client.newStream();
    const sending = fate(stream.send('hello'));
    await settled();
    expect([stream.state, sending.state]).toEqual(['half-closed-local', 'resolved']);
    expect((await server.accept())?.stats.bytesIn).toBe(5);
    client.abort();
    server.abort();
    await settled();
  });

  it('so an end without data goes with the SYN_STREAM, and one with data waits', async () => {
    const peer = new ScriptedPeer('client');
    void peer.provider.newStream().end();
    void peer.provider.newStream().send('x');
    await settled();
    expect(peer.all('SYN_STREAM').map(({ flags }) => flags)).toEqual([1, 0]);
    await peer.say(peer.synReply(3));
    expect(peer.all('DATA', 3).at(-1)?.flags).toBe(1);
  });

  it('so an acceptor’s SYN_REPLY comes first', async () => {
    const peer = new ScriptedPeer('server');
    await peer.say(peer.synStream(1));
    void (await take(peer)).send('hello');
    await settled();
    const names = peer.names();
    expect(names.slice(names.indexOf('SYN_REPLY'))).toContain('DATA');
    expect(names.indexOf('DATA')).toBeGreaterThan(names.indexOf('SYN_REPLY'));
  });
});

describe('Go may lose what it has not read yet to a reset', () => {
  const stopped = async (...hello: readonly Uint8Array[]): Promise<ScriptedPeer> => {
    const peer = new ScriptedPeer('server');
    await peer.say(...hello, peer.synStream(1));
    const stream = await take(peer);
    stream.stop();
    void stream.send('the answer');
    await settled();
    expect(peer.bytes(1)).toBe(10);
    return peer;
  };

  it('so that its reader has left is told to nobody who says nothing more', async () => {
    const peer = await stopped();
    expect(peer.all('RST_STREAM')).toEqual([]);
    await peer.say(data(1, 0, true));
    expect([peer.all('RST_STREAM'), peer.provider.streams.size]).toEqual([[], 0]);
  });

  it('but to those who go on sending', async () => {
    const peer = await stopped();
    await peer.say(data(1, 1));
    expect([peer.all('RST_STREAM', 1).length, peer.provider.streams.size]).toEqual([1, 0]);
  });

  it('and to peers of ours at once', async () => {
    const peer = await stopped(settings({ id: SETTINGS_OF_OURS, flags: 0, value: MiB }));
    expect([peer.all('RST_STREAM', 1).length, peer.provider.streams.size]).toEqual([1, 0]);
  });
});

describe('Go gives no credit', () => {
  it('so data goes on at the pace of the transport', async () => {
    const peer = new ScriptedPeer('client');
    const stream = peer.provider.newStream();
    const sending = fate(stream.send(new Uint8Array(4 * MiB)));
    await peer.say(peer.synReply(1));
    await settled();
    expect([peer.bytes(1), sending.state]).toEqual([4 * MiB, 'resolved']);
  });

  it.each([
    ['a WINDOW_UPDATE of the connection', () => windowUpdate(0, 1000), 64 * KiB],
    ['a WINDOW_UPDATE of a stream', () => windowUpdate(1, 1000), 64 * KiB + 1000],
    ['SETTINGS with a window', () => initialWindow(20_000), 20_000],
  ])('but after %s windows hold, and count what was sent before', async (_name, sign, window) => {
    const peer = new ScriptedPeer('client');
    const stream = peer.provider.newStream();
    void stream.write(new Uint8Array(10_000));
    await peer.say(peer.synReply(1));
    await peer.say(sign());
    void stream.write(new Uint8Array(MiB));
    await settled();
    // The connection has a window of 64 KiB too.
    expect(peer.bytes(1)).toBe(Math.min(window, 64 * KiB));
    await peer.say(windowUpdate(0, 100_000), windowUpdate(1, 5000));
    expect(peer.bytes(1)).toBe(window + 5000);
  });

  it('and flowControl says what to take for granted', async () => {
    for (const [flowControl, sent] of [
      ['on', 64 * KiB],
      ['off', MiB],
    ] as const) {
      const peer = new ScriptedPeer('client', { flowControl });
      void peer.provider.newStream().write(new Uint8Array(MiB));
      await peer.say(initialWindow(64 * KiB), peer.synReply(1));
      await settled();
      expect(peer.bytes(1)).toBe(sent);
      expect(peer.all('SETTINGS').map(({ value }) => value)).toEqual([flowControl === 'on' ? 3 : 2]);
      expect(peer.all('WINDOW_UPDATE')).toHaveLength(flowControl === 'on' ? 1 : 0);
    }
    expect(() => spdy(fromDuplex(new Duplex()), { flowControl: 'maybe' as 'on' })).toThrow('auto, on or off');
  });

  it.each(['auto', 'on'] as const)(
    'and whoever shows windows has those of the draft, or says which, however small our own are (%s)',
    async (flowControl) => {
      const limits = { windowBytes: 8 * KiB, receiveBudgetBytes: 16 * KiB };
      for (const [ours = 0, sent] of [
        [0, 64 * KiB],
        [24 * KiB, 24 * KiB],
        [MiB, 64 * KiB],
      ]) {
        const peer = new ScriptedPeer('client', { flowControl, limits });
        const stream = peer.provider.newStream();
        const sign = ours === 0 ? [] : [settings({ id: SETTINGS_OF_OURS, flags: 0, value: ours })];
        await peer.say(...sign, windowUpdate(1, 64 * KiB), peer.synReply(1));
        void stream.write(new Uint8Array(MiB));
        await settled();
        expect(peer.bytes(1)).toBe(sent);
      }
    },
  );

  it('and knows no window: more than it had credit for is no error, but reading pauses', async () => {
    const peer = new ScriptedPeer('server');
    await peer.say(peer.synStream(1));
    const stream = await take(peer);
    for (let sent = 0; sent < MiB; sent += 64 * KiB) await peer.say(data(1, 64 * KiB));
    expect([stream.stats.queuedIn, peer.paused]).toEqual([MiB, true]);
    expect((await stream.read())?.byteLength).toBeGreaterThan(0);
    await settled();
    expect(peer.paused).toBe(false);
    expect(peer.all('RST_STREAM')).toEqual([]);
  });

  it('so it is given none either, once it has sent more than it had', async () => {
    const peer = new ScriptedPeer('server');
    await peer.say(peer.synStream(1));
    const stream = await take(peer);
    stream.data$.subscribe({ error: () => {} });
    for (let sent = 0; sent < 3 * MiB; sent += 60_000) await peer.say(data(1, 60_000));
    expect(peer.all('WINDOW_UPDATE', 1)).toEqual([]);
  });

  it('while a peer with windows that has used all of its own gets credit', async () => {
    const peer = new ScriptedPeer('server', { limits: { windowBytes: 128 * KiB } });
    await peer.say(peer.synStream(1));
    const stream = await take(peer);
    stream.data$.subscribe({ error: () => {} });
    await peer.say(data(1, 64 * KiB), data(1, 64 * KiB));
    expect(peer.all('WINDOW_UPDATE', 1).map(({ value }) => value)).toEqual([128 * KiB]);
  });

  it.each(['auto', 'on', 'off'] as const)(
    'and credit in tiny pieces is for what was sent, or useless (%s)',
    async (flowControl) => {
      const peer = new ScriptedPeer('client', { flowControl });
      const stream = peer.provider.newStream();
      await peer.say(initialWindow(8), peer.synReply(1));
      for (let count = 0; count < 200; count++) {
        void stream.write(new Uint8Array(4));
        await peer.say(windowUpdate(1, 4), windowUpdate(0, 4));
      }
      await settled();
      expect([peer.bytes(1), stream.state]).toEqual([800, 'open']);
      await peer.say(many(200, () => windowUpdate(1, 4)));
      await expect(peer.provider.closed).rejects.toMatchObject({ code: 'limit' });
    },
  );

  it('but one that shows windows is held to ours', async () => {
    const peer = new ScriptedPeer('server');
    await peer.say(initialWindow(64 * KiB), peer.synStream(1), peer.synStream(3));
    const [first, second] = [await take(peer), await take(peer)];
    for (let sent = 0; sent < 320 * KiB; sent += 64 * KiB) await peer.say(data(1, 64 * KiB));
    expect(peer.all('RST_STREAM')).toMatchObject([{ id: 1, value: 7 }]);
    await expect(first.closed).rejects.toMatchObject({ code: 'flow-control' });
    expect(second.state).toBe('opening');
  });
});

describe('HEADERS', () => {
  it('are sent to nobody who was not asked: an end is an empty DATA frame', async () => {
    const peer = new ScriptedPeer('server');
    await peer.say(peer.synStream(1));
    const stream = (await take(peer)).accept();
    await stream.write('x');
    await settled();
    await stream.end();
    expect(peer.all('HEADERS')).toEqual([]);
    expect(peer.heard.at(-1)).toMatchObject({ name: 'DATA', flags: 1, bytes: 0 });
  });

  it('before the end are trailers, with FIN or followed by it', async () => {
    for (const fin of [0, 1]) {
      const peer = new ScriptedPeer('client');
      const stream = peer.provider.newStream();
      await peer.say(peer.synReply(1), data(1, 3), peer.headers(1, [['x-status', 'done']], fin));
      if (fin === 0) await peer.say(data(1, 0, true));
      expect((await stream.trailers)?.get('x-status')).toBe('done');
    }
  });

  it('before the RST_STREAM of an unanswered stream are the headers of a refusal', async () => {
    const peer = new ScriptedPeer('client');
    const stream = peer.provider.newStream();
    await peer.say(peer.headers(1, [['x-reason', 'busy']]), rst(1, 3));
    const refusal = await stream.reply.catch((error) => error);
    expect(refusal).toMatchObject({ code: 'refused', retryable: true, wireCode: 3 });
    expect(refusal.headers.get('x-reason')).toBe('busy');
  });

  it('of refused, reused and forgotten streams still belong to the zlib stream', async () => {
    const peer = new ScriptedPeer('server', { limits: { maxStreams: 1 } });
    await peer.say(peer.synStream(1, [['x-one', '1']]));
    await peer.say(peer.synStream(3, [['x-refused', '3']]));
    await peer.say(peer.headers(99, [['x-unknown', '99']]));
    await peer.say(rst(1), peer.headers(1, [['x-late', '1']]));
    await peer.say(peer.synStream(5, [['x-five', '5']]));
    expect(peer.all('RST_STREAM').map(({ id, value }) => [id, value])).toEqual([
      [3, 3],
      [99, 2],
    ]);
    expect((await take(peer)).headers.get('x-five')).toBe('5');
  });
});

describe('headers that a peer with our limits would not take are their caller’s mistake', () => {
  const bare = { maxHeaderBlockBytes: 60_000 };
  const once = 'x'.repeat(15_000);
  it.each([
    ['values of one name that are joined', { ...bare, maxFrameBytes: 100_000 }, { a: [once, once] }],
    ['a value whose bytes are more than its characters', bare, { a: 'é'.repeat(12_000) }],
    ['a frame', { maxFrameBytes: 8192 }, { a: 'x'.repeat(9000) }],
    ['a list', { maxHeaderListBytes: 8192 }, { a: 'x'.repeat(9000) }],
  ])('%s', async (_name, limits, headers) => {
    const peer = new ScriptedPeer('client', { limits });
    expect(() => peer.provider.newStream(headers)).toThrow(RangeError);
    await settled();
    expect(peer.all('SYN_STREAM')).toEqual([]);
  });
});

describe('the headers of open streams', () => {
  const long = (index: number): [string, string][] => [
    [`x-${index}`, 'x'.repeat(7500)],
    ['x-more', 'y'.repeat(7500)],
  ];

  it('that are long are bounded for the connection: more of them are refused, to be tried later', async () => {
    const peer = new ScriptedPeer('server');
    const taken: Stream[] = [];
    peer.provider.accept$.subscribe({ next: (stream) => taken.push(stream), error: () => {} });
    await peer.say(many(200, (index) => peer.synStream(1 + 2 * index, long(index))));
    expect(taken.length).toBe(139);
    expect(peer.all('RST_STREAM').map(({ value }) => value)).toEqual(new Array(61).fill(3));
    // Short ones are not in their way, and when one is over there is room again.
    await peer.say(peer.synStream(1001, [['x-short', 'x'.repeat(1000)]]), peer.synStream(1003, long(0)));
    expect(peer.all('RST_STREAM', 1001)).toEqual([]);
    expect(peer.all('RST_STREAM', 1003)).toMatchObject([{ value: 3 }]);
    taken[0]?.reset();
    await peer.say(peer.synStream(1005, long(0)));
    expect(peer.all('RST_STREAM', 1005)).toEqual([]);
  });

  it('count while these wait to be accepted, even if they are over by then', async () => {
    const peer = new ScriptedPeer('server', { limits: { backlog: 200 } });
    await peer.say(many(200, (index) => peer.synStream(1 + 2 * index, long(index), 3)));
    expect([peer.provider.streams.size, peer.all('RST_STREAM').length]).toEqual([0, 61]);
  });

  it('are bounded with those of HEADERS frames', async () => {
    const peer = new ScriptedPeer('server', { limits: { uselessBurst: 1000 } });
    await peer.say(peer.synStream(1), peer.synStream(3));
    const further = (id: number, count: number): Uint8Array[] =>
      Array.from({ length: count }, (_, index) => peer.headers(id, long(index)));
    await peer.say(...further(1, 4));
    expect(peer.all('RST_STREAM')).toEqual([]);
    await peer.say(...further(1, 1));
    expect(peer.all('RST_STREAM')).toMatchObject([{ id: 1, value: 11 }]);
    for (let id = 5; id < 85; id += 2) await peer.say(peer.synStream(id), ...further(id, 4));
    // The first one still waits to be accepted.
    expect(peer.all('RST_STREAM').length).toBe(8);
    expect(peer.provider.streams.size).toBe(34);
  });
});

it('the header block of an unknown stream is unpacked: blocks after it point back into it', async () => {
  const peer = new ScriptedPeer('server');
  const deflate = createDeflate({ dictionary: spdyDictionary, level: 9 });
  const packed: Buffer[] = [];
  deflate.on('data', (chunk: Buffer) => packed.push(chunk));
  const blockOf = async (name: string, value: string): Promise<Uint8Array> => {
    const plain = Buffer.alloc(12 + name.length + value.length);
    plain.writeUInt32BE(1, 0);
    plain.writeUInt32BE(name.length, 4);
    plain.write(name, 8);
    plain.writeUInt32BE(value.length, 8 + name.length);
    plain.write(value, 12 + name.length);
    // Node 26 does not flush behind a write that is still on its way.
    await new Promise((resolve) => deflate.write(plain, resolve));
    await new Promise<void>((resolve) => deflate.flush(constants.Z_SYNC_FLUSH, resolve));
    return new Uint8Array(Buffer.concat(packed.splice(0)));
  };
  const unknown = await blockOf('x-unknown', 'a value that nothing else in this connection has');
  await peer.say(control(8, Buffer.concat([Buffer.from([0, 0, 0, 99]), unknown])));
  const known = await blockOf('x-known', 'a value that nothing else in this connection has');
  expect(known.byteLength).toBeLessThan(40);
  await peer.say(rawSynStream(1, known));
  expect((await take(peer)).headers.get('x-known')).toBe('a value that nothing else in this connection has');
  deflate.destroy();
});

describe('GOAWAY', () => {
  it('is said when the last stream is over, since Go reads nothing after it', async () => {
    const peer = new ScriptedPeer('server');
    await peer.say(peer.synStream(1));
    const stream = (await take(peer)).accept();
    void peer.provider.close();
    await settled();
    expect(peer.all('GOAWAY')).toEqual([]);
    await peer.say(peer.synStream(3));
    expect(peer.all('RST_STREAM', 3)).toMatchObject([{ value: 3 }]);
    await stream.end();
    await peer.say(data(1, 0, true));
    expect(peer.all('GOAWAY')).toMatchObject([{ id: 3, value: 0 }]);
    expect(peer.ended).toBe(true);
  });

  it('with a last good id of 0, as kubectl’s, fails no stream that was answered', async () => {
    const peer = new ScriptedPeer('client');
    const answered = peer.provider.newStream();
    const other = peer.provider.newStream();
    await peer.say(peer.synReply(1), goAway(0));
    await expect(other.reply).rejects.toMatchObject({ code: 'refused', retryable: true });
    expect(answered.state).toBe('open');
    void answered.send('still here');
    await peer.say(data(1, 5, true));
    await answered.closed;
    expect(peer.bytes(1)).toBe(10);
  });
});

describe('frames for streams that are over', () => {
  it('are taken: Go sends DATA, FIN and RST after a reset', async () => {
    const peer = new ScriptedPeer('server');
    await peer.say(peer.synStream(1));
    (await take(peer)).reset();
    await settled();
    const before = peer.heard.length;
    await peer.say(data(1, 1000), data(1, 0, true), rst(1));
    expect(peer.heard.length).toBe(before);
    await peer.say(peer.synStream(3));
    expect((await take(peer)).id).toBe(3);
  });

  it('are taken up to a number that no network delays', async () => {
    const peer = new ScriptedPeer('server');
    await peer.say(peer.synStream(1));
    (await take(peer)).reset();
    await settled();
    await peer.say(many(1000, () => data(1, 1)));
    await peer.say(peer.synStream(3));
    expect((await take(peer)).id).toBe(3);
    await peer.say(many(1000, () => data(1, 1)));
    await expect(peer.provider.closed).rejects.toMatchObject({ code: 'limit' });
  });

  it('are answered with INVALID_STREAM where there never was one, up to a limit', async () => {
    const peer = new ScriptedPeer('server');
    await peer.say(data(7, 10));
    expect(peer.all('RST_STREAM')).toMatchObject([{ id: 7, value: 2 }]);
    for (let count = 0; count < 100; count++) await peer.say(data(7, 10));
    await expect(peer.provider.closed).rejects.toMatchObject({ code: 'limit' });
  });
});

describe('pings', () => {
  it('have odd ids from the client and even ones from the server, and never 0', async () => {
    const client = new ScriptedPeer('client');
    const server = new ScriptedPeer('server');
    await settled();
    void client.provider.ping();
    void server.provider.ping();
    await settled();
    expect(client.all('PING').map(({ value }) => value)).toEqual([1, 3]);
    expect(server.all('PING').map(({ value }) => value)).toEqual([2, 4]);
  });

  it('of the peer are echoed, and only those', async () => {
    const peer = new ScriptedPeer('client');
    const answer = fate(peer.provider.ping());
    await settled();
    const before = peer.all('PING').length;
    await peer.say(ping(2), ping(0), ping(3));
    expect(peer.all('PING').slice(before)).toMatchObject([{ value: 2 }]);
    expect(answer.state).toBe('resolved');
  });

  it('find out that a silent Go server is there', async () => {
    const peer = new ScriptedPeer('client');
    await peer.say(ping(1));
    await peer.clock.pass(12_000);
    expect(peer.ended || peer.destroyed).toBe(false);
    const dumb = new ScriptedPeer('client');
    await dumb.clock.pass(14_000);
    await expect(dumb.provider.closed).rejects.toMatchObject({ code: 'timeout' });
  });

  it('may wait behind data that nobody reads at Go’s end: no answer is no death then', async () => {
    const peer = new ScriptedPeer('client');
    const stream = peer.provider.newStream();
    void stream.write('unread');
    await peer.say(ping(1), peer.synReply(1));
    await peer.clock.pass(200_000);
    expect(peer.all('PING').length).toBeGreaterThanOrEqual(2);
    expect(stream.state).toBe('open');
    const idle = new ScriptedPeer('client');
    await idle.say(ping(1));
    await idle.clock.pass(40_000);
    await expect(idle.provider.closed).rejects.toMatchObject({ code: 'timeout' });
  });
});

describe('a stream of a peer without windows that is reset while it sends', () => {
  it('does not end the connection, however much of it is under way', async () => {
    const peer = new ScriptedPeer('server');
    await peer.say(peer.synStream(1));
    (await take(peer)).reset();
    for (let frames = 0; frames < 3000; frames += 100) await peer.say(many(100, () => data(1, 4 * KiB)));
    await peer.say(peer.synStream(3));
    expect((await take(peer)).state).toBe('opening');
  });

  it('is no licence for frames of a byte', async () => {
    const peer = new ScriptedPeer('server');
    await peer.say(peer.synStream(1));
    (await take(peer)).reset();
    for (let frames = 0; frames < 3000; frames += 100) await peer.say(many(100, () => data(1, 1)));
    await expect(peer.provider.closed).rejects.toMatchObject({ code: 'limit' });
  });
});

describe('reading that is paused, since nobody reads what a peer without windows has sent', () => {
  it('does not make the peer a silent one, however long it takes', async () => {
    const peer = new ScriptedPeer('server');
    await peer.say(peer.synStream(1));
    const stream = (await take(peer)).accept();
    for (let sent = 0; sent < MiB; sent += 64 * KiB) await peer.say(data(1, 64 * KiB));
    expect(peer.paused).toBe(true);
    await peer.clock.pass(100_000);
    expect(stream.stats.queuedIn).toBe(MiB);
    stream.data$.subscribe({ error: () => {} });
    await settled();
    expect([peer.paused, stream.stats.queuedIn]).toEqual([false, 0]);
    await peer.clock.pass(40_000);
    await expect(peer.provider.closed).rejects.toMatchObject({ code: 'timeout' });
  });

  it('does not hide that the peer is gone: it is pinged again and again', async () => {
    const peer = new ScriptedPeer('server');
    await peer.say(peer.synStream(1));
    (await take(peer)).accept();
    for (let sent = 0; sent < MiB; sent += 64 * KiB) await peer.say(data(1, 64 * KiB));
    const before = peer.all('PING').length;
    await peer.clock.pass(100_000);
    expect(peer.all('PING').length - before).toBeGreaterThanOrEqual(3);
  });
});

describe('the opening frame', () => {
  it('has a priority from the urgency', async () => {
    const peer = new ScriptedPeer('client');
    for (const urgency of [0, 3, 7]) peer.provider.newStream({}, { urgency });
    await settled();
    expect(peer.all('SYN_STREAM').map(({ value }) => value)).toEqual([0, 3, 7]);
  });

  it('needs no :method, :path or :status, and may be associated with another stream', async () => {
    const peer = new ScriptedPeer('server');
    await peer.say(peer.synStream(1), peer.synStream(3, [['streamtype', 'error']], 0, 1));
    await take(peer);
    const stream = await take(peer);
    expect([stream.headers.get('streamtype'), stream.headers.get(':associated-to')]).toEqual(['error', '1']);
    const opening = new ScriptedPeer('client');
    const ours = opening.provider.newStream({ ':associated-to': '7', 'x-name': 'value' });
    await opening.say(opening.synReply(1));
    await ours.reply;
    expect(opening.all('SYN_STREAM')[0]).toMatchObject({ bytes: 7, headers: ['x-name', 'value'] });
  });

  it('may be unidirectional: only the opener sends, and nobody answers', async () => {
    const peer = new ScriptedPeer('server');
    await peer.say(peer.synStream(1, [[':associated-to', 'forged']], 2));
    const stream = await take(peer);
    expect([...stream.headers]).toEqual([[':unidirectional', '1']]);
    stream.accept();
    await peer.say(data(1, 5, true));
    expect((await stream.read())?.byteLength).toBe(5);
    await stream.closed;
    expect(peer.all('SYN_REPLY')).toEqual([]);

    await peer.say(settings({ id: SETTINGS_OF_OURS, flags: 0, value: MiB }), peer.synStream(3, [], 2));
    await (await take(peer))[Symbol.asyncDispose]();
    expect([peer.all('RST_STREAM', 3).length, peer.provider.streams.size]).toEqual([1, 0]);

    const opening = new ScriptedPeer('client');
    const ours = opening.provider.newStream({ ':unidirectional': '' });
    await ours.send('all');
    expect(await ours.read()).toBeNull();
    await ours.closed;
    expect(opening.all('SYN_STREAM')[0]).toMatchObject({ flags: 2, headers: [] });
    expect(opening.bytes(1)).toBe(3);
  });

  it('may be unidirectional, and the stream is open until somebody has read it', async () => {
    const limits = { maxStreams: 2, receiveBudgetBytes: 64 * KiB };
    const peer = new ScriptedPeer('server', { limits });
    const half = 32 * KiB;
    await peer.say(peer.synStream(1, [], 2), data(1, half, true), peer.synStream(3, [], 2));
    await peer.say(peer.synStream(5, [], 2), data(3, half, true));
    expect(peer.all('RST_STREAM')).toMatchObject([{ id: 5, value: 3 }]);
    expect([peer.provider.streams.size, peer.paused]).toEqual([2, true]);
    const [first, second] = [await take(peer), await take(peer)];
    await first.end();
    await expect(first.write('x')).rejects.toMatchObject({ code: 'ended' });
    expect((await first.read())?.byteLength).toBe(half);
    await first.closed;
    await settled();
    expect([peer.provider.streams.size, peer.paused]).toEqual([1, false]);
    second.stop();
    await second.closed;
    expect(peer.provider.streams.size).toBe(0);
    await peer.say(peer.synStream(7, [], 3));
    expect(await (await take(peer)).read()).toBeNull();
    expect(peer.provider.streams.size).toBe(0);
  });

  it('may be unidirectional, and a reader that leaves is told of while the peer still sends', async () => {
    const peer = new ScriptedPeer('server');
    await peer.say(peer.synStream(1, [], 2));
    const stream = await take(peer);
    stream.data$.subscribe().unsubscribe();
    await peer.say(data(1, 10));
    expect(peer.all('RST_STREAM', 1).length).toBe(1);
    await stream.closed;
  });

  it('may be unidirectional: answers to it are of no use, and those of its opener break it', async () => {
    const peer = new ScriptedPeer('client');
    const stream = peer.provider.newStream({ ':unidirectional': '' });
    await peer.say(peer.synReply(1));
    expect(stream.state).toBe('half-closed-remote');
    await peer.say(many(200, () => peer.synReply(1)));
    await expect(peer.provider.closed).rejects.toMatchObject({ code: 'limit' });
    const opener = new ScriptedPeer('server');
    await opener.say(opener.synStream(1, [], 2), opener.synReply(1));
    expect(opener.all('RST_STREAM')).toMatchObject([{ id: 1, value: 1 }]);
  });

  it.each([
    ['with FIN', 1, ['accept', 'end']],
    ['unidirectional and with FIN', 3, ['accept', 'end', 'end', 'close']],
  ])('%s is told of before its end is', async (_name, flags, story) => {
    const peer = new ScriptedPeer('server');
    const told: string[] = [];
    peer.provider.events$.subscribe(({ type }) => told.push(type));
    await peer.say(peer.synStream(1, [], flags));
    expect(told).toEqual(story);
    expect((await take(peer)).id).toBe(1);
  });

  it('with FIN is a half-closed stream, as kubectl’s error streams of port-forward are', async () => {
    const peer = new ScriptedPeer('server');
    await peer.say(peer.synStream(1, [['streamtype', 'error']], 1));
    const stream = await take(peer);
    expect(await stream.read()).toBeNull();
    await stream.end();
    await stream.closed;
    expect(peer.all('SYN_REPLY')).toMatchObject([{ id: 1 }]);
  });

  it('that comes again is that stream’s error, and with our parity the connection’s', async () => {
    const peer = new ScriptedPeer('server');
    await peer.say(peer.synStream(5), peer.synStream(3));
    expect(peer.all('RST_STREAM')).toMatchObject([{ id: 3, value: 1 }]);
    await peer.say(peer.synStream(5));
    expect(peer.all('RST_STREAM', 5)).toMatchObject([{ value: 1 }]);
    await peer.say(peer.synStream(8));
    await expect(peer.provider.closed).rejects.toMatchObject({ code: 'protocol' });
    expect(peer.all('GOAWAY')).toMatchObject([{ value: 1 }]);
  });
});

it('no more streams are open than the peer lets be: further ones wait for the end of others', async () => {
  const peer = new ScriptedPeer('client');
  await peer.say(settings({ id: 4, flags: 0, value: 2 }));
  const streams = Array.from({ length: 4 }, () => peer.provider.newStream());
  await settled();
  expect(peer.all('SYN_STREAM').map(({ id }) => id)).toHaveLength(2);
  void streams[0]!.end();
  await peer.say(peer.synReply(1), data(1, 0, true));
  expect(peer.all('SYN_STREAM')).toHaveLength(3);
  await peer.say(settings({ id: 4, flags: 0, value: 100 }));
  expect(peer.all('SYN_STREAM')).toHaveLength(4);
});

it('nothing is sent that Go does not know', async () => {
  const known = [
    'SYN_STREAM',
    'SYN_REPLY',
    'RST_STREAM',
    'SETTINGS',
    'PING',
    'GOAWAY',
    'WINDOW_UPDATE',
    'DATA',
  ];
  const peer = new ScriptedPeer('server');
  await peer.say(peer.synStream(1), ping(1), peer.synStream(3));
  const [first, second] = [await take(peer), await take(peer)];
  await first.send('all');
  second.reject();
  first.stop();
  void peer.provider.close();
  await peer.say(data(1, 10), data(1, 10, true));
  expect(peer.names().filter((name) => !known.includes(name))).toEqual([]);
  expect(peer.all('RST_STREAM').every(({ value, id }) => value !== 0 && id !== 0)).toBe(true);
});

it('bytes that came with the head of an HTTP upgrade are the first frames', async () => {
  const peer = new ScriptedPeer('server');
  const head = peer.synStream(1, [['streamtype', 'stdin']]);
  const pipe = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  const provider = spdy(fromDuplex(pipe, { head }), { role: 'server' });
  const stream = await provider.accept();
  expect(stream?.headers.get('streamtype')).toBe('stdin');
  provider.abort();
});
