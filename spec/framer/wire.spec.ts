import { StreamError } from '../../lib/core/errors.js';
import * as b from './bytes.js';
import { clientIsThrownOut, endOf, endPeers, Peer, type Row, turns } from './peer.js';

/** The table of SPEC §6, row by row, by a peer that says it in bytes; faults.spec.ts has the rows about too much. */

afterEach(endPeers);

const { T, END, code } = b;
const nothing: Uint8Array = new Uint8Array(0);
const abc = b.utf8('abc');

describe('a wrong preface, or none in time: closed without GOAWAY', () => {
  it.each(['00', '47455420 2f20', '72786d75782f32 0a', '72786d75782f31 0d', '16030100'])(
    '%s',
    async (bytes) => {
      const peer = new Peer('client', { says: b.hex(bytes) });
      expect((await peer.expectEnd(null)).code).toBe('protocol');
    },
  );

  it('none in time', async () => {
    const peer = new Peer('client', { says: nothing, limits: { handshakeMs: 1000 } });
    peer.clock.pass(900);
    await turns();
    expect(peer.transport.ended).toBe(false);
    peer.clock.pass(400);
    expect((await peer.expectEnd(null)).code).toBe('timeout');
  });

  it('half of one in time, byte by byte', async () => {
    const peer = new Peer('client', { says: nothing, limits: { handshakeMs: 1000 } });
    for (const byte of b.preface.subarray(0, 7)) {
      peer.send(b.u8(byte));
      peer.clock.pass(200);
    }
    expect((await peer.expectEnd(null)).code).toBe('timeout');
  });

  it('a transport that ends before it', async () => {
    const peer = new Peer('client', { says: nothing });
    peer.transport.feedEnd();
    await turns();
    await expect(peer.provider.closed).rejects.toMatchObject({ code: 'closed', remote: true });
  });
});

describe('SETTINGS that are wrong: protocol-error', () => {
  const client = [1, 1] as const;
  const rows: Row[] = [
    ['the first frame is a PING', b.ping()],
    ['the first frame is an OPEN', b.open(1)],
    ['the first frame is of an unknown type', b.frame(12, 0)],
    ['no ROLE', b.settings([[2, 16_384]])],
    ['our own role', b.settings([[1, b.role.server]])],
    ['a role that there is not', b.settings([[1, 0]])],
    ['a listed value twice', b.settings([client, [3, 65_536], [3, 65_536]])],
    ['INITIAL_WINDOW of 2^31', b.settings([client, [2, 2 ** 31]])],
    ['CONNECTION_WINDOW of 2^32 - 1', b.settings([client, [3, 2 ** 32 - 1]])],
    ['MAX_FRAME of 65,535', b.settings([client, [4, 65_535]])],
    ['MAX_FRAME of 2^24', b.settings([client, [4, 2 ** 24]])],
    ['33 entries', b.settings([client, ...Array.from({ length: 32 }, (_, id) => [id + 100, 0] as const)])],
    ['half an entry', b.frame(T.SETTINGS, 0, b.hex('000100000001 0002'))],
  ];

  it.each(rows)('%s', async (_what, frame) => {
    const peer = new Peer('client', { says: b.join(b.preface, frame) });
    await peer.expectEnd('protocol-error');
  });

  it('a second SETTINGS', () => clientIsThrownOut('protocol-error', b.settings([client])));

  it('two ends with one role say so to their user', async () => {
    const peer = new Peer('client', { says: b.hello('server') });
    const error = await endOf(peer.provider.closed);
    expect((error as Error).message).toMatch(/both ends .* are the server/);
  });
});

