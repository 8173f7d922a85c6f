import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
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
  /** Ends it, and whatever it has started. A shell that people type into has groups of its own: those are hung up. */
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

/**
 * Node takes a terminal whose last process has ended for empty while it still holds output, and node-pty gives it up
 * 200 ms after that in any case. So a shell keeps it until we have read a mark and the exit code behind all of the
 * output; signals that the terminal sends are for the command alone. What else is typed there goes nowhere.
 */
const holder = `mark=$1; shift
trap : HUP INT QUIT TERM
(exec "$@")
code=$?
trap '' TTOU
stty raw -echo
printf '%s%03d' "$mark" $code
while read -r _; do :; done`;
/** The digits of an exit code. */
const codeBytes = 3;

async function startOnTerminal(command: readonly string[], folder: string): Promise<Process> {
  const { spawn: spawnOnTerminal } = await import('@lydell/node-pty');
  const { columns: cols, rows } = typicalSize;
  // It begins with what hardly anything ends with: that would be held back until more comes.
  const mark = Buffer.from(`\x1f${randomBytes(16).toString('hex')}`);
  // Bytes, not text: a chunk may end within a character.
  const options = { cwd: folder, cols, rows, name: 'xterm', encoding: null };
  const terminal = spawnOnTerminal('sh', ['-c', holder, 'sh', mark.toString(), ...command], options);
  const stdout = new PassThrough();
  let isOver = false;
  let code: number | undefined;
  /** What may be the beginning of the mark. */
  let held = Buffer.alloc(0);
  terminal.onData((chunk: string | Uint8Array) => {
    if (isOver) return;
    const bytes = Buffer.concat([held, chunk as Uint8Array]);
    const at = bytes.indexOf(mark);
    const size = at === -1 ? bytes.length - overlap(bytes, mark) : at;
    held = bytes.subarray(size);
    const hasRoom = stdout.write(bytes.subarray(0, size));
    if (held.length >= mark.length + codeBytes) {
      isOver = true;
      code = Number(held.subarray(mark.length, mark.length + codeBytes));
      end(terminal.pid);
    } else if (!hasRoom) terminal.pause();
  });
  stdout.on('drain', () => terminal.resume());
  const exited = new Promise<number>((resolve) => {
    terminal.onExit(({ exitCode, signal }) => {
      isOver = true;
      stdout.end();
      resolve(code ?? (signal ? 128 + signal : exitCode));
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

/** How many bytes at the end of `bytes` may be the beginning of `mark`. */
function overlap(bytes: Buffer, mark: Buffer): number {
  let count = Math.min(bytes.length, mark.length - 1);
  while (count > 0 && !bytes.subarray(-count).equals(mark.subarray(0, count))) count--;
  return count;
}

/** By a number below 0: the whole group. */
function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended by itself.
  }
}
