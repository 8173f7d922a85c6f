import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect as dial, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Limits } from 'rxmux';
import { type Listener, listen, type Provider } from 'rxmux/node';
import type { SshOptions } from 'rxmux/ssh';
import type { Field } from '../../lib/ssh/codec.js';
import * as wire from '../../lib/ssh/frames.js';
import { SshLink } from '../../lib/ssh/link.js';
import { RawPeer } from '../ssh/raw-peer.js';
import { trackProvider } from '../support/leaks.js';
import { keyPair, trustedSsh, trusting } from '../support/ssh.js';

const KiB = 1024;
const MiB = 1024 * KiB;

describe('a hostile peer of SSH that is logged in', () => {
  let peer: RawPeer;

  const begin = async (limits: Partial<Limits> = {}, options: SshOptions = {}): Promise<RawPeer> => {
    peer = await new RawPeer(limits, options).begin();
    return peer;
  };

  afterEach(() => {
    peer.end();
  });

  /** Thrown out with DISCONNECT 2, and the transport closed. */
  const thrownOut = async (code: string): Promise<string> => {
    const error = await peer.fate();
    expect(error).toMatchObject({ code, remote: true });
    expect(await peer.disconnected()).toBe(wire.DISCONNECT_PROTOCOL_ERROR);
    while (!peer.closed) await new Promise((resolve) => setTimeout(resolve, 5));
    return error.message;
  };

  it('forwards are taken from paths of sockets alone, and are counted before they listen', async () => {
    await begin({ maxForwards: 1 }, { serve: ['forwarded-streamlocal', 'forwarded-tcpip'] });
    const paths = ['', '\0rxmux', join(tmpdir(), 'a\nb'), join(tmpdir(), 'a\rb'), join(tmpdir(), 'a\0b')];
    for (const path of [...paths, join(tmpdir(), 'x'.repeat(108)), join(tmpdir(), 'no', 'such', 'folder')]) {
      peer.send(wire.MSG_GLOBAL_REQUEST, 'streamlocal-forward@openssh.com', true, path);
      await peer.next(wire.MSG_REQUEST_FAILURE);
    }
    for (let times = 0; times < 3; times++) {
      peer.send(wire.MSG_GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', 0);
    }
    await peer.next(wire.MSG_REQUEST_SUCCESS);
    await peer.next(wire.MSG_REQUEST_FAILURE);
    await peer.next(wire.MSG_REQUEST_FAILURE);
  });

  it('a path that is listened on again outlives the connections of the first time', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rxmux-forward-'));
    const path = join(folder, 'socket');
    await begin({}, { serve: ['forwarded-streamlocal'] });
    const ask = (name: string): Promise<unknown> => {
      peer.send(wire.MSG_GLOBAL_REQUEST, name, true, path);
      return peer.next(wire.MSG_REQUEST_SUCCESS);
    };
    await ask('streamlocal-forward@openssh.com');
    const first = dial(path);
    const open = await peer.next(wire.MSG_CHANNEL_OPEN);
    open.name();
    const number = open.uint32();
    peer.send(wire.MSG_CHANNEL_OPEN_CONFIRMATION, number, 0, MiB, 32 * KiB);
    await ask('cancel-streamlocal-forward@openssh.com');
    expect(existsSync(path)).toBe(false);
    await ask('streamlocal-forward@openssh.com');
    first.destroy();
    await peer.next(wire.MSG_CHANNEL_EOF);
    peer.send(wire.MSG_CHANNEL_EOF, number);
    peer.send(wire.MSG_CHANNEL_CLOSE, number);
    await peer.settled();
    await new Promise((resolve) => setTimeout(resolve, 20));
    const second = dial(path);
    await peer.next(wire.MSG_CHANNEL_OPEN);
    second.destroy();
    peer.end();
    rmSync(folder, { recursive: true });
  });

  it('a stream that says it is a channel of another kind is refused, whether that is served or not', async () => {
    await begin({}, { serve: ['exec'] });
    for (const [name, value] of [
      ['direct-tcpip', ':host'],
      ['exec', ':command'],
    ] as const) {
      peer.send(wire.MSG_CHANNEL_OPEN, wire.TYPE_STREAM, 0, MiB, 32 * KiB, 2, ':ssh', name, value, 'x');
      const refusal = await peer.next(wire.MSG_CHANNEL_OPEN_FAILURE);
      expect([refusal.uint32(), refusal.uint32()]).toEqual([0, wire.OPEN_PROHIBITED]);
    }
    expect(peer.server.streams.size).toBe(0);
  });

  it('one byte more than the window ends the connection', async () => {
    await begin({ windowBytes: 64 * KiB });
    const { recipient, window } = await peer.open();
    expect(window).toBe(64 * KiB);
    peer.data(recipient, 32 * KiB);
    peer.data(recipient, 32 * KiB);
    peer.data(recipient, 1);
    expect(await thrownOut('flow-control')).toContain('sent 1 bytes into a window of 0');
  });

  it('an oversize packet at the end of the window does too', async () => {
    await begin({ windowBytes: 40 * KiB });
    const { recipient } = await peer.open();
    peer.data(recipient, 32 * KiB);
    peer.data(recipient, 32 * KiB);
    expect(await thrownOut('flow-control')).toContain('sent 32768 bytes into a window of 8192');
  });

  it('data beyond the window of a stream that was reset does too', async () => {
    await begin({ windowBytes: 32 * KiB });
    const { recipient } = await peer.open();
    for (const stream of peer.server.streams.values()) stream.reset();
    await peer.next(wire.MSG_CHANNEL_CLOSE);
    peer.data(recipient, 32 * KiB);
    peer.data(recipient, 1);
    await thrownOut('flow-control');
  });

  it('data longer than 32 KiB in one packet ends the connection', async () => {
    await begin();
    const { recipient } = await peer.open();
    peer.data(recipient, 32 * KiB + 1);
    expect(await thrownOut('protocol')).toContain('32769');
  });

  it('data after the end, and a second end, end the connection', async () => {
    await begin();
    const { recipient } = await peer.open();
    peer.send(wire.MSG_CHANNEL_EOF, recipient);
    peer.data(recipient, 1);
    expect(await thrownOut('protocol')).toContain('after its end');
    peer.end();
    await begin();
    const again = await peer.open();
    peer.send(wire.MSG_CHANNEL_EOF, again.recipient);
    peer.send(wire.MSG_CHANNEL_EOF, again.recipient);
    expect(await thrownOut('protocol')).toContain('twice');
  });

  it('credit of 0, and past 2^32 - 1, end the connection', async () => {
    await begin();
    const first = await peer.open(0, 2 ** 32 - 1);
    peer.send(wire.MSG_CHANNEL_WINDOW_ADJUST, first.recipient, 1);
    expect(await thrownOut('flow-control')).toContain('2^32 - 1');
    peer.end();
    await begin();
    const second = await peer.open();
    peer.send(wire.MSG_CHANNEL_WINDOW_ADJUST, second.recipient, 0);
    expect(await thrownOut('flow-control')).toContain('by 0');
  });

  it.each([0, 1, 255])(
    'a maximum packet of %d is refused, and in an answer it ends the connection',
    async (most) => {
      await begin();
      peer.send(wire.MSG_CHANNEL_OPEN, wire.TYPE_STREAM, 0, MiB, most, 0);
      const refusal = await peer.next(wire.MSG_CHANNEL_OPEN_FAILURE);
      expect([refusal.uint32(), refusal.uint32()]).toEqual([0, wire.OPEN_CONNECT_FAILED]);
      const stream = peer.server.newStream();
      const open = await peer.next(wire.MSG_CHANNEL_OPEN);
      expect(open.text(100)).toBe(wire.TYPE_STREAM);
      peer.send(wire.MSG_CHANNEL_OPEN_CONFIRMATION, open.uint32(), 0, MiB, most);
      await thrownOut('protocol');
      await expect(stream.reply).rejects.toMatchObject({ code: 'protocol' });
    },
  );

  it('a window of 4 GiB, and a socket that nobody reads, hold no more than the queues', async () => {
    await begin();
    const { recipient } = await peer.open(0, 2 ** 32 - 1);
    peer.link.pause();
    const [stream] = [...peer.server.streams.values()];
    let pulled = 0;
    function* supply(): Generator<Uint8Array> {
      for (; pulled < 512 * MiB; pulled += 32 * KiB) yield new Uint8Array(32 * KiB);
    }
    const sending = (stream as NonNullable<typeof stream>).send(supply());
    sending.catch(() => {});
    let before = -1;
    while (before !== pulled) {
      before = pulled;
      for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    // What memory pipes hold, one batch of packets, and what waits to be made into packets.
    expect(pulled).toBeLessThan(1.5 * MiB);
    expect(recipient).toBe(0);
  });

  it('unread streams hold what their windows say, and later windows are smaller', async () => {
    await begin();
    const windows: number[] = [];
    for (let number = 0; number < 128; number++) {
      const { recipient, window } = await peer.open(number);
      windows.push(window);
      for (let sent = 0; sent < window; sent += 32 * KiB)
        peer.data(recipient, Math.min(32 * KiB, window - sent));
    }
    const total = windows.reduce((sum, window) => sum + window, 0);
    expect(windows[0]).toBe(MiB);
    expect(windows.at(-1)).toBe(32 * KiB);
    expect(total).toBeLessThanOrEqual(4 * MiB + 128 * 32 * KiB);
    await peer.settled();
    const held = [...peer.server.streams.values()].reduce((sum, { stats }) => sum + stats.queuedIn, 0);
    expect(held).toBeLessThanOrEqual(total);
  });

  it('channels beyond the limit are refused with reason 4, and the connection goes on', async () => {
    await begin({ maxStreams: 8 });
    for (let number = 0; number < 8; number++) await peer.open(number);
    peer.send(wire.MSG_CHANNEL_OPEN, wire.TYPE_STREAM, 8, MiB, 32 * KiB, 0);
    const refusal = await peer.next(wire.MSG_CHANNEL_OPEN_FAILURE);
    expect([refusal.uint32(), refusal.uint32()]).toEqual([8, wire.OPEN_RESOURCE_SHORTAGE]);
    expect(peer.server.streams.size).toBe(8);
  });

  it('channels that were reset count until the peer has closed them', async () => {
    await begin({ maxStreams: 4 });
    for (let number = 0; number < 4; number++) await peer.open(number);
    for (const stream of peer.server.streams.values()) stream.reset();
    expect(peer.server.streams.size).toBe(0);
    peer.send(wire.MSG_CHANNEL_OPEN, wire.TYPE_STREAM, 9, MiB, 32 * KiB, 0);
    expect((await peer.next(wire.MSG_CHANNEL_OPEN_FAILURE)).uint32()).toBe(9);
    peer.send(wire.MSG_CHANNEL_CLOSE, 2);
    // The lowest number that both ends have closed is used again.
    expect((await peer.open(10)).recipient).toBe(2);
  });

  const floods: Record<string, (peer: RawPeer, count: number) => void> = {
    'opens of unknown types': ({ send }, count) =>
      send.call(peer, wire.MSG_CHANNEL_OPEN, 'x11', count, MiB, 32 * KiB),
    'opens that are refused': ({ send }, count) =>
      send.call(peer, wire.MSG_CHANNEL_OPEN, 'session', count, MiB, 32 * KiB),
    'streams that nobody takes': ({ send }, count) =>
      send.call(peer, wire.MSG_CHANNEL_OPEN, wire.TYPE_STREAM, count, MiB, 32 * KiB, 0),
    'global requests': ({ send }) => send.call(peer, wire.MSG_GLOBAL_REQUEST, 'no-such@thing', true),
    'answers to nothing': ({ send }) => send.call(peer, wire.MSG_REQUEST_FAILURE),
    'messages that do nothing': ({ send }) => send.call(peer, wire.MSG_IGNORE, 'nothing'),
    'messages of unknown numbers': ({ send }) => send.call(peer, 192, 'what'),
    'resets before acceptance': ({ send }) =>
      send.call(peer, wire.MSG_GLOBAL_REQUEST, wire.REQUEST_RESET, false, 77, 5, ''),
  };
  it.each(Object.entries(floods))('a flood of %s ends the connection', async (_name, act) => {
    await begin();
    const most = 20_000;
    expect(await peer.until((count) => act(peer, count), most)).toBeLessThan(most);
    expect(await peer.fate()).toMatchObject({ code: 'limit', remote: true });
    expect(peer.server.streams.size).toBe(0);
  });

  it('a long message that does nothing counts as much as many short ones', async () => {
    await begin();
    const long = (): void => peer.send(wire.MSG_IGNORE, { string: new Uint8Array(30_000) });
    expect(await peer.until(long, 1000)).toBeLessThan(200);
    expect(await peer.fate()).toMatchObject({ code: 'limit', remote: true });
  });

  const ignore = (bytes = 0): void => peer.send(wire.MSG_IGNORE, { string: new Uint8Array(bytes) });
  const fewFaults = { uselessBurst: 20, uselessPerSecond: 0 };

  it('an IGNORE before each message is free, as asyncssh has it', async () => {
    await begin(fewFaults);
    ignore();
    const { recipient } = await peer.open();
    for (let count = 0; count < 5000; count++) {
      ignore();
      peer.data(recipient, 1);
      if (count % 100 === 99) await new Promise((resolve) => setImmediate(resolve));
    }
    ignore();
    await peer.settled();
    expect(peer.server.streams.get(1)?.stats.bytesIn).toBe(5000);
  });

  const idle: Record<string, () => void> = {
    'a second IGNORE': () => ignore(),
    'a long IGNORE': () => ignore(100),
    DEBUG: () => peer.send(wire.MSG_DEBUG, true, '', ''),
    'a message of an unknown number': () => peer.send(192, 'what'),
  };
  it.each(Object.entries(idle))('%s is not free with a message', async (_name, act) => {
    await begin(fewFaults);
    const { recipient } = await peer.open();
    for (let count = 0; count < 20; count++) {
      ignore();
      act();
      peer.data(recipient, 1);
    }
    await peer.settled();
    ignore();
    act();
    expect(await peer.fate()).toMatchObject({ code: 'limit', remote: true });
  });

  const useless: Record<string, (recipient: number) => void> = {
    'empty data': (recipient) => peer.data(recipient, 0),
    'an answer to nothing': () => peer.send(wire.MSG_REQUEST_FAILURE),
    'an answer to no request': (recipient) => peer.send(wire.MSG_CHANNEL_SUCCESS, recipient),
  };
  it.each(Object.entries(useless))('%s costs no less behind an IGNORE', async (_name, act) => {
    await begin(fewFaults);
    const { recipient } = await peer.open();
    for (let count = 0; count < 20; count++) {
      ignore();
      act(recipient);
    }
    await peer.settled();
    ignore();
    act(recipient);
    expect(await peer.fate()).toMatchObject({ code: 'limit', remote: true });
  });

  it('2,000 IGNOREs alone end the connection', async () => {
    await begin();
    for (let count = 0; count < 2000; count++) ignore();
    expect(await peer.fate()).toMatchObject({ code: 'limit', remote: true });
  });

  const onStream: Record<string, (recipient: number) => void> = {
    'empty data': (recipient) => peer.data(recipient, 0),
    'credit in single bytes': (recipient) => peer.send(wire.MSG_CHANNEL_WINDOW_ADJUST, recipient, 1),
    'unknown requests': (recipient) => peer.send(wire.MSG_CHANNEL_REQUEST, recipient, 'no-such', true),
    'answers to no request': (recipient) => peer.send(wire.MSG_CHANNEL_SUCCESS, recipient),
    'headers without end': (recipient) =>
      peer.send(wire.MSG_CHANNEL_REQUEST, recipient, wire.REQUEST_HEADERS, false, 0),
    'stops without end': (recipient) =>
      peer.send(wire.MSG_CHANNEL_REQUEST, recipient, 'eow@openssh.com', false),
    'resets without a close': (recipient) =>
      peer.send(wire.MSG_CHANNEL_REQUEST, recipient, wire.REQUEST_RESET, false, 5, 'x'),
    'standard error': (recipient) =>
      peer.send(wire.MSG_CHANNEL_EXTENDED_DATA, recipient, 1, { string: new Uint8Array(1) }),
  };
  it.each(Object.entries(onStream))('a flood of %s on a stream ends the connection', async (_name, act) => {
    await begin();
    const { recipient } = await peer.open();
    const most = 20_000;
    expect(await peer.until(() => act(recipient), most)).toBeLessThan(most);
    expect(await peer.fate()).toMatchObject({ code: 'limit', remote: true });
  });

  const behindClose: Record<string, (recipient: number) => void> = {
    credit: (recipient) => peer.send(wire.MSG_CHANNEL_WINDOW_ADJUST, recipient, 64 * KiB),
    requests: (recipient) => peer.send(wire.MSG_CHANNEL_REQUEST, recipient, 'exit-status', false, 0),
  };
  it.each(Object.entries(behindClose))(
    'a flood of %s behind our CLOSE ends the connection, some do not',
    async (_name, act) => {
      await begin(fewFaults);
      const { recipient } = await peer.open();
      for (const stream of peer.server.streams.values()) stream.reset();
      for (let count = 0; count < 64; count++) act(recipient);
      await peer.settled();
      const most = 20_000;
      expect(await peer.until(() => act(recipient), most)).toBeLessThan(most);
      expect(await peer.fate()).toMatchObject({ code: 'limit', remote: true });
    },
  );

  it('streams that are opened and closed at once end the connection', async () => {
    await begin();
    let over = false;
    void peer.fate().then(() => {
      over = true;
    });
    let count = 0;
    for (; count < 2000 && !over; count++) {
      const opened = await peer.open(count).catch(() => null);
      if (opened === null) break;
      peer.send(wire.MSG_CHANNEL_CLOSE, opened.recipient);
    }
    expect(count).toBeLessThan(2000);
    expect(await peer.fate()).toMatchObject({ code: 'limit' });
  });

  it('what was on its way when we asked for new keys is not taken for too much', async () => {
    await begin({ windowBytes: 32 * KiB, receiveBudgetBytes: 64 * KiB, rekeyBytes: 64 * KiB });
    const recipients: number[] = [];
    for (let number = 0; number < 20; number++) recipients.push((await peer.open(number)).recipient);
    const keyed = jest.spyOn(SshLink.prototype, 'keyed');
    for (const recipient of recipients) peer.data(recipient, 32 * KiB);
    await peer.settled();
    expect(keyed).toHaveBeenCalled();
    keyed.mockRestore();
    const held = [...peer.server.streams.values()].reduce((sum, { stats }) => sum + stats.queuedIn, 0);
    expect(held).toBe(20 * 32 * KiB);
  });

  it('changing keys again and again for nothing ends the connection', async () => {
    await begin();
    let over = false;
    void peer.fate().then(() => {
      over = true;
    });
    let count = 0;
    while (count < 100 && !over) {
      peer.link.rekey();
      count++;
      for (let turns = 0; turns < 20 && !over; turns++)
        await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect(count).toBeLessThan(100);
    expect(await peer.fate()).toMatchObject({ code: 'limit' });
  });

  const lies: Record<string, [number, ...(number | string | boolean | { string: Uint8Array })[]]> = {
    'a message that is too short': [wire.MSG_CHANNEL_DATA, 0],
    'a string that runs past its message': [wire.MSG_CHANNEL_DATA, 0, 0xffffffff],
    'a message that is too long': [wire.MSG_CHANNEL_CLOSE, 0, 0],
    'a channel that there is not': [wire.MSG_CHANNEL_CLOSE, 4711],
    'an answer to no opening': [wire.MSG_CHANNEL_OPEN_CONFIRMATION, 0, 0, 0, 1],
    'a type that is not UTF-8': [
      wire.MSG_CHANNEL_OPEN,
      { string: Uint8Array.of(0xff, 0xfe) },
      0,
      0,
      32 * KiB,
    ],
    'a type as long as a novel': [
      wire.MSG_CHANNEL_OPEN,
      { string: new Uint8Array(2000).fill(97) },
      0,
      0,
      32 * KiB,
    ],
    'headers that are more than they say': [
      wire.MSG_CHANNEL_OPEN,
      wire.TYPE_STREAM,
      0,
      0,
      32 * KiB,
      0,
      'more',
    ],
    'headers that are fewer than they say': [
      wire.MSG_CHANNEL_OPEN,
      wire.TYPE_STREAM,
      0,
      0,
      32 * KiB,
      9,
      'name',
    ],
  };
  it.each(Object.entries(lies))('%s ends the connection', async (_name, [type, ...fields]) => {
    await begin();
    peer.send(type, ...fields);
    await thrownOut('protocol');
  });

  it('headers beyond their limits refuse the stream, and the connection goes on', async () => {
    await begin();
    peer.send(wire.MSG_CHANNEL_OPEN, wire.TYPE_STREAM, 3, MiB, 32 * KiB, 257);
    expect((await peer.next(wire.MSG_CHANNEL_OPEN_FAILURE)).uint32()).toBe(3);
    peer.send(wire.MSG_CHANNEL_OPEN, wire.TYPE_STREAM, 4, MiB, 32 * KiB, 1, 'x'.repeat(1025), '');
    expect((await peer.next(wire.MSG_CHANNEL_OPEN_FAILURE)).uint32()).toBe(4);
    peer.send(wire.MSG_CHANNEL_OPEN, wire.TYPE_STREAM, 5, MiB, 32 * KiB, 1, 'x', 'y'.repeat(25 * KiB));
    expect((await peer.next(wire.MSG_CHANNEL_OPEN_FAILURE)).uint32()).toBe(5);
    expect((await peer.open(6)).recipient).toBe(0);
  });

  it('a session may not set more than 64 variables, nor start what is not served', async () => {
    await begin({}, { serve: ['exec'] });
    peer.send(wire.MSG_CHANNEL_OPEN, 'session', 0, MiB, 32 * KiB);
    const answer = await peer.next(wire.MSG_CHANNEL_OPEN_CONFIRMATION);
    answer.uint32();
    const recipient = answer.uint32();
    for (let number = 0; number < 65; number++) {
      peer.send(wire.MSG_CHANNEL_REQUEST, recipient, 'env', true, `NAME_${number}`, 'value');
    }
    for (let number = 0; number < 64; number++) await peer.next(wire.MSG_CHANNEL_SUCCESS);
    await peer.next(wire.MSG_CHANNEL_FAILURE);
    peer.send(wire.MSG_CHANNEL_REQUEST, recipient, 'shell', true);
    await peer.next(wire.MSG_CHANNEL_FAILURE);
    peer.send(wire.MSG_CHANNEL_REQUEST, recipient, 'exec', true, 'true');
    const stream = await peer.server.accept();
    expect(stream?.headers.get('name_63')).toBe('value');
    expect(stream?.headers.has('name_64')).toBe(false);
    stream?.reject();
    await peer.next(wire.MSG_CHANNEL_FAILURE);
  });

  const session = async (number = 0): Promise<number> => {
    peer.send(wire.MSG_CHANNEL_OPEN, 'session', number, MiB, 32 * KiB);
    const answer = await peer.next(wire.MSG_CHANNEL_OPEN_CONFIRMATION);
    answer.uint32();
    return answer.uint32();
  };

  it('a variable or a command that is not UTF-8 is refused, and the connection goes on', async () => {
    await begin({}, { serve: ['exec'] });
    const recipient = await session();
    const latin = { string: Uint8Array.of(0x63, 0x61, 0x66, 0xe9) };
    peer.send(wire.MSG_CHANNEL_REQUEST, recipient, 'env', true, 'NAME', latin);
    await peer.next(wire.MSG_CHANNEL_FAILURE);
    peer.send(wire.MSG_CHANNEL_REQUEST, recipient, 'exec', true, latin);
    await peer.next(wire.MSG_CHANNEL_FAILURE);
    await peer.settled();
  });

  it('input right behind a start that is refused is dropped, and the connection goes on', async () => {
    await begin({ windowBytes: 32 * KiB }, { serve: ['exec'] });
    const recipient = await session();
    peer.send(wire.MSG_CHANNEL_REQUEST, recipient, 'shell', true);
    peer.data(recipient, 20 * KiB);
    await peer.next(wire.MSG_CHANNEL_FAILURE);
    peer.send(wire.MSG_CHANNEL_REQUEST, recipient, 'exec', true, 'true');
    peer.data(recipient, 12 * KiB);
    // What was dropped is credited to those that try again.
    const stream = await peer.server.accept();
    expect((await stream?.read())?.byteLength).toBe(12 * KiB);
    const credit = await peer.next(wire.MSG_CHANNEL_WINDOW_ADJUST);
    expect([credit.uint32(), credit.uint32()]).toEqual([0, 20 * KiB]);
    const other = await session(1);
    peer.send(wire.MSG_CHANNEL_REQUEST, other, 'exec', true, 'nothing\0');
    for (let sent = 0; sent < 32; sent += 16) peer.data(other, 16 * KiB);
    await peer.settled();
    peer.data(other, 1);
    await thrownOut('flow-control');
  });

  const onSession: Record<string, readonly [string, ...Field[]]> = {
    'sizes of a terminal': ['window-change', 80, 24, 0, 0],
    signals: ['signal', 'USR1'],
    variables: ['env', 'NAME', 'value'],
    terminals: ['pty-req', 'xterm', 80, 24, 0, 0, ''],
    starts: ['exec', 'false'],
  };
  it.each(Object.entries(onSession))(
    'a flood of %s on a session ends the connection',
    async (_name, [name, ...rest]) => {
      await begin({}, { serve: ['exec'] });
      const recipient = await session();
      peer.send(wire.MSG_CHANNEL_REQUEST, recipient, 'exec', true, 'true');
      (await peer.server.accept())?.accept();
      const most = 20_000;
      const act = (): void => peer.send(wire.MSG_CHANNEL_REQUEST, recipient, name, true, ...rest);
      expect(await peer.until(act, most)).toBeLessThan(most);
      expect(await peer.fate()).toMatchObject({ code: 'limit', remote: true });
    },
  );

  it('a terminal whose edge is dragged for ten seconds is no flood', async () => {
    await begin({}, { serve: ['exec'] });
    const recipient = await session();
    for (let count = 0; count < 600; count++) {
      peer.send(wire.MSG_CHANNEL_REQUEST, recipient, 'window-change', false, count, 24, 0, 0);
    }
    await peer.settled();
  });

  it('data on a session that runs nothing ends the connection', async () => {
    await begin({}, { serve: ['exec'] });
    peer.send(wire.MSG_CHANNEL_OPEN, 'session', 0, MiB, 32 * KiB);
    await peer.next(wire.MSG_CHANNEL_OPEN_CONFIRMATION);
    peer.data(0, 10);
    await thrownOut('protocol');
  });
});

describe('a hostile peer of SSH that is not logged in', () => {
  let listener: Listener;
  let errors: unknown[];
  const sockets: Socket[] = [];

  const begin = async (limits: Partial<Limits>, options: SshOptions = {}): Promise<void> => {
    errors = [];
    listener = await listen('tcp://127.0.0.1:0', trustedSsh(options), { limits });
    listener.accept$.subscribe((provider: Provider) => {
      trackProvider(provider).closed.catch((error) => errors.push(error));
    });
  };

  const attack = async (): Promise<Socket> => {
    const socket = dial({ host: '127.0.0.1', port: Number(listener.address.split(':').at(-1)) });
    sockets.push(socket);
    socket.on('error', () => {});
    await once(socket, 'connect');
    return socket;
  };

  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await listener.close();
  });

  const gone = async (socket: Socket): Promise<void> => {
    socket.resume();
    if (!socket.closed) await once(socket, 'close');
    for (let turns = 0; errors.length === 0 && turns < 200; turns++) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };

  it('who says nothing is closed after the deadline for banners', async () => {
    await begin({ bannerMs: 50 });
    await gone(await attack());
    expect(errors).toMatchObject([{ code: 'limit', cause: { reason: 'login' } }]);
    expect(String(errors[0])).toContain('said nothing for 50 ms');
  });

  it('who never logs in is closed after the deadline for logins', async () => {
    await begin({ handshakeMs: 80 });
    const socket = await attack();
    socket.write('SSH-2.0-patience\r\n');
    await gone(socket);
    expect(String(errors[0])).toContain('not logged in within 80 ms');
  });

  it('a banner in single bytes has the same deadline', async () => {
    await begin({ handshakeMs: 100 });
    const socket = await attack();
    const drip = setInterval(() => socket.write('S'), 5);
    await gone(socket);
    clearInterval(drip);
    expect(errors).toMatchObject([{ cause: { reason: 'login' } }]);
  });

  const banners: Record<string, Uint8Array> = {
    'a banner without end': Buffer.alloc(512 * KiB, 'a'),
    'lines without end': Buffer.alloc(512 * KiB, 'a\r\n'),
    garbage: Buffer.from(Array.from({ length: 4096 }, (_, at) => (at * 7919) % 256)),
    'another protocol': Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    'an old version': Buffer.from('SSH-1.5-old\r\n'),
    'a packet of 4 GiB': Buffer.concat([Buffer.from('SSH-2.0-x\r\n'), Buffer.alloc(64, 0xff)]),
    'packets of nothing': Buffer.concat([Buffer.from('SSH-2.0-x\r\n'), Buffer.alloc(64)]),
  };
  it.each(Object.entries(banners))('%s is closed at once', async (_name, bytes) => {
    await begin({});
    const socket = await attack();
    socket.write(bytes);
    await gone(socket);
    expect(errors).toMatchObject([{ remote: true, cause: { name: 'SshError' } }]);
  });

  it('packets that do nothing before there are keys have a budget', async () => {
    await begin({});
    const socket = await attack();
    // An IGNORE of 64 bytes in the clear, again and again (RFC 4253 §11.2).
    const packet = Buffer.alloc(80);
    packet.writeUInt32BE(76);
    packet[4] = 6;
    packet[5] = 2;
    packet.writeUInt32BE(64, 6);
    socket.write('SSH-2.0-flood\r\n');
    for (let count = 0; count < 8000 && !socket.destroyed; count++) socket.write(packet);
    await gone(socket);
    expect(String(errors[0])).toContain('more than 262144 bytes before it was logged in');
  });

  it('connections that are not logged in are limited, for all together', async () => {
    await begin({ maxUnauthenticated: 5 });
    const first = await Promise.all(Array.from({ length: 5 }, attack));
    const sixth = await attack();
    await gone(sixth);
    expect(first.every((socket) => !socket.closed)).toBe(true);
    expect(String(errors[0])).toContain('too many connections are not logged in');
  });

  it('a client that guesses is let off after six attempts', async () => {
    let attempts = 0;
    await begin(
      {},
      {
        authenticate: () => {
          attempts++;
          return false;
        },
      },
    );
    const { ssh2 } = await stock();
    const client = new ssh2.Client();
    client.on('error', () => {});
    let guesses = 0;
    client.connect({
      host: '127.0.0.1',
      port: Number(listener.address.split(':').at(-1)),
      username: 'mallory',
      authHandler: () => ({ type: 'password', username: 'mallory', password: `guess ${guesses++}` }),
    });
    await new Promise((resolve) => client.once('close', resolve));
    expect(attempts).toBe(6);
    expect(errors).toMatchObject([{ code: 'limit', cause: { reason: 'login' } }]);
  });

  it('a key without its signature lets nobody in', async () => {
    await begin({});
    const { ssh2 } = await stock();
    const { parseKey } = ssh2.utils;
    const client = new ssh2.Client();
    // The right public key, signed with another one.
    const right = parseKey(trusting().privateKey as string) as {
      getPublicSSH(): Buffer;
      getPublicPEM(): string;
    };
    const wrong = parseKey(keyPair().privateKey) as { sign(data: Buffer): Buffer };
    const forged = Object.assign(Object.create(Object.getPrototypeOf(right)), right, {
      sign: (data: Buffer) => wrong.sign(data),
      isPrivateKey: () => true,
    });
    let failed = false;
    client.on('error', () => {
      failed = true;
    });
    client.connect({
      host: '127.0.0.1',
      port: Number(listener.address.split(':').at(-1)),
      username: 'alice',
      authHandler: (left: unknown) =>
        left === null ? { type: 'publickey', username: 'alice', key: forged } : false,
    });
    await new Promise((resolve) => client.once('close', resolve));
    expect(failed).toBe(true);
    expect([...listener.providers].every((provider) => provider.streams.size === 0)).toBe(true);
  });
});

interface Stock {
  readonly Client: new () => import('node:events').EventEmitter & { connect(config: object): void };
  readonly utils: { parseKey(key: string): unknown };
}

async function stock(): Promise<{ ssh2: Stock }> {
  return { ssh2: (await import('ssh2' as string)).default as Stock };
}
