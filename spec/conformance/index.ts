/**
 * The conformance kit: what every provider owes to whoever swaps it for another.
 * Needs `describe`, `test` and `expect` as globals, as Jest has them.
 */
/// <reference types="jest" />
import { acceptCases } from './accept.js';
import { backlogCases } from './backlog.js';
import { backpressureCases } from './backpressure.js';
import { completionCases } from './completion.js';
import { dataCases } from './data.js';
import { errorCases } from './errors.js';
import { halfCloseCases } from './half-close.js';
import { headerCases } from './headers.js';
import { interopCases } from './interop.js';
import { lifecycleCases } from './lifecycle.js';
import { observingCases } from './observing.js';
import { overflowCases } from './overflow.js';
import { type ConformanceOptions, checker, type Open } from './pair.js';
import { resetCases } from './reset.js';
import { scenarioCases } from './scenarios.js';
import { scopeCases } from './scopes.js';
import { sendingCases } from './sending.js';
import { sourceCases } from './sources.js';

export type { Listen, ListenerLike, ListenerOptions, Listening } from './listener.js';
export { listenerConformance } from './listener.js';
export type { ConformanceOptions, Open, OpenOptions, Pair } from './pair.js';

const themes = {
  scenarios: scenarioCases,
  accepting: acceptCases,
  'the backlog': backlogCases,
  receiving: dataCases,
  backpressure: backpressureCases,
  completion: completionCases,
  sources: sourceCases,
  sending: sendingCases,
  overflow: overflowCases,
  'half-closing': halfCloseCases,
  resetting: resetCases,
  headers: headerCases,
  lifecycle: lifecycleCases,
  scopes: scopeCases,
  observing: observingCases,
  errors: errorCases,
  views: interopCases,
} as const;

/**
 * Registers the cases for one protocol on one transport; `open` gives a fresh pair for each of them.
 * Every case runs twice, with the client and with the server as the one who opens streams. What a protocol lacks
 * is read from `provider.info.features`, and the case then asserts the documented substitute.
 */
export function conformance(name: string, open: Open, options: ConformanceOptions = {}): void {
  describe(name, () => {
    for (const opens of ['client', 'server'] as const) {
      describe(`the ${opens} opens`, () => {
        const check = checker(open, opens, options);
        for (const [theme, cases] of Object.entries(themes)) describe(theme, () => cases(check));
      });
    }
  });
}
