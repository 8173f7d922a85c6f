import { cpuOf, rateOf } from './operations.mjs';

/** Samples and failures of a run. A contender that failed an operation has no figures for it. */
export class Results {
  /** operation -> contender -> samples by round */
  #samples = {};
  /** contender -> operation -> reason */
  #failures = {};

  add(operation, name, sample, round = 0) {
    this.#samples[operation] ??= {};
    this.#samples[operation][name] ??= [];
    this.#samples[operation][name][round] = sample;
  }

  /** The first failure counts. */
  fail(name, operation, error) {
    this.#failures[name] ??= {};
    this.#failures[name][operation] ??= String(error?.message ?? error)
      .split('\n')[0]
      .slice(0, 160);
  }

  failure(name, operation) {
    return this.#failures[name]?.[operation];
  }

  get failures() {
    return Object.entries(this.#failures).flatMap(([name, reasons]) =>
      Object.entries(reasons).map(([operation, reason]) => ({ name, operation, reason })),
    );
  }

  /** By round; undefined where there is none. */
  samples(operation, name) {
    if (this.failure(name, operation)) return [];
    return this.#samples[operation]?.[name] ?? [];
  }

  /** `ratio(sample, reference)` of each round in which both took part. */
  ratios(operation, name, referenceName, ratio) {
    const references = this.samples(operation, referenceName);
    return this.samples(operation, name).flatMap((sample, round) =>
      references[round] ? [ratio(sample, references[round])] : [],
    );
  }

  rateRatios(operation, name, referenceName) {
    return this.ratios(
      operation,
      name,
      referenceName,
      (sample, reference) => rateOf(operation, sample) / rateOf(operation, reference),
    );
  }

  cpuRatios(operation, name, referenceName) {
    return this.ratios(
      operation,
      name,
      referenceName,
      (sample, reference) => cpuOf(operation, sample) / cpuOf(operation, reference),
    );
  }

  toJSON() {
    return { samples: this.#samples, failures: this.#failures };
  }
}

/** The value below which `part` of the list lies, interpolated; undefined for an empty list. */
export function quantile(list, part) {
  if (list.length === 0) return undefined;
  const sorted = list.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * part;
  const below = sorted[Math.floor(at)];
  return below + (sorted[Math.ceil(at)] - below) * (at % 1);
}

export const median = (list) => quantile(list, 0.5);
