import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(__dirname, '../..');
let folder: string;

jest.setTimeout(60_000);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rxmux-spec-'));
  const entries = ['trace', 'span', 'noisy-neighbour'].map((name) => join(root, `demos/${name}/main.ts`));
  const options = ['--bundle', '--splitting', '--format=esm', '--platform=node', '--target=node20'];
  // Its JavaScript API would leave a process or a worker behind.
  execFileSync(join(root, 'node_modules/.bin/esbuild'), [
    ...entries,
    ...options,
    `--outbase=${join(root, 'demos')}`,
    `--outdir=${folder}`,
    '--log-level=warning',
  ]);
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  // The benchmark's adapters are found from the program, wherever it is run.
  await symlink(join(root, 'spec'), join(folder, 'spec'));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

function run(
  demo: string,
  ...args: string[]
): Promise<{ exitCode: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const program = join(folder, demo, 'main.js');
    const child = execFile(
      process.execPath,
      [program, ...args],
      { cwd: tmpdir() },
      (_error, stdout, stderr) => {
        resolve({ exitCode: child.exitCode, stdout, stderr });
      },
    );
  });
}

describe('demo:trace', () => {
  it('shows the same by lines and from its trace, without secrets, and ends', async () => {
    const { exitCode, stdout, stderr } = await run('trace');
    expect([exitCode, stderr]).toEqual([0, '']);
    expect(stdout).not.toContain('never-shown');
    expect(stdout).toMatch(/^client hello#1 open \{.*authorization: \[redacted\]/m);
    expect(stdout).toMatch(/^hello +closed +5 +5 /m);
    expect(stdout).toMatch(/^upload +reset \(cancel\) /m);
    expect(stdout).toMatch(/^nobody may see this +reset \(refused\)/m);
    expect(stdout.match(/failed: no more than 3 streams/g)).toHaveLength(1);
  });

  it('shows frames if asked to', async () => {
    const { stdout } = await run('trace', '--frames');
    expect(stdout).toMatch(/^client → \w+ #1, \d+ bytes/m);
    expect(stdout).toMatch(/^client ← \w+ #1, \d+ bytes/m);
  });
});

describe('demo:span', () => {
  it('tells the fate of every stream, each whole or failed with a typed error', async () => {
    const { exitCode, stdout, stderr } = await run('span');
    expect([exitCode, stderr]).toEqual([0, '']);
    const fates = stdout.split('\n').filter((line) => /^(upload|later) \d/.test(line));
    expect(fates).toHaveLength(18);
    expect(fates.filter((line) => !/ (whole|failed: (closed|refused), .+)$/.test(line))).toEqual([]);
    expect(fates.filter((line) => line.startsWith('later') && !line.endsWith('whole'))).toEqual([]);
    expect(fates.filter((line) => line.includes('failed: closed')).length).toBeGreaterThan(0);
    expect(stdout).toContain('none hangs');
  });
});

describe('demo:noisy-neighbour', () => {
  it('measures ours, and node:http2 beside it', async () => {
    const { exitCode, stdout, stderr } = await run('noisy-neighbour', '--ms', '80');
    expect([exitCode, stderr]).toEqual([0, '']);
    for (const name of ['rxmux framer', 'rxmux spdy', 'node:http2']) {
      const [, mib, count] = stdout.match(new RegExp(`^${name} +(\\d+) +(\\d+) `, 'm')) ?? [];
      expect([Number(mib) > 0, Number(count) > 0]).toEqual([true, true]);
    }
    expect(stdout).toMatch(/^ssh2 +(\d+|not installed)/m);
  });
});
