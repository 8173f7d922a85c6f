import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readArguments } from './arguments.mjs';

/**
 * Runs spec/fuzz, and what is named *.fuzz.spec elsewhere, for so many rounds, or replays what failed. Specs read both
 * through random.ts.
 */
const usage = `Usage: npm run fuzz -- [options]

  --rounds N    so many rounds of each test (default: 2000), or as many as npm test runs of it if these are more
  --seed N      replays what failed with this seed: with --rounds 1 and -t
  -t, --name x  only tests with this in their name
  --help        this text`;

const root = fileURLToPath(new URL('../..', import.meta.url));
const values = readArguments(
  usage,
  {
    seed: { type: 'string' },
    rounds: { type: 'string', default: '2000' },
    name: { type: 'string', short: 't' },
  },
  ['rounds'],
);

const filter = values.name === undefined ? [] : ['-t', values.name];
const jest = join(root, 'node_modules/jest/bin/jest.js');
const { status } = spawnSync(process.execPath, [jest, 'spec/fuzz/', 'fuzz.spec', ...filter], {
  cwd: root,
  stdio: 'inherit',
  env: {
    ...process.env,
    RXMUX_FUZZ_ROUNDS: values.rounds,
    ...(values.seed === undefined ? {} : { RXMUX_FUZZ_SEED: values.seed }),
  },
});
process.exitCode = status ?? 1;
