/** The tables, in Markdown that can be read in a terminal. */
import { whyNot } from './contenders.mjs';
import { isThroughput, MiB, operations, rateOf } from './operations.mjs';
import { median, quantile } from './results.mjs';

const reference = 'tcp';
const limit = 'tcp-limit';

export function report({ contenders, operationNames, profile, results, environment, verdicts }) {
  return [
    ...heading(contenders, environment),
    ...operationNames.flatMap((name) => {
      const { kind } = operations[name];
      if (name === 'idle') return idleTable(contenders, results, profile);
      if (name === 'slow') return slowTable(contenders, results, profile);
      return rateTable(contenders, name, results, kind === 'memory');
    }),
    ...summary(contenders, operationNames, results),
    ...failureList(results),
    ...targetTable(verdicts, environment),
    environment.line,
  ].join('\n');
}

function heading(contenders, { versions, window }) {
  const rows = contenders.map((contender) => [
    contender.name,
    contender.about ?? '',
    versions.get(contender.name) ?? '',
    contender.window(window),
  ]);
  return ['## Contenders', '', ...table(['contender', 'what', 'version', 'window of a stream'], rows)];
}

function rateTable(contenders, operation, results, oneProcess) {
  const { title, unit } = operations[operation];
  const bulk = isThroughput(operation);
  const cpuHead = oneProcess ? 'CPU' : 'CPU client / server';
  const head = ['contender', unit, 'x R [quartiles]', cpuHead, 'CPU x R [quartiles]'];
  const withLimit = bulk && operation !== 'fair' && !oneProcess;
  if (withLimit) head.push('CPU x L [quartiles]');
  const withLatency = ['ping', 'fair', 'mem-ping'].includes(operation);
  if (withLatency) head.push('p50 / p99 us');

  const rows = contenders.map((contender) => {
    const { name } = contender;
    const samples = results.samples(operation, name).filter(Boolean);
    if (samples.length === 0) return absent(contender, operation, results);
    const amount = operations[operation].amount;
    const perUnit = (field) =>
      figure(median(samples.map((sample) => sample[field] / amount(sample))) * (bulk ? 1024 : 1e6));
    const cpu = oneProcess ? perUnit('cpuClient') : `${perUnit('cpuClient')} / ${perUnit('cpuServer')}`;
    const row = [
      name,
      figure(median(samples.map((sample) => rateOf(operation, sample)))),
      withQuartiles(results.rateRatios(operation, name, reference)),
      `${cpu} ${bulk ? 's/GiB' : 'us'}`,
      withQuartiles(results.cpuRatios(operation, name, reference)),
    ];
    if (withLimit) row.push(withQuartiles(results.cpuRatios(operation, name, limit)));
    if (withLatency) row.push(`${latency(samples, 'p50')} / ${latency(samples, 'p99')}`);
    return row;
  });
  return [`## ${operation}: ${title}`, '', ...table(head, rows)];
}

function idleTable(contenders, results, { idleStreams }) {
  const head = ['contender', 'RSS, both ends', 'RSS client', 'RSS server', 'heap client', 'heap server'];
  const rows = contenders.map((contender) => {
    const [sample] = results.samples('idle', contender.name);
    if (!sample) return absent(contender, 'idle', results);
    const { rssClient, rssServer, heapClient, heapServer } = sample;
    const bytes = [rssClient + rssServer, rssClient, rssServer, heapClient, heapServer];
    return [contender.name, ...bytes.map((value) => String(Math.round(value)))];
  });
  return [`## idle: ${idleStreams} ${operations.idle.title}`, '', ...table(head, rows)];
}

function slowTable(contenders, results, { slowMs, slowCapBytes }) {
  const head = ['contender', 'taken MiB', 'RSS growth writer / reader MiB', 'bounded', 'other streams live'];
  const rows = contenders.map((contender) => {
    const [sample] = results.samples('slow', contender.name);
    if (!sample) return absent(contender, 'slow', results);
    const { accepted, rssClient, rssServer, bounded, othersAlive } = sample;
    return [
      contender.name,
      figure(accepted / MiB),
      `${figure(rssClient / MiB)} / ${figure(rssServer / MiB)}`,
      yesNo(bounded),
      yesNo(othersAlive),
    ];
  });
  const title = `## slow: ${operations.slow.title} (${slowMs} ms, at most ${slowCapBytes / MiB} MiB offered)`;
  return [title, '', ...table(head, rows)];
}

function summary(contenders, operationNames, results) {
  const columns = operationNames.filter((name) => operations[name].kind !== 'alone' && name !== 'fair');
  if (columns.length === 0) return [];
  const rows = contenders.map((contender) => [
    contender.name,
    ...columns.map((operation) => {
      if (results.failure(contender.name, operation)) return 'FAIL';
      const rate = median(results.rateRatios(operation, contender.name, reference));
      const cpu = median(results.cpuRatios(operation, contender.name, reference));
      return rate === undefined ? '-' : `${figure(rate)} (${figure(cpu)})`;
    }),
  ]);
  return [
    '## Summary: median ratio to R of the same round (in brackets: of the CPU, less is cheaper)',
    '',
    ...table(['contender', ...columns], rows),
  ];
}

function failureList(results) {
  const { failures } = results;
  if (failures.length === 0) return [];
  return [
    '## Failures',
    '',
    ...failures.map(({ name, operation, reason }) => `- ${name}, ${operation}: ${reason}`),
    '',
  ];
}

function targetTable(verdicts, { kind }) {
  if (verdicts.length === 0) return [];
  const rows = verdicts.map(({ name, operation, what, goal, unit, value, quartiles, met, reason }) => [
    name,
    operation,
    what,
    goal,
    value === undefined ? reason : `${figure(value)} ${unit} [${quartiles.map(figure).join(' - ')}]`,
    value === undefined ? 'not measured' : met ? 'met' : 'MISSED',
  ]);
  const head = ['contender', 'operation', 'what', 'goal', 'measured: median [quartiles]', 'verdict'];
  const title = kind === 'full' ? '## Targets' : `## Targets (a ${kind} run gives a hint, no verdict)`;
  return [title, '', ...table(head, rows)];
}

function absent(contender, operation, results) {
  const failure = results.failure(contender.name, operation);
  if (failure) return [contender.name, `FAIL: ${failure.slice(0, 80)}`];
  return [contender.name, `- ${whyNot(contender, operation) ?? ''}`.trim()];
}

const latency = (samples, field) => figure(median(samples.map((sample) => sample[field])) * 1000);
const yesNo = (value) => (value ? 'yes' : 'NO');

function withQuartiles(list) {
  if (list.length === 0) return '-';
  return `${figure(median(list))} [${figure(quantile(list, 0.25))} - ${figure(quantile(list, 0.75))}]`;
}

/** Three digits say all that such measurements know. */
function figure(value) {
  if (!Number.isFinite(value)) return '-';
  const size = Math.abs(value);
  if (size >= 100) return String(Math.round(value));
  return value.toFixed(size >= 10 ? 1 : 2);
}

function table(head, rows) {
  const full = rows.map((row) => [...row, ...Array(head.length - row.length).fill('')]);
  // A reason is no reason to widen a column of figures.
  const widths = head.map((title, column) =>
    Math.max(title.length, ...full.map((row) => (row.at(-1) === '' ? 0 : row[column].length))),
  );
  widths[0] = Math.max(widths[0], ...full.map(([name]) => name.length));
  const line = (cells) => `| ${cells.map((cell, i) => cell.padEnd(widths[i])).join(' | ')} |`;
  return [line(head), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...full.map(line), ''];
}
