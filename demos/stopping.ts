/**
 * Aborted once a demo is to end: by Ctrl-C, SIGTERM or SIGHUP, or because nobody reads its output any more, as after
 * `| head`. The process gets the exit code that shells report for the signal, if it has none yet. A second signal of
 * the same kind ends it at once.
 */
export function stopSignal(): AbortSignal {
  const stopping = new AbortController();
  const stopFor = (reason: string, exitCode: number): void => {
    process.exitCode ??= exitCode;
    stopping.abort(new Error(reason));
  };
  process.once('SIGINT', () => stopFor('interrupted', 130));
  process.once('SIGTERM', () => stopFor('told to end', 143));
  process.once('SIGHUP', () => stopFor('the terminal is gone', 129));
  process.stdout.on('error', () => stopFor('the output was closed', 1));
  return stopping.signal;
}
