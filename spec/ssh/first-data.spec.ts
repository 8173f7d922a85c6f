/**
 * What an opener has to say at once travels with its CHANNEL_OPEN, and what it is answered with the CONFIRMATION, if the
 * peer takes that.
 */
import { type Limits, memoryPair, type Provider, type Stream, span } from 'rxmux';
import { ssh } from 'rxmux/ssh';
import type { Field } from '../../lib/ssh/codec.js';
import * as wire from '../../lib/ssh/frames.js';
import { SshLink } from '../../lib/ssh/link.js';
import { trackPair } from '../support/leaks.js';
import { trusting } from '../support/ssh.js';
import { RawPeer } from './raw-peer.js';

const KiB = 1024;
const MiB = 1024 * KiB;

const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const filled = (bytes: number): Buffer => Buffer.alloc(bytes, 'the quick brown fox ');
const string = (bytes: Uint8Array | string): Field => ({ string: Buffer.from(bytes) });

async function all(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const accepted = async (provider: Provider): Promise<Stream> => (await provider.accept()) as Stream;

let ends: Provider[] = [];
let raw: RawPeer[] = [];

afterEach(() => {
  for (const end of ends) end.abort(new Error('the test is over'));
  for (const peer of raw) peer.end();
  ends = [];
  raw = [];
  jest.restoreAllMocks();
});

function pair(limits: Partial<Limits> = {}): { client: Provider; server: Provider } {
  const [near, far] = memoryPair();
  const client = ssh(trusting())(near, { role: 'client', limits });
  const server = ssh(trusting({ serve: ['direct-tcpip'] }))(far, { role: 'server', limits });
  trackPair([client, server]);
  ends.push(client, server);
  return { client, server };
}

/** A peer that does what the spec says; `software` is what it says it is. */
async function rawPeer(limits: Partial<Limits> = {}, software?: string): Promise<RawPeer> {
  if (software !== undefined) {
    const { loggedIn } = SshLink.prototype;
    jest.spyOn(SshLink.prototype, 'loggedIn').mockImplementation(function (this: SshLink) {
      loggedIn.call(this, software);
    });
  }
  const peer = new RawPeer(limits);
  raw.push(peer);
  await peer.begin();
  // The server has heard too.
  await peer.settled();
  return peer;
}

/** The messages of channels that go out, without those of credit. */
function sentBy(provider: Provider): string[] {
  const sent: string[] = [];
  provider.frames$.subscribe({
    next: ({ direction, name }) => {
      if (direction === 'out' && name.startsWith('CHANNEL') && !name.includes('ADJUST'))
        sent.push(name.slice(8));
    },
    error: () => {},
  });
  return sent;
}

/** "stream@rxmux.dev", 0, 1 MiB, 32 KiB, then { a: 'b' }. */
const plain =
  '5a 00000010 73747265616d4072786d75782e646576 00000000 00100000 00008000 00000001 00000001 61 00000001 62';
const openings: readonly [string, (stream: Stream) => unknown, string][] = [
  ['nothing', () => {}, ''],
  ['data', (stream) => stream.write('hello'), '00 00000005 68656c6c6f'],
  ['data that is all', (stream) => stream.send('hello'), '01 00000005 68656c6c6f'],
  ['only an end', (stream) => stream.end(), '01 00000000'],
];

describe('the opening of a stream', () => {
  it('goes to a peer that says what it takes', async () => {
    const [near, far] = memoryPair();
    const client = ssh(trusting())(far, { role: 'client' });
    ends.push(client);
    const heard = new Promise<Uint8Array>((resolve) =>
      near.start({ onData: resolve, onEnd: () => {}, onDrain: () => {}, onClose: () => {} }),
    );
    expect(Buffer.from(await heard).toString('latin1')).toMatch(/^SSH-2\.0-rxmux_3\r\n/);
  });

  it.each(openings)('with %s, as it stands on the wire', async (_name, act, bytes) => {
    const peer = await rawPeer();
    const stream = peer.server.newStream({ a: 'b' });
    void act(stream);
    const open = await peer.nextPayload(wire.MSG_CHANNEL_OPEN);
    expect(toHex(open)).toBe((plain + bytes).replaceAll(' ', ''));
  });

  it.each(['rxmux_2', 'rxmux_go', 'rxmux', 'OpenSSH_9.9'])('to %s has no data', async (software) => {
    const peer = await rawPeer({}, software);
    const stream = peer.server.newStream({ a: 'b' });
    void stream.send('hello');
    const open = await peer.nextPayload(wire.MSG_CHANNEL_OPEN);
    expect(toHex(open)).toBe(plain.replaceAll(' ', ''));
    await peer.settled();
    expect(peer.received.map(([type]) => type)).toEqual([]);
    peer.send(wire.MSG_CHANNEL_OPEN_CONFIRMATION, 0, 7, MiB, 32 * KiB);
    const data = await peer.next(wire.MSG_CHANNEL_DATA);
    expect([data.uint32(), Buffer.from(data.bytes()).toString()]).toEqual([7, 'hello']);
    await peer.next(wire.MSG_CHANNEL_EOF);
  });

  it('to a later version has data', async () => {
    const peer = await rawPeer({}, 'rxmux_10');
    void peer.server.newStream({ a: 'b' }).write('hello');
    expect(toHex(await peer.nextPayload(wire.MSG_CHANNEL_OPEN))).toMatch(/0000000568656c6c6f$/);
  });

  it('has data before the login too: it waits for that', async () => {
    const { client, server } = pair();
    const sent = sentBy(client);
    const a = client.newStream();
    void a.send('hello');
    const b = await accepted(server);
    expect([b.state, b.stats.queuedIn]).toEqual(['half-closed-remote', 5]);
    expect(sent).toEqual(['OPEN']);
  });

  it('of a standard channel has none', async () => {
    const { client, server } = pair();
    const sent = sentBy(client);
    const a = client.newStream({ ':ssh': 'direct-tcpip', ':host': 'a', ':port': '1' });
    void a.send('hello');
    const b = await accepted(server);
    expect([b.state, b.stats.queuedIn]).toEqual(['opening', 0]);
    expect(await all(b)).toBe('hello');
    expect(sent).toEqual(['OPEN', 'DATA', 'EOF']);
    await b.end();
  });

  it('has the first 2 KiB of more, and the rest follows', async () => {
    const peer = await rawPeer();
    const bytes = filled(MiB / 2);
    void peer.server.newStream({ a: 'b' }).send(bytes);
    const open = await peer.nextPayload(wire.MSG_CHANNEL_OPEN);
    expect(toHex(open)).toBe(`${plain}00 00000800`.replaceAll(' ', '') + toHex(bytes.subarray(0, 2048)));
    await peer.settled();
    expect(peer.received).toEqual([]);
    // What came counts: 1,000 bytes are left of this window.
    peer.send(wire.MSG_CHANNEL_OPEN_CONFIRMATION, 0, 0, 3048, 32 * KiB);
    const data = await peer.next(wire.MSG_CHANNEL_DATA);
    data.uint32();
    expect(Buffer.from(data.bytes()).equals(bytes.subarray(2048, 3048))).toBe(true);
    await peer.settled();
    expect(peer.received).toEqual([]);
  });
});

describe('one round trip', () => {
  it('is all that an opener waits for its answer', async () => {
    const peer = await rawPeer();
    const stream = peer.server.newStream();
    void stream.send('question');
    await peer.next(wire.MSG_CHANNEL_OPEN);
    peer.send(wire.MSG_CHANNEL_OPEN_CONFIRMATION, 0, 0, MiB, 32 * KiB);
    peer.send(wire.MSG_CHANNEL_DATA, 0, string('answer'));
    peer.send(wire.MSG_CHANNEL_EOF, 0);
    expect(await all(stream)).toBe('answer');
    await stream.closed;
    await peer.next(wire.MSG_CHANNEL_CLOSE);
    expect(peer.received).toEqual([]);
  });

  it('is all that an acceptor needs to answer', async () => {
    const peer = await rawPeer();
    peer.send(wire.MSG_CHANNEL_OPEN, wire.TYPE_STREAM, 3, MiB, 32 * KiB, 0, true, string('question'));
    const stream = await accepted(peer.server);
    expect([stream.state, stream.stats.queuedIn]).toEqual(['half-closed-remote', 8]);
    expect(await all(stream)).toBe('question');
    await stream.send('answer');
    await stream.closed;
    await peer.settled();
    const types = [
      wire.MSG_CHANNEL_OPEN_CONFIRMATION,
      wire.MSG_CHANNEL_DATA,
      wire.MSG_CHANNEL_EOF,
      wire.MSG_CHANNEL_CLOSE,
    ];
    expect(peer.received.map(([type]) => type)).toEqual(types);
  });
});

describe('reply headers', () => {
  /** A stream of the peer's, accepted with headers. */
  async function answer(software?: string): Promise<RawPeer> {
    const peer = await rawPeer({}, software);
    peer.send(wire.MSG_CHANNEL_OPEN, wire.TYPE_STREAM, 3, MiB, 32 * KiB, 0);
    (await accepted(peer.server)).accept({ a: 'ä' });
    return peer;
  }

  it('travel with the confirmation, as it stands on the wire', async () => {
    const peer = await answer();
    const confirmed = await peer.nextPayload(wire.MSG_CHANNEL_OPEN_CONFIRMATION);
    const bytes = '5b 00000003 00000000 00100000 00008000 00000001 00000001 61 00000002 c3a4';
    expect(toHex(confirmed)).toBe(bytes.replaceAll(' ', ''));
    await peer.settled();
    expect(peer.received).toEqual([]);
  });

  it.each(['rxmux_1', 'rxmux_2', 'rxmux_go', 'OpenSSH_9.9'])('to %s follow it', async (software) => {
    const peer = await answer(software);
    const confirmed = await peer.nextPayload(wire.MSG_CHANNEL_OPEN_CONFIRMATION);
    expect(toHex(confirmed)).toBe('5b00000003000000000010000000008000');
    const request = await peer.nextPayload(wire.MSG_CHANNEL_REQUEST);
    const bytes =
      '62 00000003 00000011 686561646572734072786d75782e646576 00 00000001 00000001 61 00000002 c3a4';
    expect(toHex(request)).toBe(bytes.replaceAll(' ', ''));
  });

  /** A stream of ours that the peer has confirmed, with what is given. */
  async function confirmed(peer: RawPeer, ...data: readonly Field[]): Promise<Stream> {
    const stream = peer.server.newStream();
    stream.reply.catch(() => {});
    await peer.next(wire.MSG_CHANNEL_OPEN);
    peer.send(wire.MSG_CHANNEL_OPEN_CONFIRMATION, 0, 7, MiB, 32 * KiB, ...data);
    return stream;
  }

  it('are read from a confirmation', async () => {
    const peer = await rawPeer();
    const stream = await confirmed(peer, 2, 'a', '1', 'a', '2');
    expect([...(await stream.reply)]).toEqual([
      ['a', '1'],
      ['a', '2'],
    ]);
    // What follows now are trailers.
    peer.send(wire.MSG_CHANNEL_REQUEST, 0, wire.REQUEST_HEADERS, false, 1, 'last', 'one');
    peer.send(wire.MSG_CHANNEL_EOF, 0);
    expect(await all(stream)).toBe('');
    expect((await stream.trailers)?.get('last')).toBe('one');
  });

  it('are waited for where a confirmation has none', async () => {
    const peer = await rawPeer();
    const stream = await confirmed(peer);
    await peer.settled();
    expect(stream.state).toBe('opening');
    peer.send(wire.MSG_CHANNEL_REQUEST, 0, wire.REQUEST_HEADERS, false, 1, 'a', '1');
    expect((await stream.reply).get('a')).toBe('1');
  });

  it('of a peer that is not ours are not looked for in its confirmation', async () => {
    const peer = await rawPeer({}, 'OpenSSH_9.9');
    const stream = await confirmed(peer, 77);
    expect([...(await stream.reply)]).toEqual([]);
  });

  it('that are too many reset the stream, and nothing else', async () => {
    const peer = await rawPeer({ maxHeaders: 1 });
    const stream = await confirmed(peer, 2, 'a', '1', 'b', '2');
    await expect(stream.reply).rejects.toMatchObject({ code: 'limit', remote: true });
    await peer.next(wire.MSG_CHANNEL_CLOSE);
    await peer.settled();
  });

  it.each<[string, readonly Field[]]>([
    ['too short', [1, 'a']],
    ['too long', [0, 'a']],
    ['no UTF-8', [1, 'a', { string: Uint8Array.of(0xc3, 0x28) }]],
  ])('that are %s end the connection', async (_name, data) => {
    const peer = await rawPeer();
    await confirmed(peer, ...data);
    expect(await peer.fate()).toMatchObject({ code: 'protocol', remote: true });
    expect(await peer.disconnected()).toBe(wire.DISCONNECT_PROTOCOL_ERROR);
  });
});

describe('first data', () => {
  const open = (peer: RawPeer, number: number, ...first: readonly Field[]): void =>
    peer.send(wire.MSG_CHANNEL_OPEN, wire.TYPE_STREAM, number, MiB, 32 * KiB, 0, ...first);

  it('of 2,049 bytes ends the connection', async () => {
    const peer = await rawPeer();
    open(peer, 0, false, string(filled(2048)));
    expect((await accepted(peer.server)).stats.queuedIn).toBe(2048);
    open(peer, 1, false, string(filled(2049)));
    const error = await peer.fate();
    expect(error).toMatchObject({ code: 'flow-control', remote: true });
    expect(error.message).toContain('2049 bytes');
    expect(await peer.disconnected()).toBe(wire.DISCONNECT_PROTOCOL_ERROR);
  });

  it('that is not of its form ends the connection', async () => {
    const peer = await rawPeer();
    open(peer, 0, false);
    expect(await peer.fate()).toMatchObject({ code: 'protocol', remote: true });
  });

  it('of no bytes and without an end does nothing', async () => {
    const peer = await rawPeer({ uselessBurst: 1, uselessPerSecond: 0 });
    for (let number = 0; number < 8; number++) {
      open(peer, number, false, string(''));
      const stream = await accepted(peer.server);
      expect([stream.state, stream.stats.queuedIn]).toEqual(['opening', 0]);
    }
  });

  it('counts against the window', async () => {
    const peer = await rawPeer({ windowBytes: 8 * KiB });
    open(peer, 0, false, string(filled(2048)));
    const stream = (await accepted(peer.server)).accept();
    const answer = await peer.next(wire.MSG_CHANNEL_OPEN_CONFIRMATION);
    answer.uint32();
    expect([answer.uint32(), answer.uint32()]).toEqual([0, 8 * KiB]);
    expect(stream.stats.receiveWindow).toBe(6 * KiB);
    peer.data(0, 6 * KiB);
    await peer.settled();
    peer.data(0, 1);
    expect((await peer.fate()).message).toContain('sent 1 bytes into a window of 0');
  });

  it('does not make its own window smaller', async () => {
    const peer = await rawPeer({ windowBytes: 128 * KiB, receiveBudgetBytes: 256 * KiB });
    open(peer, 0, false, string(filled(2048)));
    const stream = (await accepted(peer.server)).accept();
    await peer.next(wire.MSG_CHANNEL_OPEN_CONFIRMATION);
    expect(stream.stats.receiveWindow).toBe(126 * KiB);
  });

  it('counts for the connection, so that later windows are smaller', async () => {
    const peer = await rawPeer({ windowBytes: 128 * KiB, receiveBudgetBytes: 256 * KiB });
    for (let number = 0; number < 60; number++) open(peer, number, true, string(filled(2048)));
    open(peer, 60);
    await peer.settled();
    const streams = [...peer.server.streams.values()];
    expect(streams.reduce((sum, { stats }) => sum + stats.queuedIn, 0)).toBe(60 * 2048);
    const windowOfLast = async (): Promise<number> => {
      [...peer.server.streams.values()].at(-1)?.accept();
      const answer = await peer.next(wire.MSG_CHANNEL_OPEN_CONFIRMATION);
      answer.uint32();
      answer.uint32();
      return answer.uint32();
    };
    expect(await windowOfLast()).toBe((256 * KiB - 60 * 2048) / 2);
    // What is over gives its part back.
    for (const stream of streams) stream.reset();
    peer.send(wire.MSG_CHANNEL_CLOSE, 0);
    open(peer, 61);
    await peer.settled();
    expect(await windowOfLast()).toBe(128 * KiB);
  });

  it('is lost with a refusal', async () => {
    const { client, server } = pair();
    const a = client.newStream();
    void a.send('hello');
    (await accepted(server)).reject('refused', { why: 'not today' });
    const error = await a.reply.catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'refused', remote: true });
    const again = client.newStream();
    void again.send('hello');
    const b = await accepted(server);
    expect(await all(b)).toBe('hello');
    await b.send('done');
    expect(await all(again)).toBe('done');
  });

  it('that one connection refused goes to another', async () => {
    const first = pair({ maxStreams: 0 });
    const second = pair();
    const whole = span([first.client, second.client], { pick: 'primary' });
    ends.push(whole);
    for (const bytes of [1000, 10_000]) {
      const stream = whole.newStream();
      void stream.send(filled(bytes));
      const b = await accepted(second.server);
      expect(await all(b)).toBe(filled(bytes).toString());
      await b.send('done');
      expect(await all(stream)).toBe('done');
    }
    expect(whole.members).toMatchObject([{ retried: 2 }, { failed: 0 }]);
  });

  it('of a stream that is reset before anybody took it goes with it', async () => {
    const { client, server } = pair();
    const a = client.newStream();
    await a.write('hello');
    const b = await accepted(server);
    expect(b.stats.queuedIn).toBe(5);
    a.reset(1234);
    await expect(b.closed).rejects.toMatchObject({ code: 'reset', wireCode: 1234 });
    await expect(b.read()).rejects.toMatchObject({ code: 'reset' });
    await client.ping();
    expect(client.streams.size + server.streams.size).toBe(0);
  });

  it('may be read before its stream is accepted, and the rest comes', async () => {
    const { client, server } = pair({ windowBytes: 8 * KiB });
    const bytes = filled(MiB);
    const a = client.newStream();
    void a.send(bytes);
    const b = await accepted(server);
    let answer: (headers: Record<string, string>) => void = () => {};
    b.accept(
      new Promise((resolve) => {
        answer = resolve;
      }),
    );
    expect((await b.read())?.byteLength).toBe(2048);
    answer({ 'x-answer': 'yes' });
    expect((await a.reply).get('x-answer')).toBe('yes');
    expect((await all(b)) === bytes.subarray(2048).toString()).toBe(true);
    await b.end();
    await a.closed;
  });

  it('may have trailers behind it', async () => {
    const { client, server } = pair();
    const sent = sentBy(client);
    const a = client.newStream();
    void a.write('hello');
    void a.end({ last: 'one' });
    const b = await accepted(server);
    expect([b.state, b.stats.queuedIn]).toEqual(['opening', 5]);
    expect(await all(b)).toBe('hello');
    expect((await b.trailers)?.get('last')).toBe('one');
    expect(sent).toEqual(['OPEN', 'REQUEST', 'EOF']);
    await b.end();
    await a.closed;
  });

  it('of a connection that is closed at once arrives', async () => {
    const { client, server } = pair();
    const a = client.newStream();
    void a.send('hello');
    const closed = client.close();
    const b = await accepted(server);
    expect(await all(b)).toBe('hello');
    await b.send('done');
    expect(await all(a)).toBe('done');
    await closed;
  });

  it('stays a small part of a window, and of a packet', () => {
    const start = (limits: Partial<Limits>) => () =>
      ssh(trusting())(memoryPair()[0], { role: 'client', limits });
    expect(start({ windowBytes: 8 * KiB - 1 })).toThrow(RangeError);
    expect(start({ maxWindowBytes: 8 * KiB - 1 })).toThrow(RangeError);
    expect(start({ maxHeaderBlockBytes: 29 * KiB + 1 })).toThrow(RangeError);
  });
});
