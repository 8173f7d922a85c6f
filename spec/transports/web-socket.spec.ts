import { fromWebSocket, type Transport, type WebSocketEvent, type WebSocketLike } from 'rxmux';
import { listenTo } from '../support/listen-to.js';

const KiB = 1024;

/** A WebSocket whose other end is the spec. Like a page's: it can neither be paused nor terminated. */
class ScriptedSocket implements WebSocketLike {
  binaryType = 'blob';
  readyState = 1;
  bufferedAmount = 0;
  url?: string;
  readonly sent: Uint8Array[] = [];
  readonly closes: (readonly (number | string)[])[] = [];
  readonly #listeners = new Map<string, ((event: WebSocketEvent) => void)[]>();

  send(data: Uint8Array): void {
    if (this.readyState === 0) throw new Error('InvalidStateError');
    this.sent.push(data);
    this.bufferedAmount += data.byteLength;
  }

  close(code: number, reason?: string): void {
    this.closes.push(reason ? [code, reason] : [code]);
    this.readyState = 2;
  }

  addEventListener(type: string, listener: (event: WebSocketEvent) => void): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  // ---- what the spec does

  tell(type: string, event: Omit<WebSocketEvent, 'type'> = {}): void {
    if (type === 'open') this.readyState = 1;
    if (type === 'close') this.readyState = 3;
    for (const listener of this.#listeners.get(type) ?? []) listener({ type, ...event });
  }

  say(...bytes: number[]): void {
    this.tell('message', { data: Uint8Array.from(bytes).buffer });
  }
}

/** One of npm's `ws`, which can be paused and terminated. */
class PausableSocket extends ScriptedSocket {
  readonly calls: string[] = [];

  pause(): void {
    this.calls.push('pause');
  }

  resume(): void {
    this.calls.push('resume');
  }

