import type { Tally } from './client.js';
import { counted, paint, rateOf } from './text.js';

/** How one scenario went. */
export interface Result
  extends Pick<Tally, 'streams' | 'atOnce' | 'verified' | 'bytes' | 'seconds' | 'failures'> {
  readonly protocol: string;
  readonly transport: string;
  /** Every part was moved, and every digest agreed. */
  readonly isVerified: boolean;
}

const headings = ['protocol', 'transport', 'streams', 'bytes', 'MiB/s', 'verified'];
/** Numbers have their units below each other. */
const toTheRight = new Set(['streams', 'bytes', 'MiB/s']);

/** One line for each result, below the headings. */
export function renderTable(results: readonly Result[], isColorful: boolean): string {
  const rows = results.map((result) => [
    result.protocol,
    result.transport,
    String(result.streams),
    result.bytes.toLocaleString('en-US'),
    rateOf(result.bytes, result.seconds).toFixed(1),
    result.isVerified ? 'yes' : 'NO',
  ]);
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => (row[column] as string).length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => {
        const width = widths[column] as number;
        return toTheRight.has(headings[column] as string) ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  const paintRow = (text: string, isVerified: boolean): string =>
    text.replace(/\S+$/, (word) => paint(word, isVerified ? 'green' : 'red', isColorful));
  return [
    line(headings),
    line(widths.map((width) => '-'.repeat(width))),
    ...rows.map((row, index) => paintRow(line(row), (results[index] as Result).isVerified)),
  ].join('\n');
}

/** More than these would hide the first ones, which usually tell why. */
const mostReasonsShown = 5;

/** The last words: that all is well, or else what is not. `cutShort` is why the job ended before its time, if so. */
export function verdictOn(
  results: readonly Result[],
  cutShort?: string,
): { readonly isGood: boolean; readonly text: string } {
  if (cutShort !== undefined) return { isGood: false, text: `Not everything was verified: ${cutShort}.` };
  const bad = results.filter(({ isVerified }) => !isVerified);
  if (bad.length > 0) {
    const names = bad.map(({ protocol, transport }) => `${protocol} over ${transport}`);
    const text = `${bad.map(explain).join('\n')}\n\nNot everything was verified: see ${names.join(', ')} above.`;
    return { isGood: false, text };
  }
  const streams = results.reduce((sum, { verified }) => sum + verified, 0);
  const atOnce = Math.min(...results.map((result) => result.atOnce));
  return {
    isGood: true,
    text: `All ${counted(streams, 'stream')} verified by sha256, ${atOnce} at once on each connection.`,
  };
}

/** What failed for the same reason shares a line. */
function explain({ protocol, transport, streams, verified, failures }: Result): string {
  const reasons = new Map<string, string[]>();
  for (const { what, why } of failures) reasons.set(why, [...(reasons.get(why) ?? []), what]);
  const lines = [...reasons].map(([why, [first, ...others]]) => {
    return `  ${first}${others.length > 0 ? ` and ${others.length} more` : ''}: ${why}`;
  });
  if (lines.length > mostReasonsShown) {
    lines.splice(mostReasonsShown, lines.length, `  and ${lines.length - mostReasonsShown} more reasons`);
  }
  return [
    `${protocol} over ${transport}: ${verified} of ${counted(streams, 'stream')} verified`,
    ...lines,
  ].join('\n');
}
