import { StreamError } from '../../lib/core/errors.js';
import { requestProblem, responseProblem, trailersProblem } from '../../lib/http2/fields.js';
import { errorCode } from '../../lib/http2/frames.js';
import { defaultFieldLimits, HpackDecoder, HpackEncoder } from '../../lib/http2/hpack.js';
import { huffmanByteLength, huffmanDecode, huffmanEncode } from '../../lib/http2/huffman.js';
import {
  indexed,
  integer,
  type Kind,
  literal,
  NaiveTable,
  readBlock,
  sizeUpdate,
} from '../http2/naive-hpack.js';
import { join, text } from '../http2/support.js';
import { fuzzTest, type Random } from '../support/random.js';
import { expectQuick } from './http2-time.js';

const names = [':path', ':status', ':method', 'cookie', 'content-type', 'x-a', 'x-b', '__proto__', ''];
const kinds: readonly Kind[] = ['indexing', 'plain', 'never'];

function huffmanText(bytes: Uint8Array): string {
  const out = new Uint8Array(bytes.length * 2);
  return text(out.subarray(0, huffmanDecode(bytes, 0, bytes.length, out)));
}

function someText(random: Random): string {
  return text(random.bytes(random.oneIn(10) ? random.integer(0, 300) : random.integer(0, 12)));
}

function someList(random: Random): string[] {
  const list: string[] = [];
  const count = random.integer(0, 8);
  for (let at = 0; at < count; at++) {
    list.push(random.oneIn(5) ? someText(random) : random.pick(names));
    list.push(random.oneIn(2) ? someText(random) : random.pick(['200', '/', 'a value', '', 'GET']));
  }
  return list;
}

function someInstruction(random: Random): Uint8Array {
  switch (random.integer(0, 6)) {
    case 0:
      return indexed(random.integer(0, 70));
    case 1:
      return literal(random.pick(kinds), random.integer(0, 65), random.pick(names), someText(random));
    case 2:
      return literal(random.pick(kinds), 0, someText(random), someText(random));
    case 3:
      return sizeUpdate(random.integer(0, 5000));
    case 4:
      return integer(
        random.pick([0x80, 0x40, 0x20, 0x10, 0]),
        random.integer(4, 7),
        random.integer(0, 2 ** 40),
      );
    case 5: {
      const bytes = random.bytes(random.integer(0, 20)).map((byte) => (random.oneIn(3) ? byte | 0xf8 : byte));
      return join(Uint8Array.of(0x40, 1, 0x61), integer(0x80, 7, bytes.length), bytes);
    }
    default:
      return random.bytes(random.integer(1, 4));
  }
}

function someBlock(random: Random, encoder: HpackEncoder): Uint8Array {
  const kind = random.integer(0, 3);
  if (kind === 0) return random.bytes(random.integer(0, 80));
  const own = encoder.encode(someList(random));
  if (kind === 1 || own.length === 0) return own;
  if (kind === 2) {
    const bytes = own.slice();
    bytes[random.integer(0, bytes.length - 1)] = random.integer(0, 255);
    return bytes.subarray(0, random.oneIn(2) ? bytes.length : random.integer(0, bytes.length));
  }
  return join(...Array.from({ length: random.integer(1, 8) }, () => someInstruction(random)));
}

/** Decodes blocks until one is refused; gives what came out. */
function decodeAll(
  blocks: readonly Uint8Array[],
  limit: number | undefined,
): { lists: (readonly string[])[]; refused: number; error: unknown; decoder: HpackDecoder } {
  const decoder = new HpackDecoder({ ...defaultFieldLimits, maxHeaderListBytes: 2000, maxHeaders: 10 });
  const lists: (readonly string[])[] = [];
  let refused = 0;
  try {
    for (const [at, block] of blocks.entries()) {
      if (at === 1 && limit !== undefined) decoder.setTableLimit(limit);
      const { fields, error } = decoder.decode(block, 1);
      if (error !== undefined) refused++;
      lists.push(fields);
      if (decoder.tableBytes > Math.max(4096, limit ?? 0))
        throw new Error(`a table of ${decoder.tableBytes}`);
    }
  } catch (error) {
    return { lists, refused, error, decoder };
  }
  return { lists, refused, error: undefined, decoder };
}

