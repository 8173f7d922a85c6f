import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/**
 * Runs spec/fuzz, and what is named *.fuzz.spec elsewhere, for so many rounds, or as many as `npm test` runs of a test if
 * these are more: `npm run fuzz -- --rounds 50000`. Or replays what failed:
 * `npm run fuzz -- --seed 7 --rounds 1 -t 'the name of the test'`. Specs read both through random.ts.
 */

const root = fileURLToPath(new URL('../..', import.meta.url));
const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    rounds: { type: 'string', default: '2000' },
    name: { type: 'string', short: 't' },
  },
});

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
