import fc from 'fast-check';
import {
  DynamicTable,
  entryBytes,
  FIRST_DYNAMIC_INDEX,
  staticEntries,
  staticNames,
} from '../../lib/http2/hpack-table.js';
import { type Field, NaiveTable } from './naive-hpack.js';

describe('RFC 7541 Appendix A: the static table', () => {
  it('has 61 entries, and the dynamic table starts behind them', () => {
    expect(staticEntries.length - 1).toBe(61);
    expect(FIRST_DYNAMIC_INDEX).toBe(62);
  });

  it.each([
    [1, ':authority', ''],
    [2, ':method', 'GET'],
    [3, ':method', 'POST'],
    [4, ':path', '/'],
    [5, ':path', '/index.html'],
    [6, ':scheme', 'http'],
    [7, ':scheme', 'https'],
    [8, ':status', '200'],
    [14, ':status', '500'],
    [15, 'accept-charset', ''],
    [16, 'accept-encoding', 'gzip, deflate'],
    [19, 'accept', ''],
    [23, 'authorization', ''],
    [28, 'content-length', ''],
    [31, 'content-type', ''],
    [32, 'cookie', ''],
    [38, 'host', ''],
    [50, 'range', ''],
    [55, 'set-cookie', ''],
    [58, 'user-agent', ''],
    [61, 'www-authenticate', ''],
  ])('has at %i: %s %s', (index, name, value) => {
    expect(staticEntries[index]).toEqual({ name, value });
    expect(staticNames.get(name)?.values.get(value)).toBe(index);
  });

  it('is ordered by name, and the first entry of a name stands for it', () => {
    const names = staticEntries.slice(15).map(({ name }) => name);
    expect(names.filter((name) => name !== 'accept')).toEqual(
      names.filter((name) => name !== 'accept').sort(),
    );
    expect(new Set(names).size).toBe(names.length);
    expect(staticNames.get(':status')?.index).toBe(8);
    expect(staticNames.size).toBe(52);
  });
});

describe('RFC 7541 §2.3.2, §4: the dynamic table', () => {
  it('counts name, value and 32 bytes for an entry (§4.1)', () => {
    expect(entryBytes('custom-key', 'custom-header')).toBe(55);
  });

  it('is first in, first out, and knows its size', () => {
    const operation = fc.oneof(
      { weight: 3, arbitrary: fc.tuple(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 })) },
      { weight: 2, arbitrary: fc.constant(undefined) },
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 120 }), (operations) => {
        const table = new DynamicTable();
        const model = new NaiveTable();
        model.maxBytes = Number.POSITIVE_INFINITY;
        for (const field of operations) {
          if (field === undefined) {
            const gone = model.entries.pop();
            expect(table.shift()).toEqual(gone && { name: gone[0], value: gone[1] });
          } else {
            model.add(field);
            table.push({ name: field[0], value: field[1] });
          }
          expect(table.byteLength).toBe(model.byteLength);
          expect(table.length).toBe(model.entries.length);
          const entries = Array.from({ length: table.length }, (_, age): Field => {
            const entry = table.get(age);
            return [entry?.name ?? '', entry?.value ?? ''];
          });
          expect(entries).toEqual(model.entries);
          expect(table.get(table.length)).toBeUndefined();
        }
      }),
    );
  });
});
