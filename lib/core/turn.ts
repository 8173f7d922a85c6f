import { microtask } from './promises.js';

type Host = { process?: { versions?: { node?: string }; nextTick(task: () => void): void } };

const { process } = globalThis as Host;

/** As many promises may follow one on another: a reader of `for await` that answers, and then ends, takes seven. */
const steps = 10;

function afterSteps(task: () => void, left: number = steps): void {
  microtask(left > 0 ? () => afterSteps(task, left - 1) : task);
}

/**
 * Called within a microtask, calls `task` once the others are through: what the promises of a turn lead to is done by then.
 * Browsers have no such time, and some steps are taken instead. Stand-ins for `process` there wait for a timer, and do not
 * say which Node they are.
 */
export const afterPromises: (task: () => void) => void = process?.versions?.node
  ? process.nextTick
  : afterSteps;
