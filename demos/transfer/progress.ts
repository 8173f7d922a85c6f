import { formatBytes, paint, rateOf } from './text.js';

/** What the job writes to: `process.stdout`, or an array in a spec. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** Shows how far the scenario that runs now has come. */
export interface Progress {
  begin(name: string, totalBytes: number): void;
  /** So many bytes have come back. */
  add(bytes: number): void;
  end(isVerified: boolean): void;
}

/** How far it has come, at one moment. */
export interface Snapshot {
  readonly name: string;
  readonly bytes: number;
  readonly totalBytes: number;
  readonly seconds: number;
}

/** Bars where they can be drawn, plain lines everywhere else. */
export function progressOn(output: Output, env: NodeJS.ProcessEnv): Progress {
  const face = isTerminal(output, env) ? new Bars(output, isColorful(output, env)) : new Lines(output);
  return new Meter(face);
}

/** Whether lines can be drawn again. */
function isTerminal(output: Output, env: NodeJS.ProcessEnv): boolean {
  return output.isTTY === true && env.TERM !== 'dumb';
}

/** NO_COLOR counts if it is not empty (no-color.org). */
export function isColorful(output: Output, env: NodeJS.ProcessEnv): boolean {
  return isTerminal(output, env) && !env.NO_COLOR;
}

/** How the two kinds of progress differ: in when they write, and what. */
interface Face {
  started(snapshot: Snapshot): void;
  /** Called for each chunk. */
  moved(snapshot: Snapshot): void;
  ended(snapshot: Snapshot, isVerified: boolean): void;
}

/** Counts bytes and time. */
class Meter implements Progress {
  readonly #face: Face;
  #name = '';
  #bytes = 0;
  #totalBytes = 0;
  #startedAt = 0;
  #movedAt = 0;

  constructor(face: Face) {
    this.#face = face;
  }

  begin(name: string, totalBytes: number): void {
    this.#name = name;
    this.#bytes = 0;
    this.#totalBytes = totalBytes;
    this.#startedAt = performance.now();
    this.#movedAt = this.#startedAt;
    this.#face.started(this.#snapshot());
  }

  add(bytes: number): void {
    this.#movedAt = performance.now();
    // Until the first bytes are back it is the server that starts, not the protocol that is slow.
    if (this.#bytes === 0) this.#startedAt = this.#movedAt;
    this.#bytes += bytes;
    this.#face.moved(this.#snapshot());
  }

  end(isVerified: boolean): void {
    this.#face.ended(this.#snapshot(), isVerified);
  }

  #snapshot(): Snapshot {
    const seconds = (this.#movedAt - this.#startedAt) / 1000;
    return { name: this.#name, bytes: this.#bytes, totalBytes: this.#totalBytes, seconds };
  }
}

/** Fast enough for the eye. */
const redrawMs = 50;

/** One line, drawn again and again; it stays as it is when its scenario ends. */
class Bars implements Face {
  readonly #output: Output;
  readonly #isColorful: boolean;
  #drawnAt = 0;

  constructor(output: Output, isColorful: boolean) {
    this.#output = output;
    this.#isColorful = isColorful;
  }

  started(snapshot: Snapshot): void {
    this.#draw(snapshot, 'green');
  }

  moved(snapshot: Snapshot): void {
    if (performance.now() - this.#drawnAt >= redrawMs) this.#draw(snapshot, 'green');
  }

  ended(snapshot: Snapshot, isVerified: boolean): void {
    this.#draw(snapshot, isVerified ? 'green' : 'red');
    this.#output.write('\n');
  }

  #draw(snapshot: Snapshot, color: 'green' | 'red'): void {
    this.#drawnAt = performance.now();
    const bar = renderBar(snapshot, this.#output.columns || 80);
    const painted = bar.replace(/#+/, (done) => paint(done, color, this.#isColorful));
    this.#output.write(`\r\x1b[K${painted}`);
  }
}

/** In a log, a line for each quarter is enough. */
const stepPercent = 25;

class Lines implements Face {
  readonly #output: Output;
  #nextPercent = stepPercent;

  constructor(output: Output) {
    this.#output = output;
  }

  started({ name, totalBytes }: Snapshot): void {
    this.#nextPercent = stepPercent;
    this.#output.write(`${name}: ${formatBytes(totalBytes)} to move\n`);
  }

  moved(snapshot: Snapshot): void {
    const percent = percentOf(snapshot);
    if (percent < this.#nextPercent || percent >= 100) return;
    this.#nextPercent = (Math.floor(percent / stepPercent) + 1) * stepPercent;
    this.#output.write(`${renderLine(snapshot)}\n`);
  }

  ended(snapshot: Snapshot, isVerified: boolean): void {
    this.#output.write(`${renderLine(snapshot)}, ${isVerified ? 'verified' : 'NOT verified'}\n`);
  }
}

const widestBar = 40;
const narrowestBar = 8;

/**
 * A line that fits into `columns`, so that it never wraps and can be drawn again in place. What a narrow terminal has
 * no room for goes, the least important first: the amount, the rate, the bar, the name.
 */
export function renderBar(snapshot: Snapshot, columns: number): string {
  const { name, bytes, totalBytes, seconds } = snapshot;
  // The last column stays free: some terminals wrap as soon as it is written to.
  const room = columns - 1;
  const label = name.padEnd(12);
  const percent = `${percentOf(snapshot)}%`.padStart(4);
  const rate = `${rateOf(bytes, seconds).toFixed(0)} MiB/s`.padStart(11);
  const amount = `${formatBytes(bytes)} of ${formatBytes(totalBytes)}`.padStart(26);
  for (const right of [`${percent}${rate}${amount}`, `${percent}${rate}`, percent]) {
    // Two brackets and a space on either side.
    const width = Math.min(widestBar, room - label.length - right.length - 4);
    if (width < narrowestBar) continue;
    const done = Math.floor((width * percentOf(snapshot)) / 100);
    return `${label} [${'#'.repeat(done)}${'.'.repeat(width - done)}] ${right}`;
  }
  const short = `${name} ${percent.trim()}`;
  return short.length <= room ? short : percent.trim().slice(0, Math.max(0, room));
}

function percentOf({ bytes, totalBytes }: Snapshot): number {
  return totalBytes === 0 ? 100 : Math.min(100, Math.floor((bytes / totalBytes) * 100));
}

/** The same without a bar, for files and pipes. */
export function renderLine(snapshot: Snapshot): string {
  const { name, bytes, totalBytes, seconds } = snapshot;
  const amount = `${formatBytes(bytes)} of ${formatBytes(totalBytes)}`;
  return `${name}: ${percentOf(snapshot)}%, ${amount}, ${rateOf(bytes, seconds).toFixed(1)} MiB/s`;
}
