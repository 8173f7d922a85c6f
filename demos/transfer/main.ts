import { runJob } from './job.js';

/**
 * `npm start`. The first Ctrl-C stops the transfers and tidies up, a second one ends the process at once. 130 and 143
 * are what shells report for the two signals.
 */
const stopping = new AbortController();
const stopFor = (reason: string, exitCode: number): void => {
  process.exitCode ??= exitCode;
  stopping.abort(new Error(reason));
};
process.once('SIGINT', () => stopFor('interrupted', 130));
process.once('SIGTERM', () => stopFor('told to end', 143));
// `npm start | head` leaves nobody to write to.
process.stdout.on('error', () => stopFor('the output was closed', 1));

const { stdout, stderr } = process;
const onVerdict = (exitCode: number): void => {
  process.exitCode ??= exitCode;
};
const exitCode = await runJob(process.argv.slice(2), { stdout, stderr, signal: stopping.signal, onVerdict });
process.exitCode ??= exitCode;
