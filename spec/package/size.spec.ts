import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

interface Size {
  readonly minified: number;
  readonly gzip: number;
  readonly budget: number;
  readonly imports: readonly string[];
}

describe('core and framer in a browser', () => {
  let size: Size;

  beforeAll(async () => {
    const script = join(import.meta.dirname, 'size.mjs');
    const { stdout } = await promisify(execFile)(process.execPath, [script, '--json']);
    size = JSON.parse(stdout) as Size;
  }, 30_000);

  it('need nothing of Node', () => {
    expect(size.imports.filter((name) => name !== 'rxjs')).toEqual([]);
  });

  it('stay within 10 KiB, minified and gzipped', () => {
    process.stdout.write(`core + framer: ${size.gzip} bytes gzipped, of ${size.budget}\n`);
    expect(size.budget).toBe(10 * 1024);
    expect(size.gzip).toBeLessThanOrEqual(size.budget);
  });
});