/** As `expect` says it, at a thousandth of the cost. */
function expectSame(fields: readonly string[], expected: readonly string[]): void {
  if (fields.length === expected.length && fields.every((value, at) => value === expected[at])) return;
  expect(fields).toEqual(expected);
}

describe('HPACK blocks from a hostile peer', () => {
  fuzzTest(
    'are refused with a StreamError, bounded, quick, and otherwise read as the RFC says',
    8000,
    (random) => {
      const peer = new HpackEncoder();
      const blocks = Array.from({ length: random.integer(1, 5) }, () => someBlock(random, peer));
      const limit = random.oneIn(3) ? random.pick([0, 40, 500, 8192]) : undefined;
      const { lists, refused, error, decoder } = expectQuick(() => decodeAll(blocks, limit));
      if (error !== undefined) {
        if (!(error instanceof StreamError)) throw error;
        const { wireCode, streamId } = error;
        const known = wireCode === errorCode.COMPRESSION_ERROR || wireCode === errorCode.ENHANCE_YOUR_CALM;
        if (!known || streamId !== undefined) throw new Error(`${wireCode} for stream ${streamId}`);
      }
      const model = new NaiveTable();
      for (const [at, fields] of lists.entries()) {
        if (fields.length > 20 || fields.join('').length > 2000) throw new Error(`${fields.length} fields`);
        const expected = readBlock(blocks[at] as Uint8Array, model, huffmanText).flat();
        expectSame(fields, refused === 0 ? expected : expected.slice(0, fields.length));
        for (const check of [requestProblem, responseProblem, trailersProblem]) {
          const problem = check(fields);
          if (problem !== undefined && problem.length > 1000) throw new Error('a long message');
        }
      }
      if (error === undefined && decoder.tableBytes !== model.byteLength)
        throw new Error('the tables differ');
    },
  );

  fuzzTest('come out as they went in, when the peer is ours', 4000, (random) => {
    const encoder = new HpackEncoder({ tableBytes: random.pick([0, 100, 4096, 10_000]) });
    const decoder = new HpackDecoder();
    for (let round = random.integer(1, 10); round > 0; round--) {
      if (random.oneIn(4)) {
        const limit = random.pick([0, 32, 64, 200, 4096, 20_000]);
        encoder.setTableLimit(limit);
        decoder.setTableLimit(limit);
      }
      const fields = someList(random);
      const block = encoder.encode(fields);
      if (block.length > encoder.byteBound(fields)) throw new Error('longer than its bound');
      expectSame(decoder.decode(block, 1).fields, fields);
      if (decoder.tableBytes !== encoder.tableBytes) throw new Error('the tables differ');
    }
  });
});

describe('Huffman texts from a hostile peer', () => {
  fuzzTest('are read only if they are exactly what the encoder writes', 20_000, (random) => {
    const ones = random.oneIn(2);
    const input = random
      .bytes(random.integer(0, 40))
      .map((byte) => (ones && !random.oneIn(3) ? byte | 0xfc : byte));
    const out = new Uint8Array(random.oneIn(5) ? 3 : 80);
    const length = expectQuick(() => huffmanDecode(input, 0, input.length, out));
    if (length > (input.length * 8) / 5) throw new Error(`${length} of ${input.length} bytes`);
    if (length < 0 || length > out.length) return;
    const value = text(out.subarray(0, length));
    const again = new Uint8Array(huffmanByteLength(value));
    huffmanEncode(value, again, 0);
    if (text(again) !== text(input)) throw new Error(`${text(again)} for ${text(input)}`);
  });
});
