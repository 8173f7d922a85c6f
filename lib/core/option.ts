/** A number among an application's options; one that is less, or none, is its mistake. */
export function checkLeast(name: string, value: number | undefined, least: number): void {
  if (value === undefined || (typeof value === 'number' && value >= least)) return;
  throw new RangeError(`${name} is a number from ${least} up, not ${value}`);
}
