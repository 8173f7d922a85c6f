import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';

/** What Node's own modules and the engine make must be what the code under test knows by that name. */
describe('the realm of the specs', () => {
  it('shares the binary types with Node', () => {
    expect(readFileSync(import.meta.filename)).toBeInstanceOf(Uint8Array);
    expect(new TextEncoder().encode('x')).toBeInstanceOf(Uint8Array);
    expect(structuredClone(new Uint16Array(2))).toBeInstanceOf(Uint16Array);
    expect(Buffer.alloc(1).buffer).toBeInstanceOf(ArrayBuffer);
  });

  it('shares the errors of Node and of the engine', () => {
    const nodes = thrown(() => readFileSync('/no/such/file'));
    expect(nodes).toBeInstanceOf(Error);
    expect(thrown(() => Buffer.alloc(-1))).toBeInstanceOf(RangeError);
    const engines = thrown(() => (null as unknown as { x: number }).x);
    expect(engines).toBeInstanceOf(TypeError);
    expect(engines).toBeInstanceOf(Error);
    expect(engines).not.toBeInstanceOf(RangeError);
    class Own extends Error {}
    expect(new Own('x')).toBeInstanceOf(Error);
    expect(AbortSignal.abort().reason).toBeInstanceOf(DOMException);
  });

  it('disposes of what `await using` holds', async () => {
    const log: string[] = [];
    {
      await using _held = {
        async [Symbol.asyncDispose]() {
          log.push('disposed');
        },
      };
      log.push('used');
    }
    expect(log).toEqual(['used', 'disposed']);
    expect(typeof Readable.from(['x'])[Symbol.asyncDispose]).toBe('function');
  });

  it('keeps the promised form of the timers', async () => {
    expect(await promisify(setTimeout)(1, 'value')).toBe('value');
  });

  it('knows import.meta', () => {
    expect(import.meta.url).toMatch(/^file:.*\/spec\/support\/environment\.spec\.ts$/);
    expect(import.meta.filename.startsWith(import.meta.dirname)).toBe(true);
  });
});

function thrown(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}
