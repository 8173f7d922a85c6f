/** Headers whose values go into no table, here or at any hop (RFC 7541 §7.1.3). */
import type { Provider, Stream } from 'rxmux';
import { type Http2Options, http2 } from 'rxmux/http2';
import { frameFlag, frameType } from '../../lib/http2/frames.js';
import { type DecodedBlock, HpackDecoder, HpackEncoder } from '../../lib/http2/hpack.js';
import { until } from '../conformance/wait.js';
import { trackProvider } from '../support/leaks.js';
import { ScriptedTransport } from '../support/scripted-transport.js';
import { frame, join, latin1, parseChunks, preface, settings } from './support.js';

const { HEADERS } = frameType;
const { END_HEADERS, END_STREAM } = frameFlag;

/** An end of ours whose peer is the spec. */
class Rig {
  readonly transport = new ScriptedTransport();
  readonly provider: Provider;
  readonly #skipped: number;

  constructor(role: 'client' | 'server', options: Http2Options = {}) {
    this.provider = trackProvider(http2(this.transport, { ...options, role }));
    this.#skipped = role === 'client' ? preface.length : 0;
    this.transport.feed(role === 'client' ? settings : join(preface, settings));
  }

  /** The field blocks that it has said, once there are so many. */
  async blocks(count: number): Promise<DecodedBlock[]> {
    const heard = (): string[] => {
      const { events } = parseChunks([this.transport.written.subarray(this.#skipped)]);
      return events.flatMap((event) => (event as { block?: string }).block ?? []);
    };
    await until(() => heard().length === count, `${count} field blocks`);
    const decoder = new HpackDecoder();
    return heard().map((block) => decoder.decode(latin1(block), 1));
  }
}

const encoder = new HpackEncoder({ tableBytes: 0, neverIndexed: ['x-token'] });
const request = [':method', 'POST', ':scheme', 'http', ':path', '/', ':authority', 'a', 'x-plain', '1'];
const secret = ['x-token', 'secret'];

function headers(id: number, fields: readonly string[], flags = 0): Uint8Array {
  return frame(HEADERS, END_HEADERS | flags, id, encoder.encode(fields));
}

describe('a header that is never indexed', () => {
  it('is one that the options name, whatever its case', async () => {
    const client = new Rig('client', { neverIndexed: ['X-Token'] });
    client.provider.newStream({ 'x-token': 'secret', 'x-plain': '1' });
    expect((await client.blocks(1)).map(({ neverIndexed }) => neverIndexed)).toEqual([new Set(['x-token'])]);
    client.provider.abort();
  });

  it('is one that came so, where a proxy passes its headers on: of requests, answers and trailers', async () => {
    const front = new Rig('server');
    const up = new Rig('client');
    const accepted = front.provider.accept();
    front.transport.feed(headers(1, [...request, ...secret], END_STREAM));
    const stream = (await accepted) as Stream;
    const forward = up.provider.newStream(stream.headers);
    void forward.end();
    await up.blocks(1);
    up.transport.feed(headers(1, [':status', '200', 'x-plain', '2', ...secret]));
    up.transport.feed(headers(1, ['x-sum', '3', ...secret], END_STREAM));
    stream.accept(forward.reply);
    await stream.end(await forward.trailers);
    const told = [...(await up.blocks(1)), ...(await front.blocks(2))];
    expect(told.map(({ fields, neverIndexed }) => [fields.slice(-2), neverIndexed])).toEqual(
      told.map(() => [secret, new Set(['x-token'])]),
    );
    front.provider.abort();
    up.provider.abort();
  });
});
