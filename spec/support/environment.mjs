import { TestEnvironment } from 'jest-environment-node';
import { LeakWatch, watchedGlobals } from './leak-watch.mjs';

/** How long things may take to go away: a socket closes on a later turn, a child process exits when it likes. */
const graceMs = Number(process.env.RXMUX_LEAK_GRACE_MS ?? 1000);

/** Where `trackProvider` (leaks.ts) finds the list it adds to. */
const trackedKey = Symbol.for('rxmux.spec.tracked');

const errorTypes = [
  'Error',
  'AggregateError',
  'EvalError',
  'RangeError',
  'ReferenceError',
  'SuppressedError',
  'SyntaxError',
  'TypeError',
  'URIError',
];

const binaryTypes = [
  'ArrayBuffer',
  'SharedArrayBuffer',
  'DataView',
  'Int8Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float16Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
];

/**
 * Node as it is outside Jest, and strict about leftovers: a spec file fails on a rejection nobody handled in time,
 * and on a timer, socket, server or child process still there at its end; a test fails on a tracked provider
 * whose stream table is not empty.
 */
export default class RxmuxEnvironment extends TestEnvironment {
  #watch = new LeakWatch();
  #tracked = { inTest: false, providers: [] };
  #prepareStackTrace = Error.prepareStackTrace;
  #listeners = [];

  constructor(config, context) {
    const { projectConfig } = config;
    const testEnvironmentOptions = {
      ...projectConfig.testEnvironmentOptions,
      // Otherwise Jest strips the objects shared below of their properties after the file.
      globalsCleanup: 'off',
    };
    super({ ...config, projectConfig: { ...projectConfig, testEnvironmentOptions } }, context);
    shareRealm(this.global);
    Object.assign(this.global, watchedGlobals, { [trackedKey]: this.#tracked });
  }

  async setup() {
    await super.setup();
    this.#watch.start();
  }

  async teardown() {
    this.#watch.stop();
    this.#stopListening();
    // Source maps are installed by code of the realm that ends here.
    Error.prepareStackTrace = this.#prepareStackTrace;
    await super.teardown();
  }

  async handleTestEvent(event, state) {
    switch (event.name) {
      case 'run_start':
        this.#listenForLateHandlers(state);
        break;
      case 'hook_start':
        if (!event.hook.type.endsWith('Each')) this.#watch.test = event.hook.type;
        break;
      case 'test_start':
        this.#watch.test = `"${event.test.name}"`;
        this.#tracked.inTest = true;
        break;
      case 'test_done':
        await this.#checkStreamTables(event.test);
        this.#watch.test = '';
        this.#tracked.inTest = false;
        break;
      case 'run_finish':
        state.unhandledErrors.push(...(await this.#watch.leaks(graceMs)));
        this.#stopListening();
        break;
    }
  }

  /**
   * Jest forgives a rejection that is handled a turn too late, although Node ends the process for it. What is never
   * handled at all Jest reports itself.
   */
  #listenForLateHandlers(state) {
    const reasons = new WeakMap();
    this.#listen('unhandledRejection', (reason, promise) => reasons.set(promise, reason));
    this.#listen('rejectionHandled', (promise) => {
      const reason = reasons.get(promise);
      const error = new Error(`a rejection was handled too late, on a later turn: ${reason}`);
      if (reason?.stack)
        error.stack = `Error: ${error.message}\n${reason.stack.replace(/^[\s\S]*?(?=\n\s+at )/, '')}`;
      state.unhandledErrors.push(error);
    });
  }

  #listen(name, listener) {
    process.on(name, listener);
    this.#listeners.push([name, listener]);
  }

  #stopListening() {
    for (const [name, listener] of this.#listeners.splice(0)) process.off(name, listener);
  }

  /** Providers tracked within the test are checked once; those of a `beforeAll` after each test. */
  async #checkStreamTables(test) {
    const { providers } = this.#tracked;
    if (providers.length === 0) return;
    if (test.errors.length === 0) {
      const busy = () => providers.filter(({ provider }) => provider.streams.size > 0);
      const deadline = performance.now() + graceMs;
      while (busy().length > 0 && performance.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      for (const { provider, name, stack } of busy()) {
        const streams = [...provider.streams.values()].map(
          ({ id, label, state }) => `${label ?? id} (${state})`,
        );
        const error = new Error(`leak: the stream table of ${name} still has ${streams.join(', ')}`);
        error.stack = `Error: ${error.message}\n${stack}`;
        test.errors.push([error, test.asyncError]);
      }
    }
    this.#tracked.providers = providers.filter(({ inTest }) => !inTest);
  }
}

/**
 * Jest runs specs in a realm of their own, where `Error` and `Uint8Array` are not those that Node's own modules
 * use, so `instanceof` fails between the two. Binary types have no literals and can simply be shared. Errors are
 * also made by the engine, from the realm's own types: those are made to inherit from the shared ones.
 */
function shareRealm(global) {
  for (const name of [...binaryTypes, ...errorTypes]) {
    const shared = globalThis[name];
    const own = global[name];
    if (shared === undefined || shared === own) continue;
    if (errorTypes.includes(name)) Object.setPrototypeOf(own.prototype, shared.prototype);
    Object.defineProperty(global, name, {
      value: shared,
      writable: true,
      configurable: true,
      enumerable: false,
    });
  }
  for (const name of ['dispose', 'asyncDispose']) {
    if (global.Symbol[name] === Symbol[name]) continue;
    Object.defineProperty(global.Symbol, name, { value: Symbol[name], configurable: true });
  }
}
