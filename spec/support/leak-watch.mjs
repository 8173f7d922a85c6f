import { AsyncLocalStorage } from 'node:async_hooks';
import { ChildProcess } from 'node:child_process';
import { subscribe } from 'node:diagnostics_channel';
import { createRequire } from 'node:module';
import net from 'node:net';

/**
 * Notes where timers, sockets, servers and child processes are made while a spec file runs, and tells which of
 * them are still alive at its end. One file runs at a time in a process, so there is one watch at a time.
 *
 * Wrappers instead of async_hooks: an init hook would slow down every promise of the code under test.
 */

const { setTimeout: delay } = globalThis;
const require = createRequire(import.meta.url);

/** @type {LeakWatch | null} The watch of the file now running. */
let active = null;

/** Timers fire and clear themselves; forgetting them now and then keeps the table small. */
const pruneAt = 1024;

/** Enough to get from a helper out to the test; Jest would capture 100 frames. */
const framesKept = 16;

/** @typedef {{ what: () => string, alive: () => boolean, dispose: () => void, stack: string, test: string }} Entry */

export class LeakWatch {
  /** What runs now, for the report. */
  test = '';
  /** @type {Map<object, Entry>} */
  #entries = new Map();
  #pruneAt = pruneAt;
  #before = new Set(process._getActiveHandles());
  /** @type {Set<AsyncLocalStorage<unknown>>} */
  #contexts = new Set();

  start() {
    active = this;
  }

