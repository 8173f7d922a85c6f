import fc from 'fast-check';
import { StreamError } from '../../lib/core/errors.js';
import { errorCode } from '../../lib/http2/frames.js';
import { defaultFieldLimits, type FieldLimits, HpackDecoder } from '../../lib/http2/hpack.js';
import {
  type Field,
  indexed,
  integer,
  type Kind,
  literal,
  NaiveTable,
  plainText,
  sizeUpdate,
} from './naive-hpack.js';
import { hex, join, latin1 } from './support.js';

const STREAM = 5;

function decoder(limits: Partial<FieldLimits> = {}): HpackDecoder {
  return new HpackDecoder({ ...defaultFieldLimits, ...limits });
}

function fieldsOf(block: Uint8Array, from: HpackDecoder = decoder()): readonly string[] {
  const { fields, error } = from.decode(block, STREAM);
  expect(error).toBeUndefined();
  return fields;
}

function failure(run: () => unknown): StreamError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(StreamError);
    return error as StreamError;
  }
  throw new Error('nothing was thrown');
}

function expectBroken(block: Uint8Array, from: HpackDecoder = decoder()): void {
  const { code, wireCode, streamId, remote } = failure(() => from.decode(block, STREAM));
  expect({ code, wireCode, streamId, remote }).toEqual({
    code: 'protocol',
    wireCode: errorCode.COMPRESSION_ERROR,
    streamId: undefined,
    remote: true,
  });
}

describe('RFC 7541 §5.1: integers', () => {
  it.each([0, 1, 30, 31, 32, 126, 127, 128, 158, 254, 255, 1337, 4095, 4096])('reads %i', (value) => {
    const from = decoder();
    from.setTableLimit(2 ** 31);
    expect(fieldsOf(sizeUpdate(value), from)).toEqual([]);
  });

  it('reads C.1.2: 1337 behind a prefix of five bits', () => {
    expect(integer(0x20, 5, 1337)).toEqual(hex('3f 9a 0a'));
    const from = decoder();
    from.setTableLimit(1337);
    expect(fieldsOf(hex('3f 9a 0a 82'), from)).toEqual([':method', 'GET']);
    expectBroken(hex('3f 9b 0a'), from);
  });

  it('takes zeros that say nothing, up to five bytes', () => {
    expect(fieldsOf(hex('3f 80 80 80 00 82'))).toEqual([':method', 'GET']);
    expect(fieldsOf(hex('3f 80 80 80 80 00 82'))).toEqual([':method', 'GET']);
    expectBroken(hex('3f 80 80 80 80 80 00 82'));
  });

  it.each([
    ['an index above 31 bits', 'ff ff ff ff ff 7f'],
    ['an index of 64 bits', 'ff 80 ff ff ff ff ff ff ff ff 01'],
    ['a length of 32 bits', '40 7f 81 ff ff ff 0f'],
    ['an integer that never ends', `ff ${'80 '.repeat(200)}`],
    ['an index that is cut off', 'ff'],
    ['an index that is cut off later', 'ff 80 80'],
    ['a length that is cut off', '40 7f 80'],
  ])('refuses %s', (_name, block) => {
    expectBroken(hex(block));
  });
});

describe('RFC 7541 §5.2: texts', () => {
  it.each([
    ['a text that is cut off', '40 0a 63 75 73'],
    ['a name without a value', '40 01 61'],
    ['a literal without a name', '40'],
    ['a length and nothing behind it', '40 01 61 05'],
    ['a Huffman text that is cut off', '40 82 1f'],
    ['a Huffman text with EOS in it', '40 01 61 84 ff ff ff ff'],
    ['a Huffman text with too much padding', '40 01 61 82 1f ff'],
    ['a Huffman text padded with zeros', '40 01 61 81 18'],
  ])('refuses %s', (_name, block) => {
    expectBroken(hex(block));
  });

  it('reads every byte as one character', () => {
    const all = String.fromCharCode(...Array.from({ length: 256 }, (_, code) => code));
    expect(fieldsOf(literal('plain', 0, 'x', all))).toEqual(['x', all]);
  });

  it('reads texts of any length', () => {
    for (let length = 0; length < 40; length++) {
      const value = 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH'.slice(0, length);
      expect(fieldsOf(literal('indexing', 0, 'name', value))).toEqual(['name', value]);
    }
  });

  it('takes empty names and values', () => {
    expect(fieldsOf(literal('indexing', 0, '', ''))).toEqual(['', '']);
  });
});

