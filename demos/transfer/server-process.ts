import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { RunningServer, ServerRequest } from './server.js';

/** How long the server may take to close its connections before it is ended. */
const closingMs = 5000;

/** Starts the server in a process of its own, so that neither end's work slows down the other's. */
export async function startProcess(request: ServerRequest): Promise<RunningServer> {
  const child = fork(fileURLToPath(new URL('./server-main.js', import.meta.url)));
  child.send(request);
  const first = await Promise.race([once(child, 'message'), once(child, 'exit').then(() => undefined)]);
  const answer = first?.[0] as ServerAnswer | undefined;
  if (answer === undefined || 'error' in answer) {
    // It says itself why, unless it could not even do that.
    await ended(child);
    throw new Error(answer?.error);
  }
  return { address: answer.address, close: () => ended(child) };
}

/** What the process says first. */
export type ServerAnswer = { readonly address: string } | { readonly error: string };

/** Lets the process go, and waits for it; one that has gone already is an error. */
async function ended(child: ChildProcess): Promise<void> {
  const { exitCode, signalCode } = child;
  if (exitCode !== null || signalCode !== null) {
    throw new Error(`the server's process ended too early (${signalCode ?? `exit code ${exitCode}`})`);
  }
  const exit = once(child, 'exit');
  const timer = setTimeout(() => child.kill('SIGKILL'), closingMs);
  if (child.connected) child.disconnect();
  await exit;
  clearTimeout(timer);
}
