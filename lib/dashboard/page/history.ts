/** Points of the charts: at ten a second, two minutes. */
const mostPoints = 1200;

/** Figures over time, in the columns that the charts take as they are. */
export class History {
  /** In seconds. */
  times: number[] = [];
  rateIn: number[] = [];
  rateOut: number[] = [];
  rtt: (number | null)[] = [];
  rttWorst: (number | null)[] = [];
  /** Streams that wait, by what they wait for: window, transport, reader. */
  waiting: [number[], number[], number[]] = [[], [], []];

  add(
    at: number,
    rateIn: number,
    rateOut: number,
    rtt: number | null,
    rttWorst: number | null,
    waiting: readonly number[],
  ): void {
    this.times.push(at / 1000);
    this.rateIn.push(rateIn);
    this.rateOut.push(rateOut);
    this.rtt.push(rtt);
    this.rttWorst.push(rttWorst);
    for (const [index, column] of this.waiting.entries()) column.push(waiting[index + 1] ?? 0);
    if (this.times.length > mostPoints * 1.1) this.#drop(this.times.length - mostPoints);
  }

  clear(): void {
    this.#drop(this.times.length);
  }

  #drop(count: number): void {
    const columns = [this.times, this.rateIn, this.rateOut, this.rtt, this.rttWorst, ...this.waiting];
    for (const column of columns) column.splice(0, count);
  }
}
