import { hold, memoryPair } from 'rxmux';
import { framer } from 'rxmux/framer';
import { StreamError } from '../../lib/core/errors.js';
import { trackProvider } from '../support/leaks.js';
import * as b from './bytes.js';
import { endOf, endPeers, Peer, turns } from './peer.js';

afterEach(endPeers);

const { T, END, code } = b;
const nothing: Uint8Array = new Uint8Array(0);
const abc = b.utf8('abc');

describe('what SPEC §3 to §5 ask of the other end', () => {
  it('a small request is one frame, and so is its answer', async () => {
    const client = new Peer('server');
    const stream = client.provider.newStream([
      ['a', '1'],
      ['a', '2'],
    ]);
    void stream.write('hello');
    void stream.end();
    const [request, ...more] = await client.frames();
    expect(more).toEqual([]);
    expect(request && b.toHex(b.frame(request.type, request.id, request.payload, request.flags))).toBe(
      b.toHex(
        b.open(
          1,
          [
            ['a', '1'],
            ['a', '2'],
          ],
          b.utf8('hello'),
          END,
        ),
      ),
    );

    const server = new Peer('client');
    server.send(b.open(1, [], nothing, END));
    await turns();
    void server.accepted[0]?.accept({ 'x-a': 'b' }).write('hello');
    void server.accepted[0]?.end();
    const [answer, ...rest] = await server.frames();
    expect(rest).toEqual([]);
    expect(answer && b.toHex(b.frame(answer.type, answer.id, answer.payload, answer.flags))).toBe(
      b.toHex(b.accept(1, [['x-a', 'b']], b.utf8('hello'), END)),
    );
  });

  it('STOP before an answer is answered with ACCEPT and an empty END; the other half goes on', async () => {
    const peer = new Peer('client');
    peer.send(b.open(1), b.stop(1, code.cancel));
    await turns();
    const [stream] = peer.accepted;
    stream?.data$.subscribe();
    const frames = await peer.frames();
    expect(frames.map(({ name, flags, payload }) => `${name} ${flags} ${payload.byteLength}`)).toEqual(
      // One frame may say both.
      frames.length === 1 ? ['ACCEPT 1 2'] : ['ACCEPT 0 2', 'DATA 1 0'],
    );
    peer.send(b.data(1, abc, END));
    await expect(stream?.closed).resolves.toBeUndefined();
  });

  it('STOP drops what waits for credit, and an empty END follows', async () => {
    const peer = new Peer('server', { says: b.hello('server', 10, 1000) });
    const stream = await peer.opened();
    const written = endOf(stream.write(new Uint8Array(500)));
    await turns();
    peer.send(b.accept(1), b.stop(1, 300));
    const frames = (await peer.frames()).filter(({ name }) => name === 'DATA');
    expect(frames.map(({ flags, payload }) => `${flags} ${payload.byteLength}`)).toEqual(['0 10', '1 0']);
    expect(await written).toMatchObject({ code: 'stopped', wireCode: 300 });
    expect(stream.state).toBe('half-closed-local');
  });

  it('what we stop is discarded, and given back to the connection alone', async () => {
    const peer = new Peer('server', { limits: { windowBytes: 65_536, receiveBudgetBytes: 65_536 } });
    const stream = await peer.answered();
    stream.stop(300);
    expect(await peer.said()).toEqual(['STOP 1 300']);
    peer.send(b.data(1, new Uint8Array(40_000)));
    expect(await peer.said()).toEqual(['CREDIT 0 40000']);
    peer.send(b.data(1, nothing, END));
    await stream.end();
    await expect(stream.closed).resolves.toBeUndefined();
  });

  it('a PING is answered before any data that waits', async () => {
    const peer = new Peer('server', { says: b.hello('server', 2 ** 30, 2 ** 30) });
    const stream = await peer.answered();
    await turns();
    peer.transport.room = false;
    for (let count = 0; count < 10; count++) void stream.write(new Uint8Array(30_000));
    await peer.frames();
    peer.send(b.ping());
    await turns();
    peer.transport.room = true;
    peer.transport.drain();
    expect((await peer.frames())[0]?.name).toBe('PONG');
  });

  it('SETTINGS that shrink a window below what was sent stop the sender until credit has come', async () => {
    const peer = new Peer('server', { says: nothing });
    const stream = peer.provider.newStream();
    void stream.write(new Uint8Array(20_000));
    const bytesOf = (frames: readonly b.Frame[]): number =>
      frames.reduce((sum, { type, payload }) => sum + payload.byteLength - (type === T.OPEN ? 3 : 0), 0);
    expect(bytesOf(await peer.frames())).toBe(16_384);
    peer.send(b.hello('server', 10_000), b.credit(1, 6384));
    expect(await peer.frames()).toEqual([]);
    peer.send(b.credit(1, 100));
    expect(bytesOf(await peer.frames())).toBe(100);
  });

  it('no more than the early connection window is sent before SETTINGS', async () => {
    const peer = new Peer('server', { says: nothing });
    for (let count = 0; count < 6; count++) void peer.provider.newStream().write(new Uint8Array(16_384));
    const frames = await peer.frames();
    const sent = frames.reduce(
      (sum, { type, payload }) => sum + payload.byteLength - (type === T.OPEN ? 3 : 0),
      0,
    );
    expect(sent).toBe(65_536);
  });

  it('no frame is longer than the 65,536 bytes that every peer takes', async () => {
    const peer = new Peer('client', { says: b.hello('client', 2 ** 30, 2 ** 30) });
    peer.send(b.open(1), b.open(3));
    await turns();
    void peer.accepted[0]?.accept({ 'x-long': 'y'.repeat(8000) }).write(new Uint8Array(200_000));
    await peer.frames().then((frames) => expectShort(frames));
    peer.accepted[0]?.reset();
    void peer.accepted[1]?.write(new Uint8Array(200_000));
    await peer.frames().then((frames) => expectShort(frames));
  });

  it('GOAWAY names the last stream that we take; those above it are ignored, those below go on', async () => {
    const peer = new Peer('client');
    peer.send(b.open(1));
    await turns();
    void peer.provider.close();
    const [goAway] = await peer.frames();
    expect(goAway && b.toHex(goAway.payload)).toBe('0000000100000000' + '0000');
    peer.send(b.open(3, [], abc), b.data(3, abc, END), b.data(1, abc, END));
    const [stream] = peer.accepted;
    expect(peer.accepted).toHaveLength(1);
    expect(await stream?.read()).toEqual(abc);
    await stream?.end();
    await turns();
    expect(peer.transport.ended).toBe(true);
    await expect(peer.provider.closed).resolves.toBeUndefined();
  });

  it('nothing is opened behind our GOAWAY', async () => {
    const graceful = new Peer('server');
    await graceful.said();
    void graceful.provider.newStream().end();
    void graceful.provider.close();
    expect(await graceful.said()).toEqual(['OPEN 1', 'GOAWAY 0 0']);

    const failed = new Peer('server');
    await failed.said();
    void failed.provider.newStream().end();
    failed.send(b.credit(0, 0));
    expect((await failed.said()).at(-1)).toBe(`GOAWAY 0 ${code['flow-control']}`);
  });

  it('a stream that was opened in the turn of close() goes on to its end', async () => {
    const [near, far] = memoryPair();
    const client = trackProvider(framer(near, { role: 'client' }));
    const server = trackProvider(framer(far, { role: 'server' }));
    await client.ping();
    server.accept$.subscribe({ next: (stream) => void stream.send(stream.data$), error: () => {} });
    const stream = client.newStream();
    void stream.send('last words');
    void client.close();
    expect(await endOf(stream.read())).toBe('resolved');
    expect(await endOf(stream.closed)).toBe('resolved');
    expect(await endOf(client.closed)).toBe('resolved');
    expect(await endOf(server.closed)).toBe('resolved');
  });

  it('small pieces that come while a reader holds the last ones arrive as they were', async () => {
    const peer = new Peer('client');
    peer.send(b.open(1));
    await turns();
    const got: string[] = [];
    const chunks: Uint8Array[] = [];
    let release = (): void => {};
    const letters = [...'abcdefghijkl'];
    for (const [at, letter] of letters.entries()) {
      peer.send(b.data(1, b.utf8(letter.repeat(10))));
      await turns(2);
      if (at === 1)
        peer.accepted[0]?.data$.subscribe({
          next: (chunk) => {
            chunks.push(chunk);
            got.push(Buffer.from(chunk).toString());
            release = hold();
          },
          error: () => {},
        });
      if (at === 5 || at === 9) release();
    }
    while (got.join('').length < 10 * letters.length) {
      release();
      await turns(2);
    }
    expect(got.join('')).toBe(letters.map((letter) => letter.repeat(10)).join(''));
    // What was delivered belongs to the reader: nobody writes into it any more.
    expect(chunks.map((chunk) => Buffer.from(chunk).toString())).toEqual(got);
  });

  it('a peer’s GOAWAY fails the streams above its last id, to be tried elsewhere, and no other', async () => {
    const peer = new Peer('server');
    const first = await peer.opened();
    const second = await peer.opened();
    peer.send(b.goAway(1), b.accept(1, [], abc, END));
    expect(await endOf(second.closed)).toMatchObject({ code: 'refused', retryable: true });
    expect(await endOf(peer.provider.newStream().closed)).toMatchObject({ code: 'closed', retryable: true });
    expect(await first.read()).toEqual(abc);
    await first.end();
    await expect(peer.provider.closed).resolves.toBeUndefined();
  });

  it('a peer’s GOAWAY with an error fails everything with its code and reason', async () => {
    const peer = new Peer('server');
    const stream = await peer.answered();
    peer.send(b.goAway(1, code.overflow, 'too fast'));
    expect(await endOf(stream.closed)).toMatchObject({ remote: true, wireCode: code.overflow });
    expect(await endOf(peer.provider.closed)).toMatchObject({ message: expect.stringContaining('too fast') });
    expect(await peer.said()).toEqual([]);
    expect(peer.transport.ended).toBe(true);
  });

  it.each([
    ['a peer’s GOAWAY with an error', b.goAway(0, code.overflow)],
    ['what ends the connection', b.credit(0, 0)],
  ])('nothing behind %s means anything, in the same piece or later', async (_what, last) => {
    const peer = new Peer('client', { says: b.join(b.hello('client'), b.open(1)) });
    await turns();
    peer.send(last, b.open(3, [], abc), b.data(1, abc, END), b.ping());
    await turns();
    peer.send(b.open(5));
    await turns();
    expect(peer.accepted.map(({ id }) => id)).toEqual([1]);
    expect([...peer.provider.streams.keys()]).toEqual([]);
    expect(await endOf(peer.accepted[0]?.closed as Promise<void>)).toBeInstanceOf(StreamError);
  });

  it('nothing behind our own abort() means anything, in the same piece', async () => {
    const peer = new Peer('client');
    peer.send(b.open(1));
    await turns();
    peer.accepted[0]?.data$.subscribe({ next: () => peer.provider.abort(), error: () => {} });
    await turns();
    peer.send(b.data(1, abc), b.open(3, [], abc), b.data(1, abc, END));
    await turns();
    expect(peer.accepted.map(({ id }) => id)).toEqual([1]);
    expect([...peer.provider.streams.keys()]).toEqual([]);
  });

  it('a refusal has its code, reason and headers, and may be tried elsewhere only if it was "refused"', async () => {
    const peer = new Peer('server');
    const [one, other] = [await peer.opened(), await peer.opened()];
    peer.send(b.refuse(1, code.refused, 'full', [['x-why', 'test']]), b.refuse(3, 1234));
    const error = (await endOf(one.reply)) as StreamError;
    expect(error).toMatchObject({ code: 'refused', retryable: true, remote: true, wireCode: 4 });
    expect(error.message).toContain('full');
    expect(error.headers?.get('x-why')).toBe('test');
    expect(await endOf(other.reply)).toMatchObject({ code: 'refused', retryable: false, reset: 1234 });
  });
});

