/**
 * The ground that h2spec covers, case by case under its numbers (`generic/…`, `http2/…`, `hpack/…`), against a server of
 * ours. h2spec's `http2/` numbers are sections of RFC 7540; where RFC 9113 has another one, it is beside it. What h2spec
 * leaves open, a stream's error or the connection's, is said exactly here.
 */
import { memoryPair, type Provider } from 'rxmux';
import { http2 } from 'rxmux/http2';
import { FrameParser, type Setting, writeSettings } from '../../lib/http2/codec.js';
import { errorCode, frameFlag, frameType, settingId } from '../../lib/http2/frames.js';
import { HpackEncoder } from '../../lib/http2/hpack.js';
import { huffmanByteLength, huffmanEncode } from '../../lib/http2/huffman.js';
import { until } from '../conformance/wait.js';
import { trackProvider } from '../support/leaks.js';
import { frame, hex, join, latin1, preface, text } from './support.js';

const {
  DATA,
  HEADERS,
  PRIORITY,
  RST_STREAM,
  SETTINGS,
  PUSH_PROMISE,
  PING,
  GOAWAY,
  WINDOW_UPDATE,
  CONTINUATION,
} = frameType;
const { END_STREAM, END_HEADERS, PADDED, ACK } = frameFlag;
const WITH_PRIORITY = frameFlag.PRIORITY;

const encoder = new HpackEncoder({ tableBytes: 0 });
const request = [':method', 'POST', ':scheme', 'http', ':path', '/', ':authority', 'server'];
const get = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'server'];

const u32 = (value: number): Uint8Array =>
  Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
const block = (fields: readonly string[] = request): Uint8Array => encoder.encode(fields);
const headers = (id: number, end: boolean, fields: readonly string[] = request): Uint8Array =>
  frame(HEADERS, END_HEADERS | (end ? END_STREAM : 0), id, block(fields));
const raw = (fragment: Uint8Array): Uint8Array => frame(HEADERS, END_HEADERS | END_STREAM, 1, fragment);
const data = (id: number, bytes: number, flags = 0): Uint8Array =>
  frame(DATA, flags, id, new Uint8Array(bytes));
const rst = (id: number, code: number = errorCode.CANCEL): Uint8Array => frame(RST_STREAM, 0, id, u32(code));
const credit = (id: number, bytes: number): Uint8Array => frame(WINDOW_UPDATE, 0, id, u32(bytes));
const ping = (flags = 0): Uint8Array => frame(PING, flags, 0, latin1('h2spec!!'));
const priority = (id: number, on: number, weight = 0): Uint8Array =>
  frame(PRIORITY, 0, id, join(u32(on), Uint8Array.of(weight)));
const setting = (...list: readonly Setting[]): Uint8Array => {
  const out = new Uint8Array(9 + 6 * list.length);
  writeSettings(out, 0, list);
  return out;
};
const most = 2 ** 31 - 1;

/** A client that writes what it likes, to a server that answers every request with `hello`, and writes down what it hears. */
class Client {
  readonly server: Provider;
  readonly heard: string[] = [];
  bytes: Record<number, number> = {};
  closed = false;
  readonly #near;

  constructor() {
    const [near, far] = memoryPair();
    this.#near = near;
    const say = (line: string): void => void this.heard.push(line);
    const ignore = (): void => {};
    const parser = new FrameParser(
      {
        onFrame: ignore,
        onDataStart: ignore,
        onData: (id, chunk) => {
          this.bytes[id] = (this.bytes[id] ?? 0) + chunk.byteLength;
        },
        onDataEnd: (id, end) => say(`DATA ${id}${end ? ' end' : ''}`),
        onHeaders: (id) => say(`HEADERS ${id}`),
        onPriority: ignore,
        onSettings: () => say('SETTINGS'),
        onSettingsAck: () => say('SETTINGS ack'),
        onPing: (payload, ack) => say(`PING ${text(payload)}${ack ? ' ack' : ''}`),
        onRstStream: (id, code) => say(`RST ${id} ${code}`),
        onGoAway: (_lastId, code) => say(`GOAWAY ${code}`),
        onWindowUpdate: ignore,
        onUnknown: ignore,
        onStreamError: ignore,
      },
      { role: 'client' },
    );
    near.start({
      onData: (chunk) => void parser.parse(chunk),
      onEnd: () => near.end(),
      onDrain: ignore,
      onClose: () => {
        this.closed = true;
      },
    });
    this.server = trackProvider(http2(far, { role: 'server' }));
    this.server.accept$.subscribe({
      next: (stream) => {
        stream.data$.subscribe({ error: ignore });
        void stream.send('hello');
      },
      error: ignore,
    });
  }

