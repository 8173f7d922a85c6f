#!/usr/bin/env node
/** The benchmark: `--help` says what it takes, README.md what it measures. */
import { writeFileSync } from 'node:fs';
import { runAlone } from './lib/alone.mjs';
import { chooseContenders } from './lib/contenders.mjs';
import { describeEnvironment } from './lib/environment.mjs';
import { readOptions, usage } from './lib/options.mjs';
import { report } from './lib/report.mjs';
import { Results } from './lib/results.mjs';
import { runInMemory, runRounds } from './lib/rounds.mjs';
import { buildGoPeer, buildLibrary, installContenders, sayAbsent } from './lib/setup.mjs';
import { judge } from './lib/targets.mjs';

/** Progress goes to stderr: stdout is the report. */
const log = (line) => process.stderr.write(`${line}\n`);

function prepare(args) {
  const options = readOptions(args);
  if (options.help) return options;
  installContenders(log);
  if (!options.smoke) buildGoPeer(log);
  sayAbsent(log);
  const contenders = chooseContenders(options);
  if (contenders.some(({ name }) => name.startsWith('rxmux'))) buildLibrary(log);
  return { ...options, contenders, environment: describeEnvironment({ ...options, contenders }) };
}

async function measure(options) {
  const { contenders, operationNames, profile, environment } = options;
  // The processes of the contenders inherit it.
  if (options.windowKiB !== undefined) process.env.BENCH_WINDOW = String(options.windowKiB * 1024);
  const results = new Results();
  const run = { contenders, operationNames, profile, results, log };
  await runRounds(run);
  await runAlone(run);
  await runInMemory(run);
  // A smoke run is too short to judge by.
  const verdicts = options.smoke ? [] : judge(results, contenders, operationNames);
  console.log(report({ ...run, environment, verdicts }));
  if (options.json) {
    const about = { node: process.version, versions: Object.fromEntries(environment.versions), profile };
    writeFileSync(options.json, JSON.stringify({ about, ...results.toJSON(), verdicts }, null, 1));
  }
  const failed = results.failures.length > 0;
  const missed = verdicts.some(({ met }) => !met);
  return (options.smoke && failed) || (options.strict && (failed || missed)) ? 1 : 0;
}

let options;
try {
  options = prepare(process.argv.slice(2));
} catch (error) {
  log(error.message);
  process.exit(2);
}
if (options.help) console.log(usage);
else process.exit(await measure(options));