describe('RFC 7541 §6.1, §2.3.3: indexes', () => {
  it('refuses index 0', () => {
    expectBroken(hex('80'));
  });

  it.each([62, 63, 127, 128, 5000])('refuses index %i while the dynamic table is empty', (index) => {
    expectBroken(indexed(index));
    expectBroken(literal('plain', index, '', 'x'));
    expectBroken(literal('indexing', index, '', 'x'));
    expectBroken(literal('never', index, '', 'x'));
  });

  it('refuses the index behind the last entry', () => {
    const from = decoder();
    expect(fieldsOf(join(literal('indexing', 0, 'a', 'b'), indexed(62)), from)).toEqual(['a', 'b', 'a', 'b']);
    expectBroken(indexed(63), from);
  });
});

describe('RFC 7541 §6.2: literals', () => {
  it('adds to the table only what says so', () => {
    const from = decoder();
    fieldsOf(join(literal('plain', 0, 'a', '1'), literal('never', 0, 'b', '2')), from);
    expect(from.tableBytes).toBe(0);
    fieldsOf(literal('indexing', 0, 'c', '3'), from);
    expect(from.tableBytes).toBe(34);
  });

  it('says which names were never to be indexed (§6.2.3)', () => {
    const block = join(
      literal('never', 0, 'a', '1'),
      literal('plain', 0, 'b', '2'),
      literal('never', 31, '', '3'),
    );
    expect(decoder().decode(block, STREAM).neverIndexed).toEqual(new Set(['a', 'content-type']));
    expect(decoder().decode(literal('plain', 0, 'b', '2'), STREAM).neverIndexed).toBeUndefined();
  });

  it('takes a name from an entry that its own insertion evicts (§4.4)', () => {
    const from = decoder();
    const value = 'v'.repeat(4096 - 32 - 4);
    fieldsOf(literal('indexing', 0, 'name', value), from);
    expect(from.tableBytes).toBe(4096);
    expect(fieldsOf(literal('indexing', 62, '', 'w'), from)).toEqual(['name', 'w']);
    expect(from.tableBytes).toBe(37);
  });

  it('empties the table for an entry that is larger than all of it (§4.4)', () => {
    const from = decoder();
    fieldsOf(literal('indexing', 0, 'a', 'b'), from);
    const value = 'v'.repeat(4096);
    expect(fieldsOf(literal('indexing', 62, '', value), from)).toEqual(['a', value]);
    expect(from.tableBytes).toBe(0);
    expectBroken(indexed(62), from);
  });
});

