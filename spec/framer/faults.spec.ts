import * as b from './bytes.js';
import { clientIsThrownOut, endPeers, Peer, type Row, turns } from './peer.js';

/** The rows of SPEC §6 about late frames, credit, floods and silence. */

afterEach(endPeers);

const { T, END, code } = b;
const nothing: Uint8Array = new Uint8Array(0);
const abc = b.utf8('abc');

describe('frames for a stream that is over', () => {
  const late: Row[] = [
    ['ACCEPT', b.accept(1, [], abc)],
    ['REFUSE', b.refuse(1, 4)],
    ['DATA', b.data(1, abc)],
    ['END', b.data(1, nothing, END)],
    ['CREDIT', b.credit(1, 1000)],
    ['TRAILERS', b.trailers(1)],
    ['STOP', b.stop(1, 5)],
    ['RESET', b.reset(1, 5)],
  ];

  it.each(late)('are ignored: %s', async (_what, frame) => {
    const ours = new Peer('server');
    const stream = await ours.opened();
    stream.reset(300);
    expect(await ours.said()).toEqual(['RESET 1 300']);
    ours.send(frame);
    expect(await ours.said()).toEqual([]);
    await ours.expectAlive();

    const theirs = new Peer('client');
    theirs.send(b.open(1), b.reset(1, 5), frame);
    await theirs.expectAlive();
  });

  it.each(late)('are ignored after both halves have ended: %s', async (_what, frame) => {
    const peer = new Peer('server');
    const stream = await peer.opened();
    void stream.end();
    stream.data$.subscribe();
    peer.send(b.accept(1, [], nothing, END));
    await stream.closed;
    peer.send(frame);
    await peer.expectAlive();
  });

  it('must have their form, even so', async () => {
    await clientIsThrownOut('protocol-error', b.open(1), b.reset(1, 5), b.frame(T.STOP, 1, b.hex('000005')));
  });

  it('give their data back to the connection', async () => {
    const peer = new Peer('client', { limits: { receiveBudgetBytes: 65_536, windowBytes: 65_536 } });
    peer.send(b.open(1), b.reset(1, 5));
    let credit = 0;
    for (let round = 0; round < 20; round++) {
      peer.send(b.data(1, new Uint8Array(30_000)));
      for (const frame of await peer.frames()) {
        expect(frame.name).toBe('CREDIT');
        expect(frame.id).toBe(0);
        credit += b.numberIn(frame);
      }
    }
    expect(credit).toBeGreaterThan(600_000 - 65_536);
    await peer.expectAlive();
  });

  it('count against the connection’s window: beyond it they are a flow-control error', async () => {
    const peer = new Peer('client', { limits: { receiveBudgetBytes: 65_536, windowBytes: 65_536 } });
    peer.send(
      b.open(1),
      b.open(3, [], new Uint8Array(60_000)),
      b.reset(1, 5),
      b.data(1, new Uint8Array(5537)),
    );
    await peer.expectEnd('flow-control');
  });

  it.each<Row>([
    ['a stream that it reset', b.open(1), b.reset(1, 5)],
    ['a stream that ended', b.open(1), b.data(1, nothing, END)],
  ])('are too many at some point, for %s: calm', async (_what, ...frames) => {
    const peer = new Peer('client', { limits: { uselessBurst: 10, uselessPerSecond: 1 } });
    peer.send(...frames);
    await turns();
    const [stream] = peer.accepted;
    stream?.data$.subscribe({ error: () => {} });
    await stream?.end().catch(() => {});
    expect(peer.provider.streams.size).toBe(0);
    for (let count = 0; count < 10; count++) peer.send(b.data(1, abc));
    await peer.expectAlive();
    for (let count = 0; count < 1000; count++) peer.send(b.data(1, abc));
    for (let rest = 0; rest < 10; rest++) await turns();
    await peer.expectEnd('calm');
  });

  it('are no fault for a while, if we reset the stream', async () => {
    const peer = new Peer('client', { limits: { uselessBurst: 10, uselessPerSecond: 1, tombstoneMs: 1000 } });
    peer.send(b.open(1));
    await turns();
    peer.accepted[0]?.reset();
    for (let count = 0; count < 100; count++) peer.send(b.data(1, abc));
    await peer.expectAlive();
    peer.clock.pass(1001);
    for (let count = 0; count < 30; count++) peer.send(b.data(1, abc));
    expect(await peer.said()).toContain(`GOAWAY 0 ${code.calm}`);
  });
});

