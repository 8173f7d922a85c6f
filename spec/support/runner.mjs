import TestRunner from 'jest-runner';

/** `speed.timed.spec.ts`: a file whose figures a neighbour on the same processors would spoil. */
const isTimed = ({ path }) => path.includes('.timed.spec.');

/** Jest's own runner; files that judge speed run one by one, when all others are through. */
export default class TimedLastRunner extends TestRunner {
  async runTests(tests, watcher, options) {
    const timed = tests.filter(isTimed);
    const others = tests.filter((test) => !isTimed(test));
    if (others.length > 0) await super.runTests(others, watcher, options);
    if (timed.length > 0) await super.runTests(timed, watcher, { ...options, serial: true });
  }
}