describe('RFC 7541 §4.2, §6.3, RFC 9113 §4.3.1: the size of the table', () => {
  const entry = literal('indexing', 0, 'aaaa', 'bbbb'); // 40 bytes

  it('evicts the oldest when it becomes smaller (§4.3)', () => {
    const from = decoder();
    fieldsOf(join(entry, literal('indexing', 0, 'cccc', 'dddd')), from);
    expect(fieldsOf(join(sizeUpdate(79), indexed(62)), from)).toEqual(['cccc', 'dddd']);
    expect(from.tableBytes).toBe(40);
    fieldsOf(sizeUpdate(0), from);
    expect(from.tableBytes).toBe(0);
    fieldsOf(join(sizeUpdate(40), entry), from);
    expect(from.tableBytes).toBe(40);
  });

  it('takes several updates at the start of a block, and of one without fields', () => {
    const from = decoder();
    fieldsOf(entry, from);
    expect(fieldsOf(join(sizeUpdate(0), sizeUpdate(4096), hex('82')), from)).toEqual([':method', 'GET']);
    expect(from.tableBytes).toBe(0);
    expect(fieldsOf(join(sizeUpdate(100), sizeUpdate(50)), from)).toEqual([]);
  });

  it.each([
    ['at the end of a block', join(hex('82'), sizeUpdate(100))],
    ['between two fields', join(hex('82'), sizeUpdate(100), hex('84'))],
    ['behind a literal', join(entry, sizeUpdate(4096), hex('84'))],
  ])('refuses an update %s', (_name, block) => {
    expectBroken(block);
  });

  it('refuses an update above the limit, which is 4096 before any SETTINGS', () => {
    expectBroken(sizeUpdate(4097));
    const from = decoder();
    from.setTableLimit(8192);
    expect(fieldsOf(join(sizeUpdate(8192), hex('82')), from)).toEqual([':method', 'GET']);
    expectBroken(sizeUpdate(8193), from);
  });

  it('goes on with the old size when the limit grows and no update comes', () => {
    const from = decoder();
    from.setTableLimit(65536);
    fieldsOf(literal('indexing', 0, 'a', 'v'.repeat(4096)), from);
    expect(from.tableBytes).toBe(0);
  });

  it('wants an update as the first thing after the limit was lowered', () => {
    const lowered = (): HpackDecoder => {
      const from = decoder();
      from.setTableLimit(100);
      return from;
    };
    expectBroken(hex('82'), lowered());
    expectBroken(hex(''), lowered());
    expectBroken(sizeUpdate(101), lowered());
    const from = lowered();
    expect(fieldsOf(join(sizeUpdate(100), hex('82')), from)).toEqual([':method', 'GET']);
    expect(fieldsOf(hex('82'), from)).toEqual([':method', 'GET']);
  });

  it('wants the smallest size between two blocks to be among the updates', () => {
    const changed = (): HpackDecoder => {
      const from = decoder();
      fieldsOf(entry, from);
      from.setTableLimit(0);
      from.setTableLimit(4096);
      return from;
    };
    expectBroken(join(sizeUpdate(4096), indexed(62)), changed());
    expect(fieldsOf(join(sizeUpdate(0), sizeUpdate(4096), hex('82')), changed())).toEqual([':method', 'GET']);
  });

  it('wants no update when the limit was lowered to no less than what the peer has chosen', () => {
    const from = decoder();
    fieldsOf(sizeUpdate(64), from);
    from.setTableLimit(64);
    expect(fieldsOf(hex('82'), from)).toEqual([':method', 'GET']);
  });
});

