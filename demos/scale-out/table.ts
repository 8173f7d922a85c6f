import type { Conversation } from './conversation.js';

/** One line for each stream, below the headings. */
export function renderTable(conversations: readonly Conversation[]): string {
  const rows = conversations.map(({ id, server, echoed, fate, reason, note }) => [
    String(id),
    server,
    String(echoed),
    reason === '' ? fate : `${fate} (${reason})`,
    note,
  ]);
  const all = [['stream', 'server', 'echoes', 'fate', 'what happened'], ...rows];
  const widths = [0, 1, 2, 3, 4].map((column) =>
    Math.max(...all.map((row) => (row[column] as string).length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        (column === 0 || column === 2 ? cell.padStart : cell.padEnd).call(cell, widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  const [headings, ...others] = all as [string[], ...string[][]];
  return [line(headings), line(widths.map((width) => '-'.repeat(width))), ...others.map(line)].join('\n');
}