describe('frames whose form is wrong: protocol-error', () => {
  const streamOnly = [T.OPEN, T.ACCEPT, T.REFUSE, T.DATA, T.TRAILERS, T.STOP, T.RESET];
  const connectionOnly = [T.SETTINGS, T.PING, T.PONG, T.GOAWAY];
  const name = (type: number): string => b.names[type] ?? String(type);
  const payloadOf: Record<number, Uint8Array> = {
    [T.OPEN]: b.hex('03 0000'),
    [T.ACCEPT]: b.hex('0000'),
    [T.REFUSE]: b.hex('00000004 0000 0000'),
    [T.CREDIT]: b.u32(1000),
    [T.TRAILERS]: b.hex('0000'),
    [T.STOP]: b.u32(5),
    [T.RESET]: b.hex('00000005 0000'),
    [T.PING]: new Uint8Array(8),
    [T.PONG]: new Uint8Array(8),
    [T.GOAWAY]: b.hex('00000000 00000000 0000'),
  };
  const fixed = [T.REFUSE, T.CREDIT, T.TRAILERS, T.STOP, T.RESET, T.PING, T.PONG, T.GOAWAY];
  const at = (type: number): number => (connectionOnly.some((one) => one === type) ? 0 : 1);
  const rows: Row[] = [
    ['a payload longer than MAX_FRAME, before any of it is there', b.open(1), b.header(T.DATA, 1, 65_537)],
    ['the same in an unknown frame', b.header(13, 0, 2 ** 24 - 1)],
    ...Object.entries(payloadOf).map(
      ([type, payload]): Row => [
        `${name(Number(type))}, shorter`,
        b.open(1),
        b.frame(Number(type), Number(type) === T.OPEN ? 3 : at(Number(type)), payload.subarray(0, -1)),
      ],
    ),
    ...fixed.map(
      (type): Row => [
        `${name(type)}, longer`,
        b.open(1),
        b.frame(type, at(type), b.join(payloadOf[type] as Uint8Array, b.u8(0))),
      ],
    ),
    ['a block that runs past its frame', b.frame(T.OPEN, 1, b.hex('03 0006 0001610001'))],
    ['a string that runs past its block', b.frame(T.OPEN, 1, b.hex('03 0006 0001610002 3131'))],
    ['a reason that runs past its frame', b.open(1), b.frame(T.RESET, 1, b.hex('00000005 0003 6162'))],
    ['the reserved bit of the id', b.open(1), b.frame(T.DATA, 0x8000_0001, abc)],
    ['the reserved bit of the id 0', b.frame(T.CREDIT, 0x8000_0000, b.u32(1000))],
    ...streamOnly.map((type): Row => [`${name(type)} with id 0`, b.frame(type, 0, payloadOf[type] ?? abc)]),
    ...connectionOnly.map(
      (type): Row => [
        `${name(type)} on a stream`,
        b.open(1),
        b.frame(type, 1, payloadOf[type] ?? b.hex('000100000001')),
      ],
    ),
    ...Array.from(
      { length: 8 },
      (_, more): Row => [`the unknown type ${24 + more}`, b.frame(24 + more, more % 2)],
    ),
    ['an unknown type above 23, before its payload is there', b.header(30, 0, 100)],
  ];

  it.each(rows)('%s', async (_what, ...frames) => {
    await clientIsThrownOut('protocol-error', ...frames);
  });

  it('but what a larger MAX_FRAME allows is taken, and no more', async () => {
    const peer = new Peer('client', { limits: { maxFrameBytes: 100_000 } });
    peer.send(b.open(1), b.data(1, new Uint8Array(100_000)));
    await peer.expectAlive();
    expect(b.toHex(peer.transport.written)).toContain(`0004${b.toHex(b.u32(100_000))}`);
    peer.send(b.header(T.DATA, 1, 100_001));
    await peer.expectEnd('protocol-error');
  });

  it('but unknown types up to 23 are skipped, on any id', async () => {
    const peer = new Peer('client');
    for (let type = 12; type < 24; type++) peer.send(b.frame(type, type % 3, new Uint8Array(type)));
    await peer.expectAlive();
  });

  it('but flags without a name are ignored', async () => {
    const peer = new Peer('client');
    peer.send(
      b.open(1, [], abc, 6),
      b.frame(T.PING, 0, new Uint8Array(8), 7),
      b.frame(T.CREDIT, 0, b.u32(100), 1),
    );
    await peer.expectAlive();
    expect(peer.accepted[0]?.state).toBe('opening');
  });
});

describe('ids that are wrong: protocol-error', () => {
  const rows: Row[] = [
    ['OPEN of a client with an even id', b.open(2)],
    ['OPEN with the id of the last', b.open(3), b.open(3)],
    ['OPEN with an id below the last', b.open(3), b.open(1)],
    ['OPEN with the id of one that is over', b.open(1), b.reset(1, 5), b.open(1)],
    ...[
      b.accept(2),
      b.refuse(2, 4),
      b.data(1, abc),
      b.credit(1, 1000),
      b.trailers(1),
      b.stop(1, 5),
      b.reset(1, 5),
      b.data(2, abc),
      b.credit(2, 1000),
      b.stop(2, 5),
      b.reset(2, 5),
    ].map((frame): Row => {
      const [first] = b.framesIn(frame);
      return [`${first?.name} for stream ${first?.id}, which was never opened`, frame];
    }),
    ['DATA for a stream above the last', b.open(1), b.data(3, abc)],
    ['DATA for an id that was left out', b.open(5), b.reset(5, 5), b.data(7, abc)],
  ];

  it.each(rows)('%s', async (_what, ...frames) => {
    await clientIsThrownOut('protocol-error', ...frames);
  });

  it('OPEN of a server with an odd id', async () => {
    const peer = new Peer('server');
    peer.send(b.open(1));
    await peer.expectEnd('protocol-error');
  });

  it('a frame for a stream of ours that is not on the wire yet', async () => {
    const peer = new Peer('client');
    const stream = peer.provider.newStream();
    expect(stream.id).toBe(2);
    peer.send(b.credit(2, 1000));
    await peer.expectEnd('protocol-error');
    expect(await endOf(stream.closed)).toBeInstanceOf(StreamError);
  });

  it('but gaps, and the highest id, are right', async () => {
    const peer = new Peer('client');
    peer.send(b.open(5), b.open(2 ** 31 - 1));
    await peer.expectAlive();
    expect(peer.accepted.map(({ id }) => id)).toEqual([5, 2 ** 31 - 1]);
  });
});

