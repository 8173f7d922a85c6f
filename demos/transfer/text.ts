/** A caught value as a sentence for people. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const sizeUnits = ['KiB', 'MiB', 'GiB', 'TiB'];

/** `812 bytes`, `97.3 MiB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return counted(bytes, 'byte');
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), sizeUnits.length);
  return `${(bytes / 1024 ** power).toFixed(1)} ${sizeUnits[power - 1]}`;
}

/** `1 file`, `2 files`. */
export function counted(count: number, noun: string, nouns: string = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : nouns}`;
}

/** Bytes in each second, as MiB/s; 0 where no time has passed. */
export function rateOf(bytes: number, seconds: number): number {
  return seconds > 0 ? bytes / 1024 ** 2 / seconds : 0;
}

export function sumOf(parts: readonly { readonly length: number }[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}

/** Text in a colour, for terminals that want one. */
export function paint(text: string, color: 'green' | 'red' | 'dim', isColorful: boolean): string {
  if (!isColorful) return text;
  const code = { green: 32, red: 31, dim: 2 }[color];
  return `\x1b[${code}m${text}\x1b[0m`;
}