  stop() {
    if (active === this) active = null;
    this.#entries.clear();
    for (const context of this.#contexts) context.disable();
    this.#contexts.clear();
  }

  /**
   * Before Node 24 each AsyncLocalStorage that was ever used adds a property to every promise of the process, until it
   * is disabled. Jest itself makes one for every file: after sixty files a stream weighed twice what it should.
   */
  noteContext(context) {
    this.#contexts.add(context);
  }

  /** @param {object} resource @param {Omit<Entry, 'stack' | 'test'> & { stack?: string }} entry @param {Function} [above] */
  note(resource, entry, above) {
    if (this.#before.has(resource)) return;
    const known = this.#entries.get(resource);
    const stack = entry.stack ?? known?.stack ?? (above ? capture(above) : '');
    this.#entries.set(resource, { ...entry, stack, test: known?.test ?? this.test });
    if (this.#entries.size >= this.#pruneAt) this.#prune();
  }

  /** Where a resource was made, so that what comes of it can point there too. */
  stackOf(resource) {
    return this.#entries.get(resource)?.stack;
  }

  /** Waits up to `graceMs` for everything to go away; resolves with one error for each thing that has not. */
  async leaks(graceMs) {
    const deadline = performance.now() + graceMs;
    for (let pause = 1; ; pause = Math.min(pause * 2, 50)) {
      const left = this.#alive();
      if (left.length === 0) return [];
      if (performance.now() >= deadline) return left.map((entry) => this.#report(entry));
      await new Promise((resolve) => delay(resolve, pause));
    }
  }

  #prune() {
    for (const [resource, entry] of this.#entries) if (!entry.alive()) this.#entries.delete(resource);
    this.#pruneAt = Math.max(pruneAt, this.#entries.size * 2);
  }

  #alive() {
    for (const handle of process._getActiveHandles()) this.#noteHandle(handle);
    this.#prune();
    const children = [...this.#entries.keys()].filter((resource) => resource instanceof ChildProcess);
    const pipes = new Set(children.flatMap((child) => child.stdio ?? []));
    return [...this.#entries].filter(([resource]) => !pipes.has(resource)).map(([, entry]) => entry);
  }

  /** Whatever came into being without passing a wrapper: watchers, ports, sockets made from a descriptor. */
  #noteHandle(handle) {
    const isStdio = handle._isStdio || [0, 1, 2].includes(handle.fd);
    if (isStdio || this.#before.has(handle) || this.#entries.has(handle)) return;
    this.note(handle, {
      what: () => describeHandle(handle),
      alive: () => process._getActiveHandles().includes(handle),
      dispose: () => (handle.destroy ?? handle.terminate ?? handle.close)?.call(handle),
    });
  }

  /** Ends the resource as well: the next file in this process must not suffer from it. */
  #report(entry) {
    const where = entry.test ? `, created in ${entry.test}` : '';
    const error = new Error(`leak: ${entry.what()} at the end of the file${where}`);
    error.stack = `Error: ${error.message}\n${entry.stack}`;
    entry.dispose();
    return error;
  }
}

function capture(above) {
  const holder = {};
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = framesKept;
  Error.captureStackTrace(holder, above);
  Error.stackTraceLimit = limit;
  // Formatted only when somebody reads it.
  return {
    toString: () => holder.stack.split('\n').slice(1).join('\n'),
  };
}

function describeHandle(handle) {
  if (handle instanceof net.Socket) return describeSocket(handle);
  return `a ${handle.constructor?.name ?? 'handle'} is still active`;
}

function describeSocket(socket) {
  const to = socket.remotePort ? ` to port ${socket.remotePort}` : '';
  const from = socket.localPort ? ` from port ${socket.localPort}` : '';
  return `a socket${from}${to} is still open`;
}

// ------------------------------------------------------------------ timers

/** Tells the watch of each timer; everything else about it stays (`util.promisify` looks at its properties). */
function watchedTimer(original, word) {
  const watched = (callback, ms, ...rest) => {
    const timer = original(callback, ms, ...rest);
    active?.note(
      timer,
      {
        what: () => `${word} of ${Number(ms) || 0} ms is still pending`,
        alive: () => !timer._destroyed,
        dispose: () => clearTimeout(timer),
      },
      watched,
    );
    return timer;
  };
  return Object.defineProperties(watched, Object.getOwnPropertyDescriptors(original));
}

const timers = {
  setTimeout: watchedTimer(globalThis.setTimeout, 'a timeout'),
  setInterval: watchedTimer(globalThis.setInterval, 'an interval'),
};

/** Specs and Node-only code may also import them. */
Object.assign(require('node:timers'), timers);

const timersPromises = require('node:timers/promises');
const promisedTimeout = timersPromises.setTimeout;
timersPromises.setTimeout = function setTimeout(ms, value, options) {
  const promise = promisedTimeout(ms, value, options);
  // With a signal it can reject, and listening here would hide that rejection if nobody else listens.
  if (active && !options?.signal) {
    const entry = { pending: true };
    promise.then(() => {
      entry.pending = false;
    });
    active.note(
      entry,
      {
        what: () => `a promised timeout of ${ms} ms is still pending`,
        alive: () => entry.pending,
        dispose: () => {},
      },
      setTimeout,
    );
  }
  return promise;
};

// ------------------------------------------------------------------ sockets, servers, processes

/** Lets `note` see each call of a method before the method runs. */
function onCall(prototype, method, note) {
  const original = prototype[method];
  const watched = function (...args) {
    if (active) note(this, watched);
    return original.apply(this, args);
  };
  prototype[method] = Object.defineProperties(watched, Object.getOwnPropertyDescriptors(original));
}

const socketEntry = (socket) => ({
  what: () => describeSocket(socket),
  alive: () => !socket.destroyed,
  dispose: () => socket.destroy(),
});

onCall(net.Socket.prototype, 'connect', (socket, above) => active.note(socket, socketEntry(socket), above));

subscribe('net.server.socket', ({ socket }) => {
  if (!active) return;
  const stack = active.stackOf(socket.server) ?? '';
  active.note(socket, {
    ...socketEntry(socket),
    what: () => `the server's end of ${describeSocket(socket)}`,
    stack,
  });
});

onCall(net.Server.prototype, 'listen', (server, above) => {
  const address = () => {
    const at = server.address();
    return typeof at === 'string' ? at : `port ${at?.port}`;
  };
  active.note(
    server,
    {
      what: () => `a server on ${address()} is still listening`,
      // Listening begins a little after listen() for a name that must be resolved: count from the call.
      alive: () => server._handle !== null || server.listening,
      dispose: () => server.close(),
    },
    above,
  );
});

onCall(ChildProcess.prototype, 'spawn', (child, above) => {
  active.note(
    child,
    {
      what: () => `child process ${child.pid} (${child.spawnfile}) is still running`,
      alive: () => child.pid !== undefined && child.exitCode === null && child.signalCode === null,
      dispose: () => child.kill('SIGKILL'),
    },
    above,
  );
});

for (const method of ['run', 'enterWith']) {
  onCall(AsyncLocalStorage.prototype, method, (context) => active.noteContext(context));
}

// ------------------------------------------------------------------ workers and ports

/** Lets `note` see each object a class makes. */
function onConstruct(target, note) {
  const watched = new Proxy(target, {
    construct(_target, args, newTarget) {
      const made = Reflect.construct(target, args, newTarget === watched ? target : newTarget);
      if (active) note(made, this.construct);
      return made;
    },
  });
  return watched;
}

const threads = require('node:worker_threads');

threads.Worker = onConstruct(threads.Worker, (worker, above) => {
  active.note(
    worker,
    {
      what: () => `worker ${worker.threadId} is still running`,
      alive: () => worker.threadId !== -1,
      dispose: () => void worker.terminate(),
    },
    above,
  );
});

/** A port keeps the process alive while somebody listens to it; only then is it a leak. */
threads.MessageChannel = onConstruct(threads.MessageChannel, ({ port1, port2 }, above) => {
  for (const port of [port1, port2]) {
    const alive = () => process._getActiveHandles().includes(port);
    const dispose = () => port.close();
    active.note(port, { what: () => 'a message port still has its listener', alive, dispose }, above);
  }
});

/** What a spec's global object gets in place of Node's own. */
export const watchedGlobals = { ...timers, MessageChannel: threads.MessageChannel };