  send(...frames: readonly Uint8Array[]): void {
    if (!this.closed) this.#near.write([join(...frames)]);
  }

  async hears(...lines: readonly string[]): Promise<void> {
    await until(
      () => lines.every((line) => this.heard.includes(line)) || this.closed,
      `${lines.join(', ')} in: ${this.heard.join(', ')}`,
    );
    expect(this.heard).toEqual(expect.arrayContaining([...lines]));
  }

  async end(): Promise<void> {
    this.server.abort();
    await until(() => this.closed, 'the transport closes');
  }
}

/** The connection ends with GOAWAY and this code. */
const connectionError =
  (code: number) =>
  async (client: Client): Promise<void> => {
    await client.hears(`GOAWAY ${code}`);
    await until(() => client.closed, 'the connection is closed');
  };

/** Only the stream is reset. */
const streamError =
  (code: number, id = 1) =>
  async (client: Client): Promise<void> => {
    await client.hears(`RST ${id} ${code}`);
    await lives(client);
  };

/** The connection goes on. */
async function lives(client: Client): Promise<void> {
  client.send(frame(PING, 0, 0, latin1('stillup?')));
  await client.hears('PING stillup? ack');
  expect(client.heard.some((line) => line.startsWith('GOAWAY'))).toBe(false);
}

/** The request is answered. */
const answered =
  (id = 1) =>
  async (client: Client): Promise<void> => {
    await client.hears(`HEADERS ${id}`, `DATA ${id} end`);
    expect(client.bytes[id]).toBe(5);
    await lives(client);
  };

const { PROTOCOL_ERROR, FRAME_SIZE_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, COMPRESSION_ERROR } = errorCode;
const protocol = connectionError(PROTOCOL_ERROR);
const size = connectionError(FRAME_SIZE_ERROR);
const malformed = streamError(PROTOCOL_ERROR);

interface Case {
  readonly sends: readonly Uint8Array[];
  readonly expects: (client: Client) => Promise<void>;
  /** Instead of the preface and SETTINGS. */
  readonly begins?: readonly Uint8Array[];
  /** Sent once the stream has been answered. */
  readonly after?: readonly Uint8Array[];
}

const is = (expects: Case['expects'], ...sends: readonly Uint8Array[]): Case => ({ expects, sends });
/** A stream that is over at both ends, and then this. */
const closed = (expects: Case['expects'], ...after: readonly Uint8Array[]): Case => ({
  expects,
  sends: [headers(1, true)],
  after,
});

const long = ['x-dummy', 'y'.repeat(100)];
const fragments = (whole: Uint8Array, count: number): Uint8Array[] =>
  Array.from({ length: count }, (_, index) =>
    whole.subarray(
      Math.floor((index * whole.length) / count),
      Math.floor(((index + 1) * whole.length) / count),
    ),
  );
const [one, two, three] = fragments(block([...request, ...long]), 3) as [Uint8Array, Uint8Array, Uint8Array];
const without = (name: string): readonly string[] => {
  const at = request.indexOf(name);
  return [...request.slice(0, at), ...request.slice(at + 2)];
};

/** `x: value` with a Huffman code whose last bytes are as given. */
function huffman(value: string, change: (bytes: Uint8Array) => Uint8Array): Uint8Array {
  const bytes = new Uint8Array(huffmanByteLength(value));
  huffmanEncode(value, bytes, 0);
  const changed = change(bytes);
  return join(block(), Uint8Array.of(0x00, 1, 0x78, 0x80 | changed.length), changed);
}

