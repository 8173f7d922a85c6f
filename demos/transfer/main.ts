import { stopSignal } from '../stopping.js';
import { runJob } from './job.js';

/** `npm start`. The first Ctrl-C stops the transfers and tidies up, a second one ends the process at once. */
const signal = stopSignal();
const { stdout, stderr } = process;
const onVerdict = (exitCode: number): void => {
  process.exitCode ??= exitCode;
};
const exitCode = await runJob(process.argv.slice(2), { stdout, stderr, signal, onVerdict });
process.exitCode ??= exitCode;
