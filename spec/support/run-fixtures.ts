import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

/** What a run of Jest on files of spec/support/fixtures came to. */
export interface FixtureRun {
  readonly exitCode: number;
  readonly stdout: string;
  /** By the fixture's name (`timer` for timer.fixture.ts). */
  readonly files: ReadonlyMap<string, { readonly passed: boolean; readonly message: string }>;
}

interface JestReport {
  testResults: { name: string; status: string; message: string }[];
}

/** Runs Jest with the ordinary configuration in a child process, on fixtures that an ordinary run leaves out. */
export async function runFixtures(
  names: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<FixtureRun> {
  const root = join(import.meta.dirname, '../..');
  const folder = await mkdtemp(join(tmpdir(), 'rxmux-spec-'));
  const report = join(folder, 'report.json');
  try {
    const args = [
      join(root, 'node_modules/jest/bin/jest.js'),
      '--runInBand',
      ...['--testMatch', `**/fixtures/{${names.join(',')},}.fixture.ts`],
      ...['--testPathIgnorePatterns', 'node_modules'],
      ...['--json', '--outputFile', report],
    ];
    const options = { cwd: root, env: { ...process.env, RXMUX_INTEROP: '', ...env } };
    const { exitCode, stdout } = await run(args, options);
    const { testResults } = JSON.parse(await readFile(report, 'utf8')) as JestReport;
    const files = testResults.map(
      ({ name, status, message }) =>
        [basename(name, '.fixture.ts'), { passed: status === 'passed', message }] as const,
    );
    return { exitCode, stdout, files: new Map(files) };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function run(
  args: readonly string[],
  options: { cwd: string; env: NodeJS.ProcessEnv },
): Promise<{ exitCode: number; stdout: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, args, options, (_error, stdout) => {
      resolve({ exitCode: child.exitCode ?? -1, stdout });
    });
  });
}