describe('limits of a field block', () => {
  function expectTooLong(block: Uint8Array, from: HpackDecoder): void {
    const { code, wireCode, streamId } = failure(() => from.decode(block, STREAM));
    expect({ code, wireCode, streamId }).toEqual({
      code: 'limit',
      wireCode: errorCode.ENHANCE_YOUR_CALM,
      streamId: undefined,
    });
  }

  it('counts 32 bytes for each field, and ends the connection above maxHeaderListBytes (RFC 9113 §6.5.2)', () => {
    const fits = literal('plain', 0, 'name', 'v'.repeat(64)); // 100 bytes
    expect(fieldsOf(fits, decoder({ maxHeaderListBytes: 100 })).length).toBe(2);
    expectTooLong(fits, decoder({ maxHeaderListBytes: 99 }));
    expectTooLong(join(fits, hex('82')), decoder({ maxHeaderListBytes: 141 }));
    expect(fieldsOf(join(fits, hex('82')), decoder({ maxHeaderListBytes: 142 })).length).toBe(4);
  });

  it('stops a bomb of indexes into one large entry at once (CVE-2016-6581)', () => {
    const from = decoder();
    fieldsOf(literal('indexing', 0, 'bomb', 'x'.repeat(4000)), from);
    expectTooLong(new Uint8Array(16384).fill(0x80 | 62), from);
  });

  it('stops many empty names', () => {
    expectTooLong(join(...new Array(3000).fill(literal('plain', 0, '', ''))), decoder());
  });

  it.each(['plain', 'indexing'] as const)('stops a text beyond the limit, %s', (kind) => {
    expectTooLong(literal(kind, 0, 'x', 'y'.repeat(65536)), decoder());
    expectTooLong(literal(kind, 0, 'y'.repeat(65536), ''), decoder());
  });

  it('stops a Huffman text beyond the limit, though its wire form is within', () => {
    // 62,500 bytes of zero bits are 100,000 characters "0".
    const wire = join(hex('40 01 61'), integer(0x80, 7, 62_500), new Uint8Array(62_500));
    expectTooLong(wire, decoder());
    expectTooLong(wire, decoder({ maxHeaderListBytes: 1 + 32 + 99_999 }));
    const limits = { maxHeaderListBytes: 1 + 32 + 100_000, maxHeaderValueBytes: 100_000 };
    expect(fieldsOf(wire, decoder(limits))).toEqual(['a', '0'.repeat(100_000)]);
  });

  it.each([
    [
      'more fields than maxHeaders',
      { maxHeaders: 2 },
      [...new Array(3)].map(() => literal('plain', 0, 'a', '')),
    ],
    [
      'a name above maxHeaderNameBytes',
      { maxHeaderNameBytes: 9 },
      [literal('plain', 0, 'name'.repeat(3), '')],
    ],
    [
      'a value above maxHeaderValueBytes',
      { maxHeaderValueBytes: 9 },
      [literal('plain', 0, 'a', '1234567890')],
    ],
  ])('refuses only the stream for %s, and still keeps the table', (_name, limits, fields) => {
    const from = decoder(limits);
    const block = join(hex('82'), ...fields, literal('indexing', 0, 'kept', 'here'));
    const { error, fields: kept } = from.decode(block, STREAM);
    expect(error).toMatchObject({
      code: 'limit',
      wireCode: errorCode.ENHANCE_YOUR_CALM,
      streamId: STREAM,
      remote: true,
    });
    expect(error?.message).toMatch(/^stream 5: the peer sent /);
    expect(kept.length).toBeLessThanOrEqual(4);
    expect(fieldsOf(indexed(62), from)).toEqual(['kept', 'here']);
  });

  it('finds what is broken behind the field that refused the stream', () => {
    expectBroken(join(hex('82 82'), indexed(70)), decoder({ maxHeaders: 1 }));
  });

  it('takes exactly the limits', () => {
    const limits = { maxHeaders: 2, maxHeaderNameBytes: 4, maxHeaderValueBytes: 3 };
    const two = join(literal('plain', 0, 'name', '123'), literal('plain', 0, 'name', '123'));
    expect(fieldsOf(two, decoder(limits))).toEqual(['name', '123', 'name', '123']);
  });
});