/** The frames that a stream error is answered with; the connection goes on, and so do other streams. */
async function streamFails(peer: Peer, answer: string): Promise<void> {
  expect(await peer.said()).toEqual([answer]);
  await peer.expectAlive();
}

describe('an opening that is wrong ends its stream alone', () => {
  const bad: [what: string, headers: b.Headers, code: number][] = [
    ['a name in upper case', [['A', '1']], code['protocol-error']],
    ['an empty name', [['', '1']], code['protocol-error']],
    ['a colon alone', [[':', '1']], code['protocol-error']],
    ['a second colon', [['::a', '1']], code['protocol-error']],
    ['a space in a name', [['a b', '1']], code['protocol-error']],
    ['a name outside of ASCII', [['ä', '1']], code['protocol-error']],
    ['a bracket in a name', [['a(', '1']], code['protocol-error']],
    ['a NUL in a value', [['a', '\0']], code['protocol-error']],
    ['a carriage return in a value', [['a', '1\r']], code['protocol-error']],
    ['a line feed in a value', [['a', '\n']], code['protocol-error']],
    [
      'a second header that is wrong',
      [
        ['a', '1'],
        ['B', '2'],
      ],
      code['protocol-error'],
    ],
    ['65 headers', Array.from({ length: 65 }, (_, at) => [`n${at}`, '']), code.limit],
    ['a name of 257 bytes', [['n'.repeat(257), '']], code.limit],
    ['a value of 8,193 bytes', [['v', 'x'.repeat(8193)]], code.limit],
    ['a value of 8,194 bytes in 4,097 letters', [['v', 'ä'.repeat(4097)]], code.limit],
    [
      'a block of 16,385 bytes',
      [
        ['a', 'x'.repeat(8192)],
        ['b', 'x'.repeat(8192 - 9)],
      ],
      code.limit,
    ],
  ];

  it.each(bad)('%s in OPEN', async (_what, headers, why) => {
    const peer = new Peer('client');
    peer.send(b.open(1, headers, abc), b.data(1, abc), b.open(3));
    await streamFails(peer, `REFUSE 1 ${why}`);
    expect(peer.accepted.map(({ id }) => id)).toEqual([3]);
  });

  it.each(bad)('%s in ACCEPT', async (_what, headers, why) => {
    const peer = new Peer('server');
    const stream = await peer.opened();
    const other = await peer.opened();
    peer.send(b.accept(1, headers, abc), b.data(1, abc), b.accept(3, [['x', 'y']]));
    await streamFails(peer, `RESET 1 ${why}`);
    for (const promise of [stream.reply, stream.closed, stream.trailers]) {
      expect(await endOf(promise)).toMatchObject({
        code: why === code.limit ? 'limit' : 'protocol',
        remote: true,
      });
    }
    expect((await other.reply).get('x')).toBe('y');
  });

  it.each(bad)('%s in TRAILERS', async (_what, headers, why) => {
    const peer = new Peer('client');
    peer.send(b.open(1), b.trailers(1, headers));
    await streamFails(peer, `RESET 1 ${why}`);
    expect(await endOf(peer.accepted[0]?.closed as Promise<void>)).toBeInstanceOf(StreamError);
  });

  it.each(bad)('%s in REFUSE fails the stream, whose answer it is', async (_what, headers) => {
    const peer = new Peer('server');
    const stream = await peer.opened();
    peer.send(b.refuse(1, code.refused, 'no', headers));
    await peer.expectAlive();
    expect(await endOf(stream.closed)).toBeInstanceOf(StreamError);
  });

  it('headers at their limits are taken', async () => {
    const peer = new Peer('client');
    peer.send(
      b.open(
        1,
        Array.from({ length: 64 }, (_, at) => [`n${at}`, '']),
      ),
    );
    peer.send(b.open(3, [['n'.repeat(256), 'x'.repeat(8192)]]));
    await peer.expectAlive();
    expect(peer.accepted.map(({ id }) => id)).toEqual([1, 3]);
  });

  it.each([8, 255])('urgency %d', async (urgency) => {
    const peer = new Peer('client');
    peer.send(b.open(1, [], abc, END, urgency), b.open(3));
    await streamFails(peer, `REFUSE 1 ${code['protocol-error']}`);
    expect(peer.accepted.map(({ id }) => id)).toEqual([3]);
  });

  it('more streams than we take: refused, to be tried elsewhere', async () => {
    const peer = new Peer('client', { limits: { maxStreams: 2 } });
    peer.send(b.open(1), b.open(3), b.open(5, [], abc), b.data(5, abc));
    await streamFails(peer, `REFUSE 5 ${code.refused}`);
    peer.send(b.reset(3, code.cancel), b.open(7));
    await peer.expectAlive();
    expect(peer.accepted.map(({ id }) => id)).toEqual([1, 3, 7]);
  });

  it('the data of a refused stream is given back to the connection', async () => {
    const peer = new Peer('client', {
      limits: { maxStreams: 1, receiveBudgetBytes: 65_536, windowBytes: 65_536 },
    });
    peer.send(b.open(1));
    for (let id = 3; id < 11; id += 2) peer.send(b.open(id, [], new Uint8Array(16_384), END));
    const said = await peer.said();
    const credits = said
      .filter((frame) => frame.startsWith('CREDIT 0'))
      .map((frame) => Number(frame.slice(9)));
    expect(credits.reduce((sum, bytes) => sum + bytes, 0)).toBeGreaterThanOrEqual(32_768);
    await peer.expectAlive();
  });
});

