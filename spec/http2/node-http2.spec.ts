import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import {
  type FrameHandler,
  FrameParser,
  writeHeaders,
  writePreface,
  writeSettings,
  writeSettingsAck,
} from '../../lib/http2/codec.js';
import { requestProblem, responseProblem } from '../../lib/http2/fields.js';
import { DEFAULT_TABLE_BYTES, MIN_MAX_FRAME_BYTES, settingId } from '../../lib/http2/frames.js';
import { HpackDecoder, HpackEncoder } from '../../lib/http2/hpack.js';
import { type Random, seededRandom } from '../support/random.js';
import { join, Recorder, text } from './support.js';

/** Node's own HTTP/2, which is nghttp2, as the other end: it must read what we write, and we what it writes. */

type Fields = readonly string[];

/** The least that can talk to a peer: field blocks both ways, SETTINGS answered. */
class Endpoint {
  readonly encoder: HpackEncoder;
  readonly decoder = new HpackDecoder();
  /** By stream. */
  readonly received: Map<number, Fields> = new Map();
  readonly errors: unknown[] = [];
  readonly #socket: net.Socket;
  readonly #role: 'client' | 'server';
  readonly #waiting: Map<number, (fields: Fields) => void> = new Map();

  constructor(socket: net.Socket, role: 'client' | 'server', decoderBytes: number, encoderBytes: number) {
    this.#socket = socket;
    this.#role = role;
    this.encoder = new HpackEncoder({ tableBytes: encoderBytes });
    const out = new Uint8Array(256);
    let at = role === 'client' ? writePreface(out, 0) : 0;
    at = writeSettings(out, at, [[settingId.HEADER_TABLE_SIZE, decoderBytes]]);
    socket.write(out.subarray(0, at));
    const parser = new FrameParser(this.#handler(decoderBytes), { role });
    socket.on('data', (chunk) => {
      try {
        parser.parse(chunk);
      } catch (error) {
        this.errors.push(error);
      }
    });
    socket.on('error', () => {});
  }

  #handler(decoderBytes: number): FrameHandler {
    const recorder = new Recorder();
    return Object.assign(recorder, {
      onSettings: (list: readonly (readonly [number, number])[]) => {
        for (const [id, value] of list) {
          if (id === settingId.HEADER_TABLE_SIZE) this.encoder.setTableLimit(value);
        }
        const out = new Uint8Array(9);
        writeSettingsAck(out, 0);
        this.#socket.write(out);
      },
      onSettingsAck: () => this.decoder.setTableLimit(decoderBytes),
      onHeaders: (streamId: number, block: Uint8Array) => {
        const { fields } = this.decoder.decode(block, streamId);
        this.received.set(streamId, fields);
        this.#waiting.get(streamId)?.(fields);
        if (this.#role === 'server') this.send(streamId, [':status', '200']);
      },
    });
  }

  send(streamId: number, fields: Fields): void {
    const block = this.encoder.encode(fields);
    const out = new Uint8Array(block.length + 100);
    const end = writeHeaders(out, 0, streamId, block, true, MIN_MAX_FRAME_BYTES);
    this.#socket.write(out.subarray(0, end));
  }

  answer(streamId: number): Promise<Fields> {
    return new Promise((resolve) => this.#waiting.set(streamId, resolve));
  }
}

const names = [
  'x-a',
  'x-b',
  'x-request-id',
  'user-agent',
  'accept',
  'authorization',
  'x-long-name-of-a-header',
];

/** Headers as Node's list of names and values; some repeat from one message to the next, some do not. */
function someHeaders(random: Random, at: number): string[] {
  const list: string[] = [];
  for (const name of names) {
    if (random.oneIn(3)) continue;
    list.push(name, random.oneIn(2) ? 'always the same' : `${at}-${'~x7/'.repeat(random.integer(0, 30))}é`);
  }
  return list;
}

async function listen(server: net.Server | http2.Http2Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as net.AddressInfo).port;
}

const tables: readonly (readonly [nodes: number, ours: number])[] = [
  [DEFAULT_TABLE_BYTES, DEFAULT_TABLE_BYTES],
  [0, 0],
  [200, 300],
  [65536, 16384],
];

describe.each(tables)("with a table of %i bytes at Node's end and %i at ours", (nodes, ours) => {
  it('a server of node:http2 reads our requests, and we its answers', async () => {
    const random = seededRandom(nodes);
    const seen: { fields: Fields; sensitive: unknown }[] = [];
    const answers: Fields[] = [];
    const server = http2.createServer({ settings: { headerTableSize: nodes } });
    const onStream = (
      stream: http2.ServerHttp2Stream,
      headers: http2.IncomingHttpHeaders,
      _flags: number,
      raw: Fields,
    ): void => {
      seen.push({ fields: raw, sensitive: headers[http2.sensitiveHeaders as unknown as string] });
      const own = someHeaders(random, answers.length);
      answers.push(own);
      const record: http2.OutgoingHttpHeaders = { ':status': 200 };
      for (let at = 0; at < own.length; at += 2) record[own[at] as string] = own[at + 1] as string;
      stream.respond(record, { endStream: true });
      stream.on('error', () => {});
    };
    // The declared type lacks the raw list.
    server.on('stream', onStream as (stream: http2.ServerHttp2Stream) => void);
    const socket = net.connect(await listen(server), '127.0.0.1');
    await once(socket, 'connect');
    const endpoint = new Endpoint(socket, 'client', ours, nodes);
    for (let at = 0; at < 60; at++) {
      const fields = [':method', 'POST', ':scheme', 'http', ':authority', 'here', ':path', `/${at % 7}`];
      fields.push(...someHeaders(random, at));
      expect(requestProblem(fields)).toBeUndefined();
      const streamId = at * 2 + 1;
      const answered = endpoint.answer(streamId);
      endpoint.send(streamId, fields);
      const answer = await answered;
      expect(endpoint.errors).toEqual([]);
      expect(responseProblem(answer)).toBeUndefined();
      expect(seen.at(-1)?.fields).toEqual(fields);
      expect(seen.at(-1)?.sensitive).toEqual(fields.includes('authorization') ? ['authorization'] : []);
      const date = answer.indexOf('date');
      const own = [...answer.slice(0, date), ...answer.slice(date + 2)];
      expect(own).toEqual([':status', '200', ...(answers.at(-1) as Fields)]);
    }
    socket.destroy();
    server.close();
    await once(server, 'close');
  });

  it('a client of node:http2 reads our answers, and we its requests', async () => {
    const random = seededRandom(ours);
    const endpoints: Endpoint[] = [];
    const server = net.createServer(
      (socket) => void endpoints.push(new Endpoint(socket, 'server', ours, nodes)),
    );
    const session = http2.connect(`http://127.0.0.1:${await listen(server)}`, {
      settings: { headerTableSize: nodes },
    });
    for (let at = 0; at < 60; at++) {
      const own = someHeaders(random, at);
      const record: http2.OutgoingHttpHeaders = { ':method': 'GET', ':path': `/${at % 5}` };
      for (let index = 0; index < own.length; index += 2)
        record[own[index] as string] = own[index + 1] as string;
      if (random.oneIn(2)) record[http2.sensitiveHeaders as unknown as string] = ['x-a'];
      const request = session.request(record, { endStream: true });
      const [answer] = await once(request, 'response');
      expect(answer[':status']).toBe(200);
      request.resume();
      await once(request, 'close');
      const fields = endpoints[0]?.received.get(at * 2 + 1) as Fields;
      expect(endpoints[0]?.errors).toEqual([]);
      expect(requestProblem(fields)).toBeUndefined();
      const regular = fields.findIndex((name, index) => index % 2 === 0 && !name.startsWith(':'));
      expect(regular < 0 ? [] : fields.slice(regular)).toEqual(own);
      expect(fields).toContain(`/${at % 5}`);
    }
    session.destroy();
    server.close();
    await once(server, 'close');
  });
});

describe('settings of node:http2', () => {
  it('are packed as we write them, and read as we read them', () => {
    const packed = http2.getPackedSettings({
      initialWindowSize: 1048576,
      enablePush: false,
      maxFrameSize: 65536,
    });
    const recorder = new Recorder();
    const parser = new FrameParser(recorder, { role: 'client' });
    const list = Array.from({ length: packed.length / 6 }, (_, at): readonly [number, number] => [
      packed.readUInt16BE(at * 6),
      packed.readUInt32BE(at * 6 + 2),
    ]);
    const out = new Uint8Array(9 + packed.length);
    writeSettings(out, 0, list);
    expect(text(out.subarray(9))).toBe(text(packed));
    parser.parse(join(out));
    expect(recorder.events).toEqual([{ settings: list }]);
  });
});
