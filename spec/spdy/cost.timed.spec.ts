import { constants, createDeflate } from 'node:zlib';
import { spdyDictionary } from '../../lib/spdy/dictionary.js';
import { HeaderBlockDecoder, HeaderBlockEncoder } from '../../lib/spdy/header-block.js';
import { Inflate } from '../../lib/spdy/inflate.js';
import { figure, median } from '../bounded/pairs.js';
import { judgesLatency } from '../hostile/trial.js';

/** What `kubectl port-forward` opens a stream with. */
const headersOf = (request: number): [string, string][] => [
  ['port', '8080'],
  ['requestid', String(request)],
  ['streamtype', request % 2 === 0 ? 'data' : 'error'],
];

/** A connection's blocks as zlib writes them: later ones refer to earlier ones. */
async function packed(blocks: readonly Uint8Array[]): Promise<Uint8Array[]> {
  const deflate = createDeflate({ level: 9, dictionary: spdyDictionary });
  const parts: Buffer[] = [];
  deflate.on('data', (part: Buffer) => parts.push(part));
  const result: Uint8Array[] = [];
  for (const block of blocks) {
    parts.length = 0;
    await new Promise<void>((resolve) => {
      deflate.write(block);
      deflate.flush(constants.Z_SYNC_FLUSH, resolve);
    });
    result.push(Buffer.concat(parts));
  }
  deflate.close();
  return result;
}

function plainBlock(headers: readonly (readonly [string, string])[]): Uint8Array {
  const word = (value: number): Buffer => Buffer.from(Uint32Array.of(value).buffer).swap32();
  const text = (value: string): Buffer => Buffer.concat([word(value.length), Buffer.from(value)]);
  return Buffer.concat([word(headers.length), ...headers.flatMap((pair) => pair.map(text))]);
}

/** Microseconds of one call, over runs of 20 calls each once warm. */
function cost(calls: number, call: (index: number) => void): number {
  const times: number[] = [];
  for (let index = 0; index < calls; ) {
    const began = performance.now();
    for (const end = index + 20; index < end; index++) call(index);
    times.push(((performance.now() - began) * 1000) / 20);
  }
  return median(times.slice(times.length >> 1));
}

test('a header block costs microseconds, and holds nothing up', async () => {
  const calls = 4000;
  const lists = Array.from({ length: calls }, (_, request) => headersOf(request));
  const blocks = await packed(lists.map(plainBlock));
  const decoder = new HeaderBlockDecoder();
  const encoder = new HeaderBlockEncoder();
  const inflate = new Inflate(spdyDictionary);
  const inflating = cost(calls, (index) => void inflate.inflate(blocks[index] as Uint8Array, 65_536));
  let read: unknown;
  const reading = cost(calls, (index) => {
    read = decoder.decode(blocks[index] as Uint8Array, 1);
  });
  expect(read).toEqual(headersOf(calls - 1).flat());
  const writing = cost(calls, (index) => void encoder.encode(lists[index] as [string, string][]));
  const [unpacked, listed, written] = [inflating, reading, writing].map((time) => time.toFixed(1));
  figure(
    `SPDY header block, median us: ${unpacked} to inflate, ${listed} with its list, ${written} to write`,
  );
  if (!judgesLatency) return;
  expect(inflating).toBeLessThanOrEqual(6);
  expect(writing).toBeLessThanOrEqual(3);
});