describe('an answer at the wrong time: protocol-error', () => {
  const rows: Row[] = [
    ['DATA before it', b.data(1, abc)],
    ['an empty DATA before it', b.data(1, nothing)],
    ['END before it', b.data(1, nothing, END)],
    ['TRAILERS before it', b.trailers(1)],
    ['a second ACCEPT', b.accept(1), b.accept(1)],
    ['REFUSE after ACCEPT', b.accept(1), b.refuse(1, 4)],
    ['ACCEPT after the end of an ACCEPT', b.accept(1, [], abc, END), b.accept(1)],
  ];

  it.each(rows)('%s', async (_what, ...frames) => {
    const peer = new Peer('server');
    const stream = await peer.opened();
    peer.send(...frames);
    await peer.expectEnd('protocol-error');
    expect(await endOf(stream.closed)).toBeInstanceOf(StreamError);
  });

  it.each([
    ['ACCEPT', b.accept(1)],
    ['REFUSE', b.refuse(1, 4)],
  ])('%s by the opener', async (_what, frame) => {
    await clientIsThrownOut('protocol-error', b.open(1), frame);
  });

  it('but CREDIT, STOP and RESET need no answer before them', async () => {
    const peer = new Peer('server');
    const stopped = await peer.opened();
    const dropped = await peer.opened();
    peer.send(b.credit(1, 1000), b.stop(1, 300), b.reset(3, 301, 'so there'), b.accept(1));
    await peer.expectAlive();
    expect(await endOf(stopped.write('x'))).toMatchObject({ code: 'stopped', wireCode: 300, remote: true });
    expect(await endOf(dropped.reply)).toMatchObject({
      code: 'reset',
      wireCode: 301,
      reset: 301,
      message: expect.stringContaining('so there'),
    });
  });
});

describe('after the end of its half', () => {
  const ends: Row[] = [
    ['END of OPEN', b.open(1, [], nothing, END)],
    ['END of DATA', b.open(1), b.data(1, abc, END)],
    ['TRAILERS', b.open(1), b.trailers(1)],
  ];
  const late: Row[] = [
    ['DATA', b.data(1, abc)],
    ['an empty DATA', b.data(1, nothing)],
    ['END', b.data(1, nothing, END)],
    ['TRAILERS', b.trailers(1)],
  ];
  const rows = ends.flatMap(([end, ...before]) =>
    late.map(([what, ...frames]): Row => [`${what} after ${end}`, ...before, ...frames]),
  );

  it.each(rows)('%s is a protocol-error', async (_what, ...frames) => {
    await clientIsThrownOut('protocol-error', ...frames);
  });

  it('TRAILERS after the END of an ACCEPT is one too', async () => {
    const peer = new Peer('server');
    await peer.opened();
    peer.send(b.accept(1, [], nothing, END), b.trailers(1));
    await peer.expectEnd('protocol-error');
  });

  it.each(ends)('CREDIT, STOP and RESET may follow %s', async (_what, ...frames) => {
    const peer = new Peer('client');
    peer.send(...frames, b.credit(1, 1000), b.stop(1, 5), b.reset(1, 5));
    await peer.expectAlive();
  });
});
