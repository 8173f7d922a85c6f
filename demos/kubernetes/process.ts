import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { PassThrough, type Readable, Writable } from 'node:stream';

/** A terminal's size, in characters. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** A process that runs, with or without a terminal. */
export interface Process {
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** A terminal has none of its own: its process writes everything to `stdout`. */
  readonly stderr: Readable | undefined;
  /** Its exit code, once all of its output is out; 128 + n if signal n ended it. Rejects if it could not start. */
  readonly exited: Promise<number>;
  /** Only terminals have a size. */
  resize(size: Size): void;
  /** Ends it, and whatever it has started. */
  kill(): void;
}

export async function start(command: readonly string[], folder: string, tty: boolean): Promise<Process> {
  return tty ? await startOnTerminal(command, folder) : startOnPipes(command, folder);
}

function startOnPipes([file = '', ...args]: readonly string[], folder: string): Process {
  // A group of its own: killing it reaches the children too.
  const child = spawn(file, args, { cwd: folder, detached: true });
  // Whoever does not read its input is nobody's error.
  child.stdin.on('error', () => {});
  let isOver = false;
  const exited = once(child, 'close').then(([code, signal]) => {
    isOver = true;
    return code ?? 128 + constants.signals[signal as NodeJS.Signals];
  });
  exited.catch(() => {
    isOver = true;
  });
  return {
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    exited,
    resize: () => {},
    kill: () => {
      if (!isOver && child.pid !== undefined) end(-child.pid);
    },
  };
}

const typicalSize: Size = { columns: 80, rows: 24 };
/** What a terminal's user types to say that there is no more: Ctrl-D. */
const endOfInput = '\x04';

async function startOnTerminal([file = '', ...args]: readonly string[], folder: string): Promise<Process> {
  const { spawn: spawnOnTerminal } = await import('@lydell/node-pty');
  const { columns: cols, rows } = typicalSize;
  // Bytes, not text: a chunk may end within a character.
  const terminal = spawnOnTerminal(file, args, { cwd: folder, cols, rows, name: 'xterm', encoding: null });
  const stdout = new PassThrough();
  terminal.onData((chunk: string | Uint8Array) => {
    if (!stdout.write(chunk)) terminal.pause();
  });
  stdout.on('drain', () => terminal.resume());
  let isOver = false;
  const exited = new Promise<number>((resolve) => {
    terminal.onExit(({ exitCode, signal }) => {
      isOver = true;
      stdout.end();
      resolve(signal ? 128 + signal : exitCode);
    });
  });
  const stdin = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      if (!isOver) terminal.write(chunk as Buffer & string);
      done();
    },
    final: (done) => {
      if (!isOver) terminal.write(endOfInput);
      done();
    },
  });
  return {
    stdin,
    stdout,
    stderr: undefined,
    exited,
    resize: (size) => {
      if (!isOver) terminal.resize(size.columns, size.rows);
    },
    kill: () => {
      if (!isOver) end(-terminal.pid);
    },
  };
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended by itself.
  }
}
