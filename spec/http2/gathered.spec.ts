import fc from 'fast-check';
import { Gathered } from '../../lib/http2/gathered.js';
import { join } from './support.js';

describe('gathered bytes', () => {
  it('are what came, whatever the pieces', () => {
    const piece = fc.tuple(fc.uint8Array({ maxLength: 200 }), fc.nat(50), fc.nat(50));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        const gathered = new Gathered();
        const parts: Uint8Array[] = [];
        for (const [chunk, from, less] of pieces) {
          const start = Math.min(from, chunk.length);
          const end = Math.max(start, chunk.length - less);
          gathered.add(chunk, start, end);
          parts.push(chunk.subarray(start, end));
        }
        expect(gathered.bytes).toEqual(join(...parts));
        expect(gathered.length).toBe(gathered.bytes.length);
        gathered.clear();
        expect(gathered.length).toBe(0);
      }),
    );
  });

  it('take at most twice their length, and nothing before they come', () => {
    const gathered = new Gathered();
    expect(gathered.bytes.buffer.byteLength).toBe(0);
    for (let length = 100; length <= 10_000; length += 100) {
      gathered.add(new Uint8Array(100), 0, 100);
      expect(gathered.bytes.buffer.byteLength).toBeLessThanOrEqual(2 * length);
    }
  });

  it('keep a small buffer for the next frame, and no large one', () => {
    const gathered = new Gathered();
    gathered.add(new Uint8Array(60), 0, 60);
    gathered.clear();
    expect(gathered.bytes.buffer.byteLength).toBe(64);
    gathered.add(new Uint8Array(5000), 0, 5000);
    gathered.clear();
    expect(gathered.bytes.buffer.byteLength).toBe(0);
  });
});