describe('against a naive model', () => {
  const name = fc.constantFrom('a', 'bb', ':path', 'content-type', 'x-long-header-name', '');
  const value = fc.string({ unit: fc.constantFrom('a', 'b', '7', '/', ' ', '\u00e9'), maxLength: 30 });
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.tuple(fc.constantFrom<Kind>('indexing', 'plain', 'never'), name, value, fc.boolean()),
    },
    { weight: 4, arbitrary: fc.nat(200) },
  );
  const blocks = fc.array(
    fc.record({
      limit: fc.option(fc.constantFrom(0, 33, 64, 100, 200, 1000, 4096, 9000), { nil: undefined }),
      size: fc.nat(9000),
      steps: fc.array(step, { maxLength: 20 }),
    }),
    { maxLength: 12 },
  );

  it('has the same table after every block, at every size', () => {
    fc.assert(
      fc.property(blocks, (list) => {
        const from = decoder();
        const model = new NaiveTable();
        let limit = 4096;
        for (const { limit: newLimit, size, steps } of list) {
          const parts: Uint8Array[] = [];
          if (newLimit !== undefined) {
            limit = newLimit;
            from.setTableLimit(limit);
            const chosen = Math.min(size, limit);
            parts.push(sizeUpdate(chosen));
            model.resize(chosen);
          }
          const expected: string[] = [];
          for (const one of steps) {
            if (typeof one === 'number') {
              const index = 1 + (one % model.length);
              parts.push(indexed(index));
              expected.push(...(model.at(index) as Field));
              continue;
            }
            const [kind, wanted, fieldValue, byIndex] = one;
            const known = Array.from({ length: model.length }, (_, at) => at + 1);
            const index = byIndex ? (known.find((at) => model.at(at)?.[0] === wanted) ?? 0) : 0;
            parts.push(literal(kind, index, wanted, fieldValue));
            expected.push(wanted, fieldValue);
            if (kind === 'indexing') model.add([wanted, fieldValue]);
          }
          expect(fieldsOf(join(...parts), from)).toEqual(expected);
          expect(from.tableBytes).toBe(model.byteLength);
        }
      }),
      { numRuns: 400 },
    );
  });

  it('reads a block the same from the middle of a larger buffer', () => {
    const block = join(literal('indexing', 0, 'name', 'value'), hex('82'), indexed(62));
    const around = join(latin1('before'), block, latin1('behind'));
    expect(fieldsOf(around.subarray(6, 6 + block.length))).toEqual(fieldsOf(block));
  });

  it('takes every cut of a block for broken, or for a shorter list', () => {
    const block = join(
      sizeUpdate(2000),
      literal('indexing', 0, 'name', 'value'),
      hex('82'),
      literal('never', 0, 'a', 'b'),
    );
    const all = fieldsOf(block);
    for (let length = 0; length < block.length; length++) {
      const cut = block.subarray(0, length);
      let fields: readonly string[];
      try {
        fields = decoder().decode(cut, STREAM).fields;
      } catch (error) {
        expect((error as StreamError).wireCode).toBe(errorCode.COMPRESSION_ERROR);
        continue;
      }
      expect(fields).toEqual(all.slice(0, fields.length));
    }
  });

  it('has a text helper that the model shares with the RFC', () => {
    expect(plainText('custom-key')).toEqual(hex('0a63 7573 746f 6d2d 6b65 79'));
  });
});

describe('a block like the last one', () => {
  it('gives the same object', () => {
    const from = decoder();
    fieldsOf(literal('indexing', 0, 'x-first', '1'), from);
    const block = hex('83 be');
    const first = from.decode(block, STREAM);
    expect(first.fields).toEqual([':method', 'POST', 'x-first', '1']);
    expect(from.decode(hex('83 be'), STREAM)).toBe(first);
  });

  it('is read anew once its index has another meaning', () => {
    const from = decoder();
    fieldsOf(literal('indexing', 0, 'x-first', '1'), from);
    expect(fieldsOf(hex('be'), from)).toEqual(['x-first', '1']);
    fieldsOf(literal('indexing', 0, 'x-second', '2'), from);
    expect(fieldsOf(hex('be'), from)).toEqual(['x-second', '2']);
  });

  it('is read anew once the table has lost what it names', () => {
    const from = decoder();
    fieldsOf(literal('indexing', 0, 'x-first', '1'), from);
    expect(fieldsOf(hex('be'), from)).toEqual(['x-first', '1']);
    fieldsOf(sizeUpdate(0), from);
    expectBroken(hex('be'), from);
  });

  it('adds its entry again, if it adds one', () => {
    const from = decoder();
    const block = literal('indexing', 0, 'x', 'y');
    fieldsOf(block, from);
    fieldsOf(block, from);
    expect(from.tableBytes).toBe(2 * (2 + 32));
  });

  it('must begin with a size update if one is due by now', () => {
    const from = decoder();
    fieldsOf(hex('83'), from);
    from.setTableLimit(100);
    expectBroken(hex('83'), from);
  });

  it('is refused again, if it was', () => {
    const from = decoder({ maxHeaders: 1 });
    const block = hex('83 84');
    expect(from.decode(block, STREAM).error?.streamId).toBe(STREAM);
    expect(from.decode(block, STREAM + 2).error?.streamId).toBe(STREAM + 2);
  });
});
