import * as fc from 'fast-check';
import { IdTable } from '../../lib/core/id-table.js';

interface Entry {
  readonly id: number;
}

/** Ids that collide: few, near each other, or a table's size apart. */
const ids = fc.oneof(
  fc.integer({ min: 1, max: 40 }),
  fc.integer({ min: 1, max: 12 }).map((n) => n * 1024),
);
const acts = fc.array(fc.record({ id: ids, adds: fc.boolean() }), { maxLength: 400 });

describe('a table of streams', () => {
  it('holds what a Map would, in the order of ids', () => {
    void fc.assert(
      fc.property(acts, (list) => {
        const table = new IdTable<Entry>();
        const model = new Map<number, Entry>();
        for (const { id, adds } of list) {
          if (!adds) expect(table.delete(id)).toBe(model.delete(id));
          else if (!model.has(id)) {
            const entry = { id };
            table.add(entry);
            model.set(id, entry);
          }
          expect([table.size, table.get(id), table.has(id)]).toEqual([
            model.size,
            model.get(id),
            model.has(id),
          ]);
        }
        const sorted = [...model].sort(([a], [b]) => a - b);
        expect([...table]).toEqual(sorted);
        expect([...table.keys()]).toEqual(sorted.map(([id]) => id));
        expect([...table.values()]).toEqual(sorted.map(([, entry]) => entry));
        for (const [id, entry] of model) expect(table.get(id)).toBe(entry);
      }),
      { numRuns: 500 },
    );
  });

  it('grows, and gives the room back', () => {
    const table = new IdTable<Entry>();
    for (let id = 1; id <= 20_000; id += 2) table.add({ id });
    expect(table.size).toBe(10_000);
    for (let id = 1; id <= 20_000; id += 2) expect(table.delete(id)).toBe(true);
    expect([table.size, [...table]]).toEqual([0, []]);
    expect(table.delete(1)).toBe(false);
  });

  it('may change while it is gone through', () => {
    const table = new IdTable<Entry>();
    for (const id of [1, 2, 3]) table.add({ id });
    const seen: number[] = [];
    table.forEach(({ id }) => {
      seen.push(id);
      table.delete(id);
      table.add({ id: id + 10 });
    });
    expect([seen, [...table.keys()]]).toEqual([
      [1, 2, 3],
      [11, 12, 13],
    ]);
  });
});
