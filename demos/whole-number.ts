/** What people write for a number: digits, and neither nothing nor `0x10` nor `1e3`. NaN for anything else. */
export function wholeNumber(text: string): number {
  return /^\d+$/.test(text) ? Number(text) : Number.NaN;
}
