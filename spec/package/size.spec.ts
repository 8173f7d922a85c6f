import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

interface Size {
  readonly minified: number;
  readonly gzip: number;
  readonly target: number;
  readonly most: number;
  /** The whole portable entry, every wrapper included. */
  readonly everything: number;
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

  it('do not grow, for who names no wrapper: the target of 10 KiB gzipped is missed', () => {
    const verdict = size.gzip <= size.target ? 'met' : 'missed';
    process.stdout.write(`core + framer: ${size.gzip} bytes gzipped; target ${size.target}: ${verdict}\n`);
    process.stdout.write(`everything in the portable entry: ${size.everything} bytes gzipped\n`);
    expect(size.gzip).toBeLessThanOrEqual(size.most);
  });
});
