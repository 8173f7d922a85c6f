import { parseArgs } from 'node:util';
import { wholeNumber } from '../whole-number.js';
import { type Scenario, scenarios } from './scenarios.js';

/** What the command line asks for. */
export interface Options {
  readonly help: boolean;
  /** Files and folders; none means the default ones. */
  readonly paths: readonly string[];
  /** Open at the same time. */
  readonly streams: number;
  readonly scenarios: readonly Scenario[];
  /** Ends when the table is there, without a dashboard. */
  readonly once: boolean;
  /** Of the dashboard; 0 is any. */
  readonly port: number;
}

/** The caller's mistake, as opposed to a transfer's. */
export class UsageError extends Error {}

/** A few more than the hundred that the job promises. */
const defaultStreams = 128;
/** Each open stream has a file open. Many systems allow a process 1024. */
const mostStreams = 500;

const words = [...new Set(scenarios.flatMap(({ protocol, transport }) => [protocol, transport]))];

export const helpText: string = `Usage: npm start -- [options] [file or folder ...]

Moves files from a client to a server and back, over many streams of one connection at once, with every
protocol over every transport that rxmux has. Client and server are two processes on this machine. Each
stream carries a file, or a part of a large one; the client reads it from the disk and the server sends
back what it gets, both at the pace of the slower side. A stream is verified if three SHA-256 digests
agree: of what was read, of what the server got, and of what came back.

Without arguments it moves the running node executable and this repository's own files. Folders are
searched for files; symbolic links in them are not followed.

  --streams <n>   how many streams are open at once, 1 to ${mostStreams} (default ${defaultStreams}); large files
                  are cut into enough parts for that
  --only <word>   only what this word names, of: ${words.join(', ')}; may be repeated
  --once          no dashboard: exit when the table is there
  --port <n>      where the dashboard is, on 127.0.0.1 (default: a free port)
  --help          this text

While it works, and until Ctrl-C, a dashboard shows every stream: open the address that it prints.
It draws a progress bar on a terminal and writes plain lines elsewhere; NO_COLOR=1 leaves out the colours.
The table counts each byte once, although it travels both ways.

Exit code: 0 if everything was verified, 1 if anything was not, 2 for wrong arguments.
`;

/** Reads the arguments; throws a UsageError that says what to do instead. */
export function readOptions(args: readonly string[]): Options {
  const { values, positionals } = parse(args);
  return {
    help: values.help,
    paths: positionals,
    streams: countOf(values.streams),
    scenarios: chosenBy(values.only),
    once: values.once,
    port: portOf(values.port),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        streams: { type: 'string', default: String(defaultStreams) },
        only: { type: 'string', multiple: true, default: [] },
        once: { type: 'boolean', default: false },
        port: { type: 'string', default: '0' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    throw new UsageError(`${(error as Error).message}. Try --help`);
  }
}

function countOf(text: string): number {
  const streams = wholeNumber(text);
  if (streams >= 1 && streams <= mostStreams) return streams;
  throw new UsageError(`--streams is a whole number from 1 to ${mostStreams}, not "${text}"`);
}

function portOf(text: string): number {
  const port = wholeNumber(text);
  if (port <= 65_535) return port;
  throw new UsageError(`--port is a whole number from 0 to 65535, not "${text}"`);
}

/** Words for protocols widen the choice among protocols, those for transports among transports. */
function chosenBy(only: readonly string[]): Scenario[] {
  for (const word of only) {
    if (!words.includes(word)) throw new UsageError(`--only takes ${words.join(', ')}, not "${word}"`);
  }
  const isWanted = (word: string, kind: 'protocol' | 'transport'): boolean => {
    const chosen = only.filter((each) => scenarios.some((scenario) => scenario[kind] === each));
    return chosen.length === 0 || chosen.includes(word);
  };
  const chosen = scenarios.filter(
    ({ protocol, transport }) => isWanted(protocol, 'protocol') && isWanted(transport, 'transport'),
  );
  if (chosen.length === 0) throw new UsageError(`--only ${only.join(' --only ')} leaves nothing`);
  return chosen;
}
