import { writeSync } from 'node:fs';

/** How a title carries the reason for skipping: `exec [skipped: Go is not installed (…)]` (interop.ts). */
const reasonInTitle = /\s*\[skipped: (.+?)\](?=\s|$)/;

/**
 * Lists what was skipped and why, then ends all output with one line for machines:
 * `Tests: 412 passed, 0 failed, 3 skipped`. A file that failed outside its tests counts as one failure.
 */
export default class SummaryReporter {
  #filtered;
  #text = '';

  constructor(globalConfig) {
    this.#filtered = Boolean(globalConfig.testNamePattern);
    // Jest itself still prints after the last reporter has run.
    process.once('exit', () => print(this.#text));
  }

  onRunComplete(_contexts, results) {
    const skipped = results.testResults.flatMap((file) => file.testResults).filter(isSkipped);
    const brokenFiles = results.testResults.filter(
      (file) => file.testExecError && file.numFailingTests === 0,
    );
    const failed = results.numFailedTests + brokenFiles.length;
    const lines = this.#filtered ? [] : describeSkipped(skipped);
    lines.push(`Tests: ${results.numPassedTests} passed, ${failed} failed, ${skipped.length} skipped`);
    this.#text = `${lines.join('\n')}\n`;
  }
}

const isSkipped = ({ status }) => status === 'pending' || status === 'todo' || status === 'skipped';

function describeSkipped(tests) {
  const byReason = new Map();
  for (const { ancestorTitles, title, status } of tests) {
    const full = [...ancestorTitles, title].join(' › ');
    const reason =
      reasonInTitle.exec(full)?.[1] ?? (status === 'todo' ? 'still to be written' : 'no reason given');
    const names = byReason.get(reason) ?? [];
    byReason.set(reason, [...names, full.replace(reasonInTitle, '')]);
  }
  return [...byReason].flatMap(([reason, names]) => [
    `skipped: ${reason}`,
    ...names.map((name) => `  ${name}`),
  ]);
}

/** Synchronous, as it must be on exit; a pipe that is full for a moment answers EAGAIN. */
function print(text) {
  let bytes = Buffer.from(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(1, bytes));
    } catch (error) {
      if (error.code !== 'EAGAIN') return;
    }
  }
}