  terminate(): void {
    this.calls.push('terminate');
  }
}

function chunk(...bytes: number[]): Uint8Array {
  return Uint8Array.from(bytes);
}

/** A later turn, after what waits for one. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 1000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`not within a second: ${isSo}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

describe('fromWebSocket()', () => {
  it('says what it needs', () => {
    expect(() => fromWebSocket({} as WebSocketLike)).toThrow("needs a WebSocket: the platform's, or");
    expect(() => fromWebSocket(null as never)).toThrow(TypeError);
    const maxWaitingBytes = Number.NaN;
    expect(() => fromWebSocket(new ScriptedSocket(), { maxWaitingBytes })).toThrow(RangeError);
  });

  it('knows the peer by the address that was dialled', () => {
    const socket = new ScriptedSocket();
    socket.url = 'wss://example.com:8443/streams';
    const { remote, authority, secure } = fromWebSocket(socket);
    expect([remote, authority, secure]).toEqual([socket.url, 'example.com:8443', true]);
    socket.url = 'ws://example.com/';
    expect(fromWebSocket(socket).secure).toBeUndefined();
    expect(fromWebSocket(new ScriptedSocket()).remote).toBeUndefined();
    // An address of npm's `ws`.
    socket.url = 'ws+unix:/run/streams.sock:/path';
    expect(fromWebSocket(socket).remote).toBe(socket.url);
    expect(fromWebSocket(socket).authority).toBeUndefined();
  });

  describe('writing', () => {
    it('sends each chunk as a message, as it is', () => {
      const socket = new ScriptedSocket();
      const chunks = [chunk(1), chunk(2, 3)];
      expect(fromWebSocket(socket).write(chunks)).toBe(true);
      expect(socket.sent).toEqual(chunks);
      expect(socket.sent[1]).toBe(chunks[1]);
    });

    it('waits for a socket that is connecting', async () => {
      const socket = new ScriptedSocket();
      socket.readyState = 0;
      const transport = fromWebSocket(socket);
      const told = listenTo(transport);
      expect([transport.write([chunk(1)]), transport.write([chunk(2)])]).toEqual([false, false]);
      socket.tell('open');
      expect(socket.sent).toEqual([chunk(1), chunk(2)]);
      expect(told).toEqual(['drain']);
      expect(transport.write([chunk(3)])).toBe(true);
    });

    it('says nothing of room to who has not asked', () => {
      const socket = new ScriptedSocket();
      socket.readyState = 0;
      const told = listenTo(fromWebSocket(socket));
      socket.tell('open');
      expect(told).toEqual([]);
    });

    it('says stop at 256 KiB, and go once, at half of that', async () => {
      const socket = new ScriptedSocket();
      const transport = fromWebSocket(socket);
      const told = listenTo(transport);
      expect(transport.write([new Uint8Array(256 * KiB - 1)])).toBe(true);
      expect(transport.write([chunk(1)])).toBe(false);
      socket.bufferedAmount = 128 * KiB + 1;
      await new Promise((resolve) => setTimeout(resolve, 10));
      expect(told).toEqual([]);
      socket.bufferedAmount = 128 * KiB;
      await until(() => told.length > 0);
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(told).toEqual(['drain']);
    });

    it('looks for room at each message too, since timers are slow where nobody looks', () => {
      const socket = new ScriptedSocket();
      const transport = fromWebSocket(socket);
      const told = listenTo(transport);
      transport.write([new Uint8Array(256 * KiB)]);
      socket.say(1);
      socket.bufferedAmount = 0;
      socket.say(2);
      expect(told).toEqual([[1], [2], 'drain']);
    });

    it.each<[string, (transport: Transport, socket: ScriptedSocket) => void]>([
      ['end()', (transport) => transport.end()],
      ['destroy()', (transport) => transport.destroy()],
      ['a close', (_transport, socket) => socket.tell('close', { code: 1006 })],
    ])('does not look for room after %s', async (_name, act) => {
      const socket = new ScriptedSocket();
      const transport = fromWebSocket(socket);
      const told = listenTo(transport);
      transport.write([new Uint8Array(256 * KiB)]);
      act(transport, socket);
      socket.bufferedAmount = 0;
      let looks = 0;
      Object.defineProperty(socket, 'bufferedAmount', { get: () => looks++ });
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect([looks, told.includes('drain')]).toEqual([0, false]);
    });

    it('sends nothing after its end, nor into a socket that closes', () => {
      const socket = new ScriptedSocket();
      const transport = fromWebSocket(socket);
      transport.end();
      expect(transport.write([chunk(1)])).toBe(false);
      const closing = new ScriptedSocket();
      closing.readyState = 2;
      expect(fromWebSocket(closing).write([chunk(1)])).toBe(false);
      expect([socket.sent, closing.sent]).toEqual([[], []]);
    });
  });

  describe('reading', () => {
    it('asks for ArrayBuffers, and takes views too', () => {
      const socket = new ScriptedSocket();
      const told = listenTo(fromWebSocket(socket));
      expect(socket.binaryType).toBe('arraybuffer');
      socket.say(1, 2);
      socket.tell('message', { data: Buffer.from([0, 3, 4]).subarray(1) });
      expect(told).toEqual([
        [1, 2],
        [3, 4],
      ]);
    });

    it('passes an empty message over', () => {
      const socket = new ScriptedSocket();
      const told = listenTo(fromWebSocket(socket));
      socket.say();
      expect(told).toEqual([]);
    });

    it('keeps what comes before start()', async () => {
      const socket = new ScriptedSocket();
      const transport = fromWebSocket(socket);
      socket.say(1);
      socket.say(2);
      socket.tell('close', { code: 1000 });
      const told = listenTo(transport);
      expect(told).toEqual([]);
      await turn();
      expect(told).toEqual([[1], [2], 'end', 'close']);
    });

    it('keeps what comes while it is paused, in order, and the close behind it', async () => {
      const socket = new ScriptedSocket();
      const transport = fromWebSocket(socket);
      const told = listenTo(transport);
      transport.pause();
      socket.say(1);
      transport.resume();
      // Not before the one that waits for its turn.
      socket.say(2);
      expect(told).toEqual([]);
      await turn();
      expect(told).toEqual([[1], [2]]);
      transport.pause();
      socket.say(3);
      socket.tell('close', { code: 1001 });
      await turn();
      expect(told).toHaveLength(2);
      transport.resume();
      await turn();
      expect(told.slice(2)).toEqual([[3], 'end', 'close']);
    });

    it('stops in the middle of what it has kept', async () => {
      const socket = new ScriptedSocket();
      const transport = fromWebSocket(socket);
      const told: unknown[] = [];
      transport.start({
        onData: (bytes) => {
          told.push([...bytes]);
          transport.pause();
        },
        onEnd: () => told.push('end'),
        onDrain: () => {},
        onClose: () => told.push('close'),
      });
      for (const byte of [1, 2, 3]) socket.say(byte);
      socket.tell('close', { code: 1000 });
      for (let count = 1; count <= 3; count++) {
        await turn();
        expect(told).toHaveLength(count);
        transport.resume();
      }
      await turn();
      expect(told).toEqual([[1], [2], [3], 'end', 'close']);
    });

    it('pauses a socket that can be paused', () => {
      const socket = new PausableSocket();
      const transport = fromWebSocket(socket);
      transport.pause();
      transport.resume();
      expect(socket.calls).toEqual(['pause', 'resume']);
    });

    it('pauses it once it is open, if it was not', () => {
      const socket = new PausableSocket();
      socket.readyState = 0;
      const transport = fromWebSocket(socket);
      listenTo(transport);
      transport.pause();
      socket.calls.length = 0;
      socket.tell('open');
      expect(socket.calls).toEqual(['pause']);
    });

    it('resumes it when nothing waits any more, and not before', async () => {
      const socket = new PausableSocket();
      const transport = fromWebSocket(socket);
      const told: unknown[] = [];
      transport.start({
        onData: (bytes) => {
          told.push([...bytes]);
          if (told.length === 2) transport.pause();
        },
        onEnd: () => {},
        onDrain: () => {},
        onClose: () => {},
      });
      transport.pause();
      // Of the same read of the network.
      for (const byte of [1, 2, 3]) socket.say(byte);
      transport.resume();
      await turn();
      expect([told, socket.calls]).toEqual([
        [[1], [2]],
        ['pause', 'pause'],
      ]);
      transport.resume();
      await turn();
      expect([told, socket.calls]).toEqual([
        [[1], [2], [3]],
        ['pause', 'pause', 'resume'],
      ]);
    });

    it('gives up on a peer that fills the memory while nobody reads', async () => {
      const socket = new ScriptedSocket();
      const transport = fromWebSocket(socket, { maxWaitingBytes: 1000 });
      const told = listenTo(transport);
      transport.pause();
      socket.say(...new Array(700).fill(1));
      expect(socket.closes).toEqual([]);
      // A message of one byte costs more than a byte.
      socket.say(1);
      await turn();
      const sentence = 'more than 1000 bytes came while nobody could read them';
      expect(told).toEqual([new Error(sentence)]);
      expect(socket.closes).toEqual([[4000, sentence]]);
    });

    it('has room again for what was read', async () => {
      const socket = new ScriptedSocket();
      const transport = fromWebSocket(socket, { maxWaitingBytes: 1000 });
      const told = listenTo(transport);
      for (let count = 0; count < 3; count++) {
        transport.pause();
        socket.say(...new Array(700).fill(1));
        transport.resume();
        await turn();
      }
      expect([told.length, socket.closes]).toEqual([3, []]);
    });

    it('has 32 MiB of room, unless it is told otherwise', () => {
      const socket = new ScriptedSocket();
      fromWebSocket(socket).pause();
      for (let count = 0; count < 31; count++) socket.tell('message', { data: new ArrayBuffer(KiB * KiB) });
      expect(socket.closes).toEqual([]);
      socket.tell('message', { data: new ArrayBuffer(KiB * KiB) });
      expect(socket.closes).toHaveLength(1);
    });

    it('takes no text', async () => {
      const socket = new PausableSocket();
      const told = listenTo(fromWebSocket(socket));
      socket.tell('message', { data: 'hello' });
      socket.say(1);
      await turn();
      const sentence = 'the peer sent a text message, and only binary messages carry bytes';
      expect(told).toEqual([new Error(sentence)]);
      expect([socket.closes, socket.calls]).toEqual([[[4000, sentence]], ['terminate']]);
    });
  });

  describe('the end', () => {
    it.each([1000, 1001, 1005])('a close with %d is a good one', async (code) => {
      const socket = new ScriptedSocket();
      const told = listenTo(fromWebSocket(socket));
      socket.tell('close', { code, reason: '' });
      await turn();
      expect(told).toEqual(['end', 'close']);
    });

    it.each([
      [1006, '', 'the WebSocket was closed with code 1006'],
      [1011, 'out of memory', 'the WebSocket was closed with code 1011: out of memory'],
      [4000, '', 'the WebSocket was closed with code 4000'],
    ])('a close with %d is an error', async (code, reason, message) => {
      const socket = new ScriptedSocket();
      const told = listenTo(fromWebSocket(socket));
      socket.tell('close', { code, reason });
      await turn();
      expect(told).toEqual([new Error(message)]);
    });

    it('the cause of it is told where the socket knows one', async () => {
      const socket = new ScriptedSocket();
      const told = listenTo(fromWebSocket(socket));
      const error = new Error('connect ECONNREFUSED');
      socket.tell('error', { error });
      socket.tell('close', { code: 1006, reason: '' });
      await turn();
      expect(told).toEqual([new Error('the WebSocket was closed with code 1006: connect ECONNREFUSED')]);
      expect((told[0] as Error).cause).toBe(error);
    });

    it('an error does not wait for a reader', async () => {
      const socket = new ScriptedSocket();
      const transport = fromWebSocket(socket);
      const told = listenTo(transport);
      transport.pause();
      socket.say(1);
      socket.tell('close', { code: 1006 });
      await turn();
      expect(told).toEqual([new Error('the WebSocket was closed with code 1006')]);
    });

    it('a socket that was closed before is an error', async () => {
      const socket = new ScriptedSocket();
      socket.readyState = 3;
      const told = listenTo(fromWebSocket(socket));
      await turn();
      expect(told).toEqual([new Error('the WebSocket was closed already')]);
    });

    it('end() closes with 1000, once, and what comes after it is nobody’s', async () => {
      const socket = new PausableSocket();
      const transport = fromWebSocket(socket);
      const told = listenTo(transport);
      transport.pause();
      transport.write([chunk(1)]);
      transport.end();
      transport.end();
      socket.say(1);
      // Whoever has paused must see the answer.
      expect([socket.closes, socket.calls]).toEqual([[[1000]], ['pause', 'resume']]);
      transport.resume();
      socket.tell('close', { code: 1000 });
      await turn();
      expect(told).toEqual(['end', 'close']);
    });

    it('end() while it connects closes behind what was written', () => {
      const socket = new ScriptedSocket();
      socket.readyState = 0;
      const transport = fromWebSocket(socket);
      transport.write([chunk(1)]);
      transport.end();
      expect(socket.closes).toEqual([]);
      socket.tell('open');
      expect([socket.sent, socket.closes]).toEqual([[chunk(1)], [[1000]]]);
    });

    it('destroy() waits for nothing, and tells why, once', async () => {
      const socket = new PausableSocket();
      const transport = fromWebSocket(socket);
      const told = listenTo(transport);
      const error = new Error('enough');
      transport.destroy(error);
      transport.destroy();
      expect(told).toEqual([]);
      expect([socket.closes, socket.calls]).toEqual([[[4000]], ['terminate']]);
      socket.say(1);
      socket.tell('close', { code: 1006 });
      await turn();
      expect(told).toEqual([error]);
    });

    it('destroy() without a reason is no error, and no end', async () => {
      const transport = fromWebSocket(new ScriptedSocket());
      const told = listenTo(transport);
      transport.destroy();
      await turn();
      expect(told).toEqual(['close']);
    });

    it('destroy() after end() does not wait for the answer', async () => {
      const socket = new PausableSocket();
      const transport = fromWebSocket(socket);
      const told = listenTo(transport);
      transport.end();
      transport.destroy();
      await turn();
      expect(told).toEqual(['close']);
      expect(socket.calls).toContain('terminate');
    });
  });
});
