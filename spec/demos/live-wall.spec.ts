import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../conformance/wait.js';

const root = join(import.meta.dirname, '../..');

jest.setTimeout(30_000);

it('the live wall serves its page, and ends with Ctrl-C', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rxmux-wall-'));
  try {
    const file = join(folder, 'main.mjs');
    const options = ['--bundle', '--platform=node', '--format=esm', '--log-level=error', `--outfile=${file}`];
    execFileSync(join(root, 'node_modules/.bin/esbuild'), [
      join(root, 'demos/live-wall/main.ts'),
      ...options,
    ]);
    const child = spawn(process.execPath, [file, '0', '12'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    let text = '';
    child.stdout.on('data', (part: Buffer) => {
      text += part.toString();
    });
    await until(() => text.includes('Ctrl-C'), 'the wall', 10_000);
    const page = await fetch(/http:\S+/.exec(text)?.[0] ?? '');
    expect(await page.text()).toMatch(/^<!doctype html>/);
    child.kill('SIGINT');
    expect(await exited).toEqual([0, null]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
