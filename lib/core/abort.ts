/** What is to be done when a signal is aborted: one listener for all, since Node warns of more than ten. */
class Tasks extends Set<(reason: unknown) => void> {
  handleEvent(event: Event): void {
    for (const task of [...this]) task((event.target as AbortSignal).reason);
  }
}

const tasksOf: WeakMap<AbortSignal, Tasks> = new WeakMap();

const nothing = (): void => {};

/** Calls `task` once `signal` is aborted, or now if it is; the function given back takes it off again. */
export function onAbort(signal: AbortSignal | undefined, task: (reason: unknown) => void): () => void {
  if (signal === undefined) return nothing;
  if (signal.aborted) {
    task(signal.reason);
    return nothing;
  }
  let tasks = tasksOf.get(signal);
  if (tasks === undefined) {
    tasks = new Tasks();
    tasksOf.set(signal, tasks);
  }
  const all = tasks;
  if (all.size === 0) signal.addEventListener('abort', all, { once: true });
  all.add(task);
  return () => {
    all.delete(task);
    if (all.size === 0) signal.removeEventListener('abort', all);
  };
}