describe('credit that is wrong: flow-control', () => {
  it('0 for the connection', () => clientIsThrownOut('flow-control', b.credit(0, 0)));
  it('0 for a stream', () => clientIsThrownOut('flow-control', b.open(1), b.credit(1, 0)));
  it('above 2^31 - 1 for the connection', () => clientIsThrownOut('flow-control', b.credit(0, 2 ** 31 - 1)));
  it('above 2^31 - 1 for a stream', () =>
    clientIsThrownOut('flow-control', b.open(1), b.credit(1, 2 ** 31 - 1)));
  it('2^32 - 1, which is no negative number', () =>
    clientIsThrownOut('flow-control', b.open(1), b.credit(1, 2 ** 32 - 1)));
  it('above 2^31 - 1 in pieces', () =>
    clientIsThrownOut('flow-control', b.open(1), b.credit(1, 2 ** 31 - 1 - 262_144), b.credit(1, 64)));

  it('but up to 2^31 - 1 it is right', async () => {
    const peer = new Peer('client');
    peer.send(b.open(1), b.credit(1, 2 ** 31 - 1 - 262_144), b.credit(0, 2 ** 31 - 1 - 1_048_576));
    await peer.expectAlive();
    expect(peer.accepted[0]?.stats.sendWindow).toBe(2 ** 31 - 1);
  });
});

describe('data beyond the credit: flow-control', () => {
  const limits = { windowBytes: 20_000, maxWindowBytes: 20_000, receiveBudgetBytes: 70_000 };
  const bytes = (count: number): Uint8Array => new Uint8Array(count);

  it.each<Row>([
    ['of a stream, in one frame', b.open(1), b.data(1, bytes(20_001))],
    ['of a stream, in several', b.open(1), b.data(1, bytes(20_000)), b.data(1, bytes(1))],
    ['of a stream, in OPEN', b.open(1, [], bytes(20_001))],
    ['of a stream, in OPEN and DATA', b.open(1, [], bytes(10_000)), b.data(1, bytes(10_001), END)],
    [
      'of the connection',
      ...[1, 3, 5].flatMap((id) => [b.open(id), b.data(id, bytes(20_000))]),
      b.open(7, [], bytes(10_001)),
    ],
  ])('%s', async (_what, ...frames) => {
    const peer = new Peer('client', { limits });
    peer.send(...frames);
    await peer.expectEnd('flow-control');
  });

  it('of a stream, in ACCEPT', async () => {
    const peer = new Peer('server', { limits });
    await peer.opened();
    peer.send(b.accept(1, [['a', 'b']], bytes(20_001)));
    await peer.expectEnd('flow-control');
  });

  it('up to the last byte it is right; headers do not count', async () => {
    const peer = new Peer('client', { limits });
    for (const id of [1, 3, 5]) {
      peer.send(
        b.open(id, [['x', 'y'.repeat(1000)]], bytes(15_000)),
        b.data(id, bytes(5000)),
        b.trailers(id, [['a', 'b']]),
      );
    }
    peer.send(b.open(7, [], bytes(10_000)));
    await peer.expectAlive();
  });

  it('a window below the defaults tolerates as much as the defaults, and no more', async () => {
    const small = { windowBytes: 1000, maxWindowBytes: 1000, receiveBudgetBytes: 2000 };
    const streams = new Peer('client', { limits: small });
    streams.send(b.open(1, [], bytes(16_384)));
    await streams.expectAlive();
    streams.send(b.data(1, bytes(1)));
    await streams.expectEnd('flow-control');

    const connection = new Peer('client', { limits: small });
    for (const id of [1, 3, 5, 7]) connection.send(b.open(id, [], bytes(16_384)));
    await connection.expectAlive();
    connection.send(b.open(9, [], bytes(1)));
    await connection.expectEnd('flow-control');
  });

  it('credit that we gave widens it again', async () => {
    const peer = new Peer('client', { limits });
    peer.send(b.open(1, [], bytes(20_000)));
    await turns();
    peer.accepted[0]?.data$.subscribe({ error: () => {} });
    const credit = (await peer.frames()).find(({ name, id }) => name === 'CREDIT' && id === 1);
    expect(credit && b.numberIn(credit)).toBe(20_000);
    peer.send(b.data(1, bytes(20_000)));
    await peer.expectAlive();
  });
});