const cases: Readonly<Record<string, Case>> = {
  'generic/1/1 a client’s preface': is(lives),
  'generic/2/1 PRIORITY on an idle stream': is(answered(), priority(1, 0), headers(1, true)),
  'generic/2/2 WINDOW_UPDATE on a half-closed (remote) stream': is(
    answered(),
    headers(1, true),
    credit(1, 100),
  ),
  'generic/2/3 PRIORITY on a half-closed (remote) stream': is(answered(), headers(1, true), priority(1, 0)),
  'generic/2/4 RST_STREAM on a half-closed (remote) stream': is(lives, headers(1, true), rst(1)),
  'generic/2/5 PRIORITY on a closed stream': closed(lives, priority(1, 0)),
  'generic/3.1/1 DATA': is(answered(), headers(1, false), data(1, 5, END_STREAM)),
  'generic/3.1/2 several DATA': is(answered(), headers(1, false), data(1, 5), data(1, 5, END_STREAM)),
  'generic/3.1/3 DATA with padding': is(
    answered(),
    headers(1, false),
    frame(DATA, END_STREAM | PADDED, 1, Uint8Array.of(5, 1, 2, 3, 4, 0, 0, 0, 0, 0)),
  ),
  'generic/3.2/1 HEADERS': is(answered(), headers(1, true)),
  'generic/3.2/2 HEADERS with padding': is(
    answered(),
    frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, join(Uint8Array.of(3), block(), new Uint8Array(3))),
  ),
  'generic/3.2/3 HEADERS with priority': is(
    answered(),
    frame(HEADERS, END_HEADERS | END_STREAM | WITH_PRIORITY, 1, join(u32(0), Uint8Array.of(255), block())),
  ),
  'generic/3.3/1 PRIORITY of weight 1': is(answered(), priority(1, 0, 0), headers(1, true)),
  'generic/3.3/2 PRIORITY of weight 256': is(answered(), priority(1, 0, 255), headers(1, true)),
  'generic/3.3/3 PRIORITY with a dependency': is(answered(), priority(1, 3, 255), headers(1, true)),
  'generic/3.3/4 PRIORITY that is exclusive': is(answered(), priority(1, 0x8000_0003, 255), headers(1, true)),
  'generic/3.3/5 PRIORITY on an idle stream, then HEADERS of a lower id': is(
    answered(),
    priority(9, 0),
    headers(1, true),
  ),
  'generic/3.4/1 RST_STREAM': is(lives, headers(1, false), rst(1)),
  'generic/3.5/1 SETTINGS': is(
    (client) => client.hears('SETTINGS ack'),
    setting([settingId.MAX_CONCURRENT_STREAMS, 9]),
  ),
  'generic/3.7/1 PING': is((client) => client.hears('PING h2spec!! ack'), ping()),
  'generic/3.8/1 GOAWAY': is(
    (client) => until(() => client.closed, 'a connection without streams is closed'),
    frame(GOAWAY, 0, 0, join(u32(0), u32(0))),
  ),
  'generic/3.9/1 WINDOW_UPDATE of the connection': is(lives, credit(0, 100)),
  'generic/3.9/2 WINDOW_UPDATE of a stream': is(lives, headers(1, false), credit(1, 100)),
  'generic/3.10/1 CONTINUATION': is(
    answered(),
    frame(HEADERS, END_STREAM, 1, join(one, two)),
    frame(CONTINUATION, END_HEADERS, 1, three),
  ),
  'generic/3.10/2 several CONTINUATION': is(
    answered(),
    frame(HEADERS, END_STREAM, 1, one),
    frame(CONTINUATION, 0, 1, two),
    frame(CONTINUATION, END_HEADERS, 1, three),
  ),
  'generic/4/1 GET': is(answered(), headers(1, true, get)),
  'generic/4/2 HEAD': is(
    (client) => client.hears('HEADERS 1'),
    headers(1, true, [':method', 'HEAD', ...get.slice(2)]),
  ),
  'generic/4/3 POST with a body': is(answered(), headers(1, false), data(1, 4, END_STREAM)),
  'generic/4/4 POST with trailers': is(
    answered(),
    headers(1, false),
    data(1, 4),
    headers(1, true, ['x-test', 'ok']),
  ),
  'generic/5/1 an indexed field': is(answered(), raw(join(hex('83 86 84'), hex('41 01 61')))),
  'generic/5/2 a literal with indexing, its name indexed': is(
    answered(),
    raw(join(block(), hex('5a 01 61'))),
  ),
  'generic/5/3 the same, with Huffman': is(answered(), raw(join(block(), hex('5a 81 1f')))),
  'generic/5/4 a literal with indexing, its name new': is(
    answered(),
    raw(join(block(), hex('40 01 78 01 61'))),
  ),
  'generic/5/5 the same, with Huffman': is(answered(), raw(join(block(), hex('40 81 f3 81 1f')))),
  'generic/5/6 a literal without indexing, its name indexed': is(
    answered(),
    raw(join(block(), hex('0f 0b 01 61'))),
  ),
  'generic/5/7 the same, with Huffman': is(answered(), raw(join(block(), hex('0f 0b 81 1f')))),
  'generic/5/8 a literal without indexing, its name new': is(
    answered(),
    raw(join(block(), hex('00 01 78 01 61'))),
  ),
  'generic/5/9 the same, with Huffman': is(answered(), raw(join(block(), hex('00 81 f3 81 1f')))),
  'generic/5/10 a literal never indexed, its name indexed': is(
    answered(),
    raw(join(block(), hex('1f 0b 01 61'))),
  ),
  'generic/5/11 the same, with Huffman': is(answered(), raw(join(block(), hex('1f 0b 81 1f')))),
  'generic/5/12 a literal never indexed, its name new': is(
    answered(),
    raw(join(block(), hex('10 01 78 01 61'))),
  ),
  'generic/5/13 the same, with Huffman': is(answered(), raw(join(block(), hex('10 81 f3 81 1f')))),
  'generic/5/14 a size update of the table': is(answered(), raw(join(hex('20'), block()))),
  'generic/5/15 several size updates': is(answered(), raw(join(hex('20 3f e1 1f'), block()))),

  'http2/3.5/1 (RFC 9113 §3.4) a valid preface': is((client) => client.hears('SETTINGS', 'SETTINGS ack')),
  'http2/3.5/2 (RFC 9113 §3.4) an invalid preface': {
    begins: [latin1('INVALID CONNECTION PREFACE\r\n\r\n')],
    sends: [],
    expects: (client) => until(() => client.closed, 'the connection is closed'),
  },
  'http2/4.1/1 a frame of unknown type': is(lives, frame(0x16, 0, 0, new Uint8Array(8))),
  'http2/4.1/2 undefined flags': is(
    (client) => client.hears('PING h2spec!! ack'),
    frame(PING, 0x16, 0, latin1('h2spec!!')),
  ),
  'http2/4.1/3 the reserved bit': is(
    (client) => client.hears('PING h2spec!! ack'),
    join(ping().subarray(0, 5), Uint8Array.of(0x80), ping().subarray(6)),
  ),
  'http2/4.2/1 DATA of 2^14 bytes': is(answered(), headers(1, false), data(1, 16_384, END_STREAM)),
  'http2/4.2/2 DATA beyond MAX_FRAME_SIZE': is(size, headers(1, false), data(1, 16_385)),
  'http2/4.2/3 HEADERS beyond MAX_FRAME_SIZE': is(
    size,
    frame(HEADERS, END_HEADERS, 1, new Uint8Array(16_385)),
  ),
  'http2/4.3/1 an invalid field block': is(
    connectionError(COMPRESSION_ERROR),
    frame(HEADERS, END_HEADERS | END_STREAM, 1, Uint8Array.of(0x40, 0x01)),
  ),
  'http2/4.3/2 PRIORITY within a field block': is(protocol, frame(HEADERS, 0, 1, block()), priority(1, 0)),
  'http2/4.3/3 HEADERS of another stream within a field block': is(
    protocol,
    frame(HEADERS, 0, 1, block()),
    headers(3, true),
  ),
  'http2/5.1/1 idle: DATA': is(protocol, data(1, 4, END_STREAM)),
  'http2/5.1/2 idle: RST_STREAM': is(protocol, rst(1)),
  'http2/5.1/3 idle: WINDOW_UPDATE': is(protocol, credit(1, 100)),
  'http2/5.1/4 idle: CONTINUATION': is(protocol, frame(CONTINUATION, END_HEADERS, 1, block())),
  'http2/5.1/5 half-closed (remote): DATA': is(
    streamError(STREAM_CLOSED),
    headers(1, true),
    data(1, 4, END_STREAM),
  ),
  'http2/5.1/6 half-closed (remote): HEADERS': is(
    streamError(STREAM_CLOSED),
    headers(1, true),
    headers(1, true),
  ),
  'http2/5.1/7 half-closed (remote): CONTINUATION': is(
    protocol,
    headers(1, true),
    frame(CONTINUATION, END_HEADERS, 1, block()),
  ),
  'http2/5.1/8 closed: DATA after RST_STREAM': is(
    connectionError(STREAM_CLOSED),
    headers(1, false),
    rst(1),
    data(1, 4),
  ),
  'http2/5.1/9 closed: HEADERS after RST_STREAM': is(
    connectionError(STREAM_CLOSED),
    headers(1, false),
    rst(1),
    headers(1, true),
  ),
  'http2/5.1/10 closed: CONTINUATION after RST_STREAM': is(
    protocol,
    headers(1, false),
    rst(1),
    frame(CONTINUATION, END_HEADERS, 1, block()),
  ),
  'http2/5.1/11 closed: DATA': closed(connectionError(STREAM_CLOSED), data(1, 4)),
  'http2/5.1/12 closed: HEADERS': closed(connectionError(STREAM_CLOSED), headers(1, true)),
  'http2/5.1/13 closed: CONTINUATION': closed(protocol, frame(CONTINUATION, END_HEADERS, 1, block())),
  'http2/5.1.1/1 an even id': is(protocol, headers(2, true)),
  'http2/5.1.1/2 an id lower than the last': is(protocol, headers(5, true), headers(3, true)),
  'http2/5.1.2/1 more streams than MAX_CONCURRENT_STREAMS': is(
    streamError(errorCode.REFUSED_STREAM, 201),
    ...Array.from({ length: 101 }, (_, index) => headers(2 * index + 1, false)),
  ),
  'http2/5.3.1/1 HEADERS that depend on themselves': is(
    malformed,
    frame(HEADERS, END_HEADERS | END_STREAM | WITH_PRIORITY, 1, join(u32(1), Uint8Array.of(255), block())),
  ),
  'http2/5.3.1/2 PRIORITY that depends on itself': is(malformed, headers(1, false), priority(1, 1)),
  'http2/5.4.1/1 an error of the connection closes it': is(size, frame(PING, 0, 0, new Uint8Array(6))),
  'http2/5.4.1/2 GOAWAY goes before': is(
    (client) => client.hears('GOAWAY 6'),
    frame(PING, 0, 0, new Uint8Array(6)),
  ),
  'http2/5.5/1 an unknown extension': is(lives, frame(0xff, 0, 0, new Uint8Array(8))),
  'http2/5.5/2 an unknown extension within a field block': is(
    protocol,
    frame(HEADERS, 0, 1, block()),
    frame(0xff, 0, 0),
  ),
  'http2/6.1/1 DATA on stream 0': is(protocol, data(0, 4)),
  'http2/6.1/2 DATA on a stream that is not open': is(
    streamError(STREAM_CLOSED),
    headers(1, true),
    data(1, 4),
  ),
  'http2/6.1/3 DATA with an invalid pad length': is(
    protocol,
    headers(1, false),
    frame(DATA, END_STREAM | PADDED, 1, Uint8Array.of(6, 1, 2, 3, 4)),
  ),
  'http2/6.2/1 HEADERS without END_HEADERS, then PRIORITY': is(
    protocol,
    frame(HEADERS, 0, 1, block()),
    priority(1, 0),
  ),
  'http2/6.2/2 HEADERS of another stream within a field block': is(
    protocol,
    frame(HEADERS, 0, 1, block()),
    headers(3, true),
  ),
  'http2/6.2/3 HEADERS on stream 0': is(protocol, headers(0, true)),
  'http2/6.2/4 HEADERS with an invalid pad length': is(
    protocol,
    frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, join(Uint8Array.of(200), block())),
  ),
  'http2/6.3/1 PRIORITY on stream 0': is(protocol, priority(0, 0)),
  'http2/6.3/2 PRIORITY of another length than 5': is(
    streamError(FRAME_SIZE_ERROR),
    headers(1, false),
    frame(PRIORITY, 0, 1, new Uint8Array(4)),
  ),
  'http2/6.3/2 PRIORITY of another length than 5, on a stream that is over': closed(
    streamError(FRAME_SIZE_ERROR),
    frame(PRIORITY, 0, 1, new Uint8Array(4)),
  ),
  'http2/6.4/1 RST_STREAM on stream 0': is(protocol, rst(0)),
  'http2/6.4/2 RST_STREAM on an idle stream': is(protocol, rst(1)),
  'http2/6.4/3 RST_STREAM of another length than 4': is(
    size,
    headers(1, false),
    frame(RST_STREAM, 0, 1, new Uint8Array(3)),
  ),
  'http2/6.5/1 SETTINGS with ACK and a payload': is(size, frame(SETTINGS, ACK, 0, new Uint8Array(1))),
  'http2/6.5/2 SETTINGS on a stream': is(protocol, frame(SETTINGS, 0, 1, new Uint8Array(6))),
  'http2/6.5/3 SETTINGS of a length that is no multiple of 6': is(
    size,
    frame(SETTINGS, 0, 0, new Uint8Array(3)),
  ),
  'http2/6.5.2/1 ENABLE_PUSH of neither 0 nor 1': is(protocol, setting([settingId.ENABLE_PUSH, 2])),
  'http2/6.5.2/2 INITIAL_WINDOW_SIZE above 2^31-1': is(
    connectionError(FLOW_CONTROL_ERROR),
    setting([settingId.INITIAL_WINDOW_SIZE, 2 ** 31]),
  ),
  'http2/6.5.2/3 MAX_FRAME_SIZE below 2^14': is(protocol, setting([settingId.MAX_FRAME_SIZE, 16_383])),
  'http2/6.5.2/4 MAX_FRAME_SIZE above 2^24-1': is(protocol, setting([settingId.MAX_FRAME_SIZE, 2 ** 24])),
  'http2/6.5.2/5 an unknown setting': is(lives, setting([0xff, 1])),
  'http2/6.5.3/1 several values of INITIAL_WINDOW_SIZE': is(
    async (client) => {
      await client.hears('HEADERS 1', 'DATA 1');
      expect(client.bytes[1]).toBe(1);
    },
    setting([settingId.INITIAL_WINDOW_SIZE, 100], [settingId.INITIAL_WINDOW_SIZE, 1]),
    headers(1, true),
  ),
  'http2/6.5.3/2 SETTINGS are answered': is((client) => client.hears('SETTINGS ack'), setting()),
  'http2/6.7/1 PING': is((client) => client.hears('PING h2spec!! ack'), ping()),
  'http2/6.7/2 an answer to no PING is not answered': is(async (client) => {
    await lives(client);
    expect(client.heard).not.toContain('PING h2spec!! ack');
  }, ping(ACK)),
  'http2/6.7/3 PING on a stream': is(protocol, frame(PING, 0, 1, new Uint8Array(8))),
  'http2/6.7/4 PING of another length than 8': is(size, frame(PING, 0, 0, new Uint8Array(6))),
  'http2/6.8/1 GOAWAY on a stream': is(protocol, frame(GOAWAY, 0, 1, new Uint8Array(8))),
  'http2/6.9/1 WINDOW_UPDATE of 0': is(protocol, credit(0, 0)),
  'http2/6.9/2 WINDOW_UPDATE of 0 on a stream': is(malformed, headers(1, false), credit(1, 0)),
  'http2/6.9/3 WINDOW_UPDATE of another length than 4': is(
    size,
    frame(WINDOW_UPDATE, 0, 0, new Uint8Array(3)),
  ),
  'http2/6.9.1/1 a window of 1': is(
    async (client) => {
      await client.hears('HEADERS 1', 'DATA 1');
      expect(client.bytes[1]).toBe(1);
    },
    setting([settingId.INITIAL_WINDOW_SIZE, 1]),
    headers(1, true),
  ),
  'http2/6.9.1/2 a window of the connection above 2^31-1': is(
    connectionError(FLOW_CONTROL_ERROR),
    credit(0, most),
    credit(0, most),
  ),
  'http2/6.9.1/3 a window of a stream above 2^31-1': is(
    streamError(FLOW_CONTROL_ERROR),
    headers(1, false),
    credit(1, most),
    credit(1, most),
  ),
  'http2/6.9.2/1 INITIAL_WINDOW_SIZE changes for streams that are open': {
    ...is((client) => client.hears('DATA 1'), setting([settingId.INITIAL_WINDOW_SIZE, 0]), headers(1, true)),
    after: [setting([settingId.INITIAL_WINDOW_SIZE, 1])],
  },
  'http2/6.9.2/2 a window below 0': is(
    async (client) => {
      await until(() => client.bytes[1] === 4, `4 bytes, not ${client.bytes[1]}`);
      await lives(client);
    },
    setting([settingId.INITIAL_WINDOW_SIZE, 3]),
    headers(1, true),
    setting([settingId.INITIAL_WINDOW_SIZE, 2]),
    credit(1, 2),
  ),
  'http2/6.9.2/3 SETTINGS that raise a window above 2^31-1': is(
    connectionError(FLOW_CONTROL_ERROR),
    setting([settingId.INITIAL_WINDOW_SIZE, 2 ** 31]),
  ),
  'http2/6.10/1 several CONTINUATION': is(
    answered(),
    frame(HEADERS, END_STREAM, 1, one),
    frame(CONTINUATION, 0, 1, two),
    frame(CONTINUATION, END_HEADERS, 1, three),
  ),
  'http2/6.10/2 CONTINUATION, and another frame within the block': is(
    protocol,
    frame(HEADERS, END_STREAM, 1, one),
    frame(CONTINUATION, 0, 1, two),
    data(1, 4),
  ),
  'http2/6.10/3 CONTINUATION on stream 0': is(
    protocol,
    frame(HEADERS, END_STREAM, 1, one),
    frame(CONTINUATION, END_HEADERS, 0, two),
  ),
  'http2/6.10/4 CONTINUATION behind END_HEADERS': is(
    protocol,
    headers(1, false),
    frame(CONTINUATION, END_HEADERS, 1, block(long)),
  ),
  'http2/6.10/5 CONTINUATION behind a CONTINUATION with END_HEADERS': is(
    protocol,
    frame(HEADERS, 0, 1, one),
    frame(CONTINUATION, END_HEADERS, 1, join(two, three)),
    frame(CONTINUATION, END_HEADERS, 1, block(long)),
  ),
  'http2/6.10/6 CONTINUATION behind DATA': is(
    protocol,
    headers(1, false),
    data(1, 4),
    frame(CONTINUATION, END_HEADERS, 1, block(long)),
  ),
  'http2/7/1 GOAWAY with an unknown code': is(
    (client) => until(() => client.closed, 'a connection that was given up is closed'),
    frame(GOAWAY, 0, 0, join(u32(0), u32(0xff))),
  ),
  'http2/7/2 RST_STREAM with an unknown code': is(lives, headers(1, false), rst(1, 0xff)),
  'http2/8.1/1 second HEADERS without END_STREAM': is(malformed, headers(1, false), headers(1, false, long)),
  'http2/8.1.2/1 (RFC 9113 §8.2.1) a name in capital letters': is(
    malformed,
    raw(join(block(), hex('00 01 58 01 61'))),
  ),
  'http2/8.1.2.1/1 (§8.3) an unknown pseudo-header': is(
    malformed,
    headers(1, true, [...request, ':test', 'ok']),
  ),
  'http2/8.1.2.1/2 (§8.3) a pseudo-header of responses': is(
    malformed,
    headers(1, true, [...request, ':status', '200']),
  ),
  'http2/8.1.2.1/3 (§8.3) a pseudo-header among trailers': is(
    malformed,
    headers(1, false),
    headers(1, true, [':method', 'POST']),
  ),
  'http2/8.1.2.1/4 (§8.3) a pseudo-header behind others': is(
    malformed,
    headers(1, true, [...without(':path'), 'x-test', 'ok', ':path', '/']),
  ),
  'http2/8.1.2.2/1 (§8.2.2) a header of one connection': is(
    malformed,
    headers(1, true, [...request, 'connection', 'keep-alive']),
  ),
  'http2/8.1.2.2/2 (§8.2.2) TE other than trailers': is(
    malformed,
    headers(1, true, [...request, 'te', 'trailers, deflate']),
  ),
  'http2/8.1.2.3/1 (§8.3.1) an empty :path': is(
    malformed,
    headers(1, true, [...without(':path'), ':path', '']),
  ),
  ...Object.fromEntries(
    [':method', ':scheme', ':path'].flatMap((name, index) => [
      [`http2/8.1.2.3/${index + 2} (§8.3.1) no ${name}`, is(malformed, headers(1, true, without(name)))],
      [
        `http2/8.1.2.3/${index + 5} (§8.3.1) ${name} twice`,
        is(malformed, headers(1, true, [...request, name, request[request.indexOf(name) + 1] as string])),
      ],
    ]),
  ),
  'http2/8.1.2.6/1 (§8.1.1) a content-length that is not that of the DATA': is(
    malformed,
    headers(1, false, [...request, 'content-length', '1']),
    data(1, 4, END_STREAM),
  ),
  'http2/8.1.2.6/2 (§8.1.1) the same over several DATA': is(
    malformed,
    headers(1, false, [...request, 'content-length', '1']),
    data(1, 4),
    data(1, 4, END_STREAM),
  ),
  'http2/8.2/1 (§8.4) PUSH_PROMISE of a client': is(
    protocol,
    headers(1, false),
    frame(PUSH_PROMISE, END_HEADERS, 1, join(u32(2), block())),
  ),

  'hpack/2.3.3/1 an index that neither table has': is(
    connectionError(COMPRESSION_ERROR),
    raw(join(block(), hex('c6'))),
  ),
  'hpack/2.3.3/2 an index of a name that neither table has': is(
    connectionError(COMPRESSION_ERROR),
    raw(join(block(), hex('7f 07 01 61'))),
  ),
  'hpack/4.2/1 a size update at the end of a block': is(
    connectionError(COMPRESSION_ERROR),
    raw(join(block(), hex('20'))),
  ),
  'hpack/5.2/1 Huffman padding of more than 7 bits': is(
    connectionError(COMPRESSION_ERROR),
    raw(huffman('test', (bytes) => join(bytes, Uint8Array.of(0xff)))),
  ),
  'hpack/5.2/2 Huffman padding that is not the beginning of EOS': is(
    connectionError(COMPRESSION_ERROR),
    raw(huffman('a', () => Uint8Array.of(0x18))),
  ),
  'hpack/5.2/3 Huffman with EOS in it': is(
    connectionError(COMPRESSION_ERROR),
    raw(huffman('a', () => Uint8Array.of(0xff, 0xff, 0xff, 0xff))),
  ),
  'hpack/6.1/1 index 0': is(connectionError(COMPRESSION_ERROR), raw(join(block(), hex('80')))),
  'hpack/6.3/1 a size update above our setting': is(
    connectionError(COMPRESSION_ERROR),
    raw(join(hex('3f e2 1f'), block())),
  ),
};

describe('h2spec’s ground', () => {
  it.each(Object.entries(cases))('%s', async (_name, { begins, sends, after, expects }) => {
    const client = new Client();
    client.send(...(begins ?? [preface, setting()]));
    if (begins === undefined) await client.hears('SETTINGS', 'SETTINGS ack');
    client.heard.length = 0;
    if (begins === undefined && sends.length === 0) client.heard.push('SETTINGS', 'SETTINGS ack');
    client.send(...sends);
    if (after !== undefined) {
      await client.hears('HEADERS 1');
      await until(() => client.server.streams.size === 0 || client.bytes[1] === undefined, 'it is answered');
      client.send(...after);
    }
    await expects(client);
    await client.end();
  });

  it('is all of its 146 cases, or more', () => {
    expect(Object.keys(cases).length).toBeGreaterThanOrEqual(146);
  });
});
