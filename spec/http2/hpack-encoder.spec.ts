import fc from 'fast-check';
import { HpackDecoder, HpackEncoder } from '../../lib/http2/hpack.js';
import { huffmanDecode } from '../../lib/http2/huffman.js';
import { NaiveTable, readBlock } from './naive-hpack.js';
import { hex, text } from './support.js';

function huffmanText(bytes: Uint8Array): string {
  const out = new Uint8Array(bytes.length * 2);
  return text(out.subarray(0, huffmanDecode(bytes, 0, bytes.length, out)));
}

/** A peer that decodes with ours and with the naive one, and wants both to agree. */
class Peer {
  readonly decoder = new HpackDecoder();
  readonly model = new NaiveTable();

  read(block: Uint8Array): readonly string[] {
    const { fields } = this.decoder.decode(block, 1);
    expect(readBlock(block, this.model, huffmanText).flat()).toEqual(fields);
    expect(this.model.byteLength).toBe(this.decoder.tableBytes);
    return fields;
  }
}

/** 0x10 to 0x1f: a literal that is never indexed. */
function first(block: Uint8Array): number {
  return block[0] as number;
}

describe('RFC 7541 §6: how a field is written', () => {
  it('is one byte for an entry of the static table', () => {
    expect(new HpackEncoder().encode([':method', 'GET', ':status', '500'])).toEqual(hex('82 8e'));
  });

  it('is one byte the second time', () => {
    const encoder = new HpackEncoder();
    expect(encoder.encode(['custom-key', 'custom-header']).length).toBeGreaterThan(10);
    expect(encoder.encode(['custom-key', 'custom-header'])).toEqual(hex('be'));
  });

  it('takes the name from a table when only the value is new', () => {
    const encoder = new HpackEncoder();
    const peer = new Peer();
    expect(first(encoder.encode(['content-type', 'a/b']))).toBe(0x40 | 31);
    peer.read(new HpackEncoder().encode(['x-own', 'a']));
    const own = new HpackEncoder();
    own.encode(['x-own', 'a', 'x-other', 'b']);
    expect(first(own.encode(['x-own', 'c']))).toBe(0x7f);
  });

  it('uses Huffman code where that is shorter, and only there', () => {
    const encoder = new HpackEncoder({ tableBytes: 0 });
    encoder.encode([]);
    expect(encoder.encode(['a', 'aaaaaaaa'])).toEqual(hex('00 01 61 85 18c6318c63'));
    expect(encoder.encode(['a', '{}'])).toEqual(hex('00 01 61 02 7b7d'));
    expect(encoder.encode(['a', ''])).toEqual(hex('00 01 61 00'));
  });

  it.each(['authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'x-secret'])(
    'never puts a value of %s into a table (§7.1.3)',
    (name) => {
      const encoder = new HpackEncoder({ neverIndexed: ['x-secret'] });
      const peer = new Peer();
      for (let round = 0; round < 3; round++) {
        const block = encoder.encode([name, 'c2VjcmV0']);
        expect(first(block) & 0xf0).toBe(0x10);
        expect(peer.decoder.decode(block, 1)).toMatchObject({ neverIndexed: new Set([name]) });
      }
      expect(encoder.tableBytes).toBe(0);
    },
  );

  it('keeps what another hop called never indexed out of the table as well (§6.2.3)', () => {
    const encoder = new HpackEncoder();
    const secret = new Set(['x-token']);
    const block = encoder.encode(['x-token', 'abc', 'x-other', 'abc'], secret);
    expect(first(block) & 0xf0).toBe(0x10);
    expect(encoder.tableBytes).toBe('x-otherabc'.length + 32);
  });

  it('does not store what would fill most of the table', () => {
    const encoder = new HpackEncoder();
    encoder.encode(['small', 'entry', 'large', 'x'.repeat(3500)]);
    expect(encoder.tableBytes).toBe('smallentry'.length + 32);
  });

  it('stops storing values that are never used again, and notices when they are', () => {
    const encoder = new HpackEncoder();
    const peer = new Peer();
    for (let id = 0; id < 1000; id++) {
      const fields = ['x-request-id', `request-${id}`, 'x-steady', 'value'];
      expect(peer.read(encoder.encode(fields))).toEqual(fields);
    }
    expect(encoder.tableBytes).toBeLessThan(60 * (16 + 1000 / 64 + 1));
    expect(encoder.encode(['x-steady', 'value']).length).toBeLessThan(3);
    let bytes = 0;
    for (let round = 0; round < 80; round++) bytes = encoder.encode(['x-request-id', 'same']).length;
    expect(bytes).toBeLessThan(3);
  });

  it('tells nothing of a field twice apart', () => {
    const encoder = new HpackEncoder();
    const peer = new Peer();
    const fields = ['x', '1', 'x', '2', 'x', '1', 'y', '1', 'x', '2'];
    expect(peer.read(encoder.encode(fields))).toEqual(fields);
    expect(encoder.encode(fields).length).toBe(5);
  });
});

describe('RFC 7541 §4.2: the size of the table', () => {
  const fields = ['name', 'value'];

  it('is not said while it is the default', () => {
    const encoder = new HpackEncoder();
    encoder.setTableLimit(4096);
    expect(first(encoder.encode(fields))).toBe(0x40);
    encoder.setTableLimit(100_000);
    expect(encoder.encode(fields)).toEqual(hex('be'));
  });

  it('is said once after the peer lowered it, and entries go', () => {
    const encoder = new HpackEncoder();
    const peer = new Peer();
    peer.read(encoder.encode(fields));
    encoder.setTableLimit(0);
    peer.decoder.setTableLimit(0);
    expect(encoder.tableBytes).toBe(0);
    const block = encoder.encode(fields);
    expect(first(block)).toBe(0x20);
    expect(peer.read(block)).toEqual(fields);
    expect(first(encoder.encode(fields))).toBe(0x00);
  });

  it('is said twice when it was lower in between', () => {
    const encoder = new HpackEncoder();
    const peer = new Peer();
    peer.read(encoder.encode(fields));
    encoder.setTableLimit(10);
    encoder.setTableLimit(4096);
    const block = encoder.encode([':method', 'GET']);
    expect(block).toEqual(hex('2a 3fe11f 82'));
    expect(peer.read(block)).toEqual([':method', 'GET']);
    expect(encoder.encode([':method', 'GET'])).toEqual(hex('82'));
  });

  it('is not said when the peer allows more than we want', () => {
    const encoder = new HpackEncoder({ tableBytes: 100 });
    expect(encoder.encode([])).toEqual(hex('3f45'));
    encoder.setTableLimit(50_000);
    expect(encoder.encode([])).toEqual(hex(''));
  });

  it('grows to what we want when the peer allows it', () => {
    const encoder = new HpackEncoder({ tableBytes: 65536 });
    expect(encoder.encode([])).toEqual(hex(''));
    encoder.setTableLimit(16384);
    expect(encoder.encode([])).toEqual(hex('3fe17f'));
  });

  it('is zero by option, and then the peer is told in the first block', () => {
    const encoder = new HpackEncoder({ tableBytes: 0 });
    const peer = new Peer();
    expect(first(encoder.encode(fields))).toBe(0x20);
    peer.read(new HpackEncoder({ tableBytes: 0 }).encode(fields));
    expect(peer.decoder.tableBytes).toBe(0);
  });
});

describe('a block that cannot be written', () => {
  it('throws for a character above U+00FF, and both tables start over', () => {
    const encoder = new HpackEncoder();
    const peer = new Peer();
    peer.read(encoder.encode(['kept', 'a', 'other', 'b']));
    expect(() => encoder.encode(['new', 'entry', 'bad', '☃'])).toThrow(RangeError);
    const block = encoder.encode(['kept', 'a', 'new', 'entry']);
    expect(first(block)).toBe(0x20);
    expect(peer.read(block)).toEqual(['kept', 'a', 'new', 'entry']);
    expect(peer.decoder.tableBytes).toBe(encoder.tableBytes);
    expect(encoder.encode(['kept', 'a']).length).toBe(1);
  });

  it('throws where there is too little room, and starts over', () => {
    const encoder = new HpackEncoder();
    const peer = new Peer();
    peer.read(encoder.encode(['kept', 'a']));
    const out = new Uint8Array(12);
    expect(() => encoder.encodeInto(['some-name', 'and a value'], out, 4)).toThrow(RangeError);
    expect(peer.read(encoder.encode(['kept', 'b']))).toEqual(['kept', 'b']);
    expect(peer.decoder.tableBytes).toBe(37);
  });

  it('keeps a size update of before for the next block', () => {
    const encoder = new HpackEncoder();
    const peer = new Peer();
    encoder.setTableLimit(64);
    peer.decoder.setTableLimit(64);
    expect(() => encoder.encode(['bad', '☃'])).toThrow(RangeError);
    encoder.setTableLimit(128);
    peer.decoder.setTableLimit(128);
    expect(peer.read(encoder.encode(['kept', 'b']))).toEqual(['kept', 'b']);
  });
});

describe('any fields', () => {
  const name = fc.oneof(
    fc.constantFrom(':path', ':status', 'cookie', 'content-type', 'x-a', 'x-b', 'user-agent'),
    fc.string({ unit: 'binary-ascii', maxLength: 12 }),
  );
  const value = fc.oneof(
    fc.constantFrom('', '/', '200', 'text/plain', 'the same value'),
    fc.uint8Array({ maxLength: 200 }).map(text),
  );
  const block = fc.record({
    fields: fc.array(fc.tuple(name, value), { maxLength: 12 }).map((pairs) => pairs.flat()),
    limits: fc.array(fc.constantFrom(0, 31, 32, 64, 120, 500, 4096, 10_000), { maxLength: 3 }),
    bad: fc.boolean(),
  });

  it('come out as they went in, whatever the peer does to the table', () => {
    fc.assert(
      fc.property(
        fc.array(block, { maxLength: 15 }),
        fc.constantFrom(0, 64, 4096, 8192),
        (blocks, tableBytes) => {
          const encoder = new HpackEncoder({ tableBytes });
          const peer = new Peer();
          for (const { fields, limits, bad } of blocks) {
            for (const limit of limits) {
              encoder.setTableLimit(limit);
              peer.decoder.setTableLimit(limit);
            }
            if (bad && limits.length === 1) {
              expect(() => encoder.encode([...fields, 'bad', '\u0100'])).toThrow(RangeError);
            }
            const bytes = encoder.encode(fields);
            expect(bytes.length).toBeLessThanOrEqual(encoder.byteBound(fields));
            expect(peer.read(bytes)).toEqual(fields);
            expect(peer.decoder.tableBytes).toBe(encoder.tableBytes);
          }
        },
      ),
      { numRuns: 400 },
    );
  });
});

it('counts changes: without one, a list is the same bytes again', () => {
  const encoder = new HpackEncoder();
  const fields = [':method', 'POST', ':authority', 'somewhere'];
  const start = encoder.changes;
  encoder.encode(fields);
  expect(encoder.changes).toBeGreaterThan(start);
  const stored = encoder.changes;
  const again = encoder.encode(fields);
  expect(encoder.changes).toBe(stored);
  expect(encoder.encode(fields)).toEqual(again);
  encoder.setTableLimit(0);
  expect(encoder.changes).toBeGreaterThan(stored);
  expect(encoder.encode(fields)).not.toEqual(again);
});