function expectShort(frames: readonly b.Frame[]): void {
  expect(frames.length).toBeGreaterThan(0);
  for (const { payload } of frames) expect(payload.byteLength).toBeLessThanOrEqual(65_536);
}

describe('headers that the wire cannot say are a mistake of the caller', () => {
  const long = 'x'.repeat(40_000);

  it.each<[string, Record<string, string | string[]>]>([
    ['a value above 65,535 bytes', { 'x-long': 'x'.repeat(65_536) }],
    ['a block above 65,535 bytes', { 'x-long': [long, long] }],
  ])('%s never makes a frame that lies about its length', async (_what, headers) => {
    const peer = new Peer('server');
    let stream: ReturnType<typeof peer.provider.newStream> | undefined;
    let thrown: unknown;
    try {
      stream = peer.provider.newStream(headers);
    } catch (error) {
      thrown = error;
    }
    await turns();
    const failed = stream === undefined ? thrown : await Promise.race([endOf(stream.closed), turns(20)]);
    expect(failed).toBeInstanceOf(Error);
    for (const frame of await peer.frames()) {
      expect(b.framesIn(b.frame(frame.type, frame.id, frame.payload))).toHaveLength(1);
      expect(frame.name).not.toBe('OPEN');
    }
    await peer.expectAlive();
  });
});