describe('too much that is of no use: calm', () => {
  const limits = {
    resetBurst: 10,
    resetsPerSecond: 1,
    pingBurst: 10,
    pingsPerSecond: 1,
    uselessBurst: 10,
    uselessPerSecond: 1,
    errorBurst: 10,
    errorsPerSecond: 1,
    refusalBurst: 10,
    refusalsPerSecond: 1,
    maxStreams: 100,
  };
  const floods: [what: string, one: (count: number) => Uint8Array][] = [
    ['resets', (count) => b.join(b.open(2 * count + 3), b.reset(2 * count + 3, 5))],
    ['second stops', (count) => (count === 0 ? b.join(b.stop(1, 5), b.stop(1, 5)) : b.stop(1, 5))],
    ['pings', () => b.ping()],
    ['pongs that nobody asked for', () => b.pong()],
    ['unknown types', (count) => b.frame(12 + (count % 12), 0)],
    ['empty DATA', () => b.data(1, nothing)],
    ['tiny credits of a stream', () => b.credit(1, 1)],
    ['tiny credits of the connection', () => b.credit(0, 1)],
    ['openings that are wrong', (count) => b.open(2 * count + 3, [['A', '']])],
    ['urgencies above 7', (count) => b.open(2 * count + 3, [], nothing, 0, 8)],
  ];

  it.each(floods)('%s', async (_what, one) => {
    const peer = new Peer('client', { limits });
    peer.send(b.open(1));
    for (let count = 0; count < 10; count++) peer.send(one(count));
    expect(await peer.said()).not.toContain(`GOAWAY 0 ${code.calm}`);
    expect(peer.transport.ended).toBe(false);
    peer.send(one(10));
    await peer.expectEnd('calm');
  });

  it.each(floods)('%s at a pace that refills the bucket are no flood', async (_what, one) => {
    const peer = new Peer('client', { limits });
    peer.send(b.open(1));
    for (let count = 0; count < 20; count++) {
      peer.send(one(count));
      await turns(2);
      peer.clock.pass(1001);
    }
    await turns();
    expect(peer.transport.ended).toBe(false);
  });

  it('streams beyond what we take', async () => {
    const peer = new Peer('client', { limits: { ...limits, maxStreams: 1 } });
    for (let count = 0; count < 11; count++) peer.send(b.open(2 * count + 1));
    await turns();
    expect(peer.transport.ended).toBe(false);
    peer.send(b.open(23));
    await peer.expectEnd('calm');
  });

  it('but not what a polite peer sent before it knew that its streams are refused', async () => {
    const peer = new Peer('client', { limits: { maxStreams: 100 } });
    const all = Array.from({ length: 900 }, (_, count) => 2 * count + 1);
    for (const id of all) peer.send(b.open(id));
    for (const id of all) peer.send(b.data(id, abc), b.data(id, abc, END));
    for (let rest = 0; rest < 30; rest++) await turns();
    expect(peer.transport.ended).toBe(false);
    expect((await peer.said()).filter((frame) => frame.startsWith('REFUSE'))).toHaveLength(800);
    await peer.expectAlive();
  });

  it('streams opened after our GOAWAY', async () => {
    const peer = new Peer('client', { limits });
    peer.send(b.open(1));
    await turns();
    void peer.provider.close();
    expect(await peer.said()).toEqual(['GOAWAY 0 0']);
    // Some may have been on their way.
    for (let count = 0; count < 10; count++) peer.send(b.open(2 * count + 3));
    await turns();
    expect(peer.transport.ended).toBe(false);
    for (let count = 10; count < 10_000; count++) peer.send(b.open(2 * count + 3));
    for (let rest = 0; rest < 50; rest++) await turns();
    expect(peer.transport.ended).toBe(true);
  });
});

describe('silence for too long: timeout', () => {
  const limits = { keepaliveMs: 1000, deadMs: 3000 };

  it('is asked about, and then ends the connection', async () => {
    const peer = new Peer('client', { limits });
    await turns();
    peer.clock.pass(1500);
    expect(await peer.said()).toEqual(['PING 0']);
    peer.clock.pass(2000);
    expect((await peer.expectEnd('timeout')).code).toBe('timeout');
  });

  it('is not silence if one byte comes now and then', async () => {
    const peer = new Peer('client', { limits });
    peer.send(b.open(1), b.header(T.DATA, 1, 1000));
    for (let count = 0; count < 20; count++) {
      peer.send(b.u8(count));
      peer.clock.pass(900);
      await turns(1);
    }
    expect(peer.transport.ended).toBe(false);
  });
});
