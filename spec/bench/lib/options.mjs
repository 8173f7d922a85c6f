import { parseArgs } from 'node:util';
import { MiB, operations } from './operations.mjs';

export const usage = `Usage: npm run bench -- [options]      (or: node spec/bench/run.mjs [options])

  --quick             about a minute: short rounds, two of each
  --smoke             about 20 seconds: do all parts work? Exit code 1 if a check fails
  --only a,b          these contenders (tcp, the reference, is always there)
  --ops a,b           these operations: ${Object.keys(operations).join(', ')}
  --rounds N          this many rounds
  --window KiB        this window for all contenders that have one to set
  --extra file,...    further adapters
  --baseline folder   another checkout of this library, built, as the contender rxmux-baseline
  --json file         all samples, as JSON
  --strict            exit code 1 if an operation fails or a target is missed
  --help
`;

const profiles = {
  full: {
    rounds: 5,
    roundMs: 300,
    bulkSeconds: 0.3,
    timeoutMs: 12_000,
    idleStreams: 10_000,
    slowMs: 5000,
    slowCapBytes: 1024 * MiB,
    pool: 2,
  },
  quick: {
    rounds: 2,
    roundMs: 80,
    bulkSeconds: 0.08,
    timeoutMs: 5000,
    idleStreams: 2000,
    slowMs: 1600,
    slowCapBytes: 256 * MiB,
    pool: 3,
  },
  smoke: {
    rounds: 1,
    roundMs: 60,
    bulkSeconds: 0.06,
    timeoutMs: 5000,
    idleStreams: 500,
    slowMs: 1500,
    slowCapBytes: 128 * MiB,
    pool: 2,
  },
};

/** Throws, with a sentence for the user, at what it does not know. */
export function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean' },
      smoke: { type: 'boolean' },
      strict: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h' },
      only: { type: 'string' },
      ops: { type: 'string' },
      rounds: { type: 'string' },
      window: { type: 'string' },
      extra: { type: 'string' },
      baseline: { type: 'string' },
      json: { type: 'string' },
    },
  });
  const kind = values.smoke ? 'smoke' : values.quick ? 'quick' : 'full';
  const operationNames = list(values.ops) ?? Object.keys(operations);
  for (const name of operationNames) {
    if (!operations[name]) throw new Error(`no operation ${name}; see --help`);
  }
  const profile = { ...profiles[kind] };
  if (values.rounds !== undefined) profile.rounds = positive('rounds', values.rounds);
  const windowKiB = values.window === undefined ? undefined : positive('window', values.window);
  return {
    help: values.help,
    kind,
    smoke: kind === 'smoke',
    strict: values.strict,
    only: list(values.only),
    operationNames,
    profile,
    windowKiB,
    extra: list(values.extra) ?? [],
    baseline: values.baseline,
    json: values.json,
  };
}

const list = (text) => text?.split(',').filter(Boolean);

function positive(name, text) {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new Error(`--${name} takes a whole number, not ${text}`);
  return number;
}
