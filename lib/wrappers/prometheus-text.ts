import type { Histogram } from './histogram.js';

type Labels = Readonly<Record<string, string>>;

/** Writes Prometheus's text format, version 0.0.4: families, each with its samples. */
export class PrometheusText {
  readonly #lines: string[] = [];
  #name = '';

  /** What follows belongs to this family. */
  family(name: string, type: 'counter' | 'gauge' | 'histogram', help: string): void {
    this.#name = name;
    this.#lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
  }

  sample(labels: Labels, value: number): void {
    this.#put('', labels, value);
  }

  histogram(labels: Labels, histogram: Histogram): void {
    const counts = histogram.cumulative();
    for (const [index, bound] of histogram.bounds.entries()) {
      this.#put('_bucket', { ...labels, le: String(bound) }, counts[index] as number);
    }
    this.#put('_bucket', { ...labels, le: '+Inf' }, histogram.count);
    this.#put('_sum', labels, histogram.sum);
    this.#put('_count', labels, histogram.count);
  }

  toString(): string {
    return `${this.#lines.join('\n')}\n`;
  }

  #put(suffix: string, labels: Labels, value: number): void {
    const pairs = Object.entries(labels).map(([name, text]) => `${name}="${escaped(text)}"`);
    this.#lines.push(`${this.#name}${suffix}{${pairs.join(',')}} ${value}`);
  }
}

function escaped(text: string): string {
  return text.replace(/[\\"\n]/g, (letter) => (letter === '\n' ? '\\n' : `\\${letter}`));
}
