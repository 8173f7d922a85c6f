/** Time for everything that waits; handed in, so that a minute of protocol is a microsecond of test. */
export interface Clock {
  /** Milliseconds since the epoch; never goes back. */
  now(): number;
  /** Calls `task` once after `ms`; the function given back cancels it. Does not keep the process alive. */
  after(ms: number, task: () => void): () => void;
  /** Calls `task` in a later turn of the event loop, after I/O had its chance. */
  soon(task: () => void): void;
}

/** What a timer can wait at most: one of more milliseconds is over at once. */
export const longestTimerMs: number = 2 ** 31 - 1;

type NodeTimer = { unref?: () => void };
type Host = { setImmediate?: (task: () => void) => unknown };

/** Where there is no `setImmediate` (browsers), a message to ourselves is the fastest way into a later turn. */
function soonByMessage(): (task: () => void) => void {
  const tasks: (() => void)[] = [];
  let channel: MessageChannel | undefined;
  return (task) => {
    if (channel === undefined) {
      channel = new MessageChannel();
      channel.port1.onmessage = () => tasks.shift()?.();
    }
    tasks.push(task);
    channel.port2.postMessage(null);
  };
}

const origin = performance.timeOrigin;
let later: ((task: () => void) => void) | undefined;

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => origin + performance.now(),
  after(ms, task) {
    const timer = setTimeout(task, ms);
    (timer as NodeTimer).unref?.();
    return () => clearTimeout(timer);
  },
  soon(task) {
    const { setImmediate } = globalThis as Host;
    if (setImmediate !== undefined) setImmediate(task);
    else {
      later ??= soonByMessage();
      later(task);
    }
  },
};
