import TestRunner from 'jest-runner';

/** `speed.timed.spec.ts`: a file whose figures a neighbour on the same processors would spoil. */
const isTimed = ({ path }) => path.includes('.timed.spec.');

/** The conformance kit waits half its time, for things that must not happen, and judges no speed. */
const mostlyWaits = ({ path }) => /[\\/](matrix[\\/]|matrix-[^\\/]+$)/.test(path);

/**
 * Jest's own runner; the kit's files have half as many workers again as the others, to fill the time they wait, and files
 * that judge speed run one by one, when all others are through.
 */
export default class PhasedRunner extends TestRunner {
  async runTests(tests, watcher, options) {
    const kit = tests.filter(mostlyWaits);
    const timed = tests.filter(isTimed);
    const others = tests.filter((test) => !isTimed(test) && !mostlyWaits(test));
    const run = (some, how = options) => (some.length > 0 ? super.runTests(some, watcher, how) : undefined);
    await run(others);
    const globalConfig = this._globalConfig;
    const maxWorkers = Math.ceil(globalConfig.maxWorkers * 1.5);
    this._globalConfig = { ...globalConfig, maxWorkers };
    await run(kit);
    this._globalConfig = globalConfig;
    await run(timed, { ...options, serial: true });
  }
}
