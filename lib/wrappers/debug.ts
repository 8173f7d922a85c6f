import type { FrameEvent, ProviderEvent, ProviderOperator, Stream } from '../api.js';
import { type RedactOptions, type Redactor, redactHeaders, redactor } from './redact.js';

export interface DebugOptions extends RedactOptions {
  /** Stands at the beginning of each line. Default: the protocol and the role, `framer client`. */
  name?: string;
  /** A line for every frame too, both directions. Default false. */
  frames?: boolean;
  /** Takes the lines. Default: the console's error output, with names coloured if that is a terminal. */
  log?: (line: string) => void;
  /** False switches it off, at no cost: for a flag that users may set. Default true. */
  enabled?: boolean;
}

/**
 * A readable line for each event, or for every frame. Payloads are never shown, and of headers no value that looks
 * secret. Lines are for people: for a format that programs read there is `trace()`.
 */
export function debug(options: DebugOptions = {}): ProviderOperator {
  return (provider) => {
    if (options.enabled === false) return provider;
    const { protocol, role } = provider.info;
    const name = options.name ?? `${protocol} ${role}`;
    const isColorful = options.log === undefined && hasColors();
    const prefix = isColorful ? `\x1b[${colorOf(name)}m${name}\x1b[0m` : name;
    const log = options.log ?? toConsole;
    const redact = redactor(options);
    const ignore = (): void => {};
    provider.events$.subscribe({ next: (event) => log(`${prefix} ${lineOf(event, redact)}`), error: ignore });
    if (options.frames) {
      provider.frames$.subscribe({ next: (frame) => log(`${prefix} ${frameLine(frame)}`), error: ignore });
    }
    provider.closed.then(
      () => log(`${prefix} closed`),
      (error: unknown) => {
        log(`${prefix} lost: ${quoted(redact(error instanceof Error ? error.message : String(error)))}`);
      },
    );
    return provider;
  };
}

function lineOf(event: ProviderEvent, redact: Redactor): string {
  switch (event.type) {
    case 'ping':
      return `ping ${event.rtt.toFixed(2)} ms`;
    case 'goaway':
      return `goaway by ${event.remote ? 'the peer' : 'us'}, after stream ${event.lastId}`;
    case 'open':
    case 'accept': {
      const { stream } = event;
      const headers = redactHeaders(stream.headers, redact);
      const text = headers.map(([name, value]) => `${name}: ${quoted(value)}`).join(', ');
      return `${titleOf(stream, redact)} ${event.type}${text && ` {${text}}`}`;
    }
    case 'reset':
      return `${titleOf(event.stream, redact)} reset by ${event.remote ? 'the peer' : 'us'} (${event.code})${sumOf(event)}`;
    case 'stall':
    case 'resume':
      return `${titleOf(event.stream, redact)} ${event.type} ${event.side}`;
    case 'close':
      return `${titleOf(event.stream, redact)} close${sumOf(event)}`;
    default:
      return `${titleOf(event.stream, redact)} ${event.type} (${event.stream.state})`;
  }
}

/** A label alone does not say which stream of several it is. */
function titleOf(stream: Stream, redact: Redactor): string {
  const label = redact(stream.label);
  return label.endsWith(`#${stream.id}`) ? quoted(label) : `${quoted(label)}#${stream.id}`;
}

function sumOf({ stream, at }: { stream: Stream; at: number }): string {
  const { bytesIn, bytesOut, openedAt } = stream.stats;
  return `, ${bytesIn} bytes in, ${bytesOut} out, ${Math.max(0, at - openedAt).toFixed(1)} ms`;
}

function frameLine({ direction, name, streamId, length, flags }: FrameEvent): string {
  const arrow = direction === 'out' ? '→' : '←';
  const flagText = flags === 0 ? '' : `, flags 0x${flags.toString(16)}`;
  return `${arrow} ${name} #${streamId}, ${length} bytes${flagText}`;
}

/** What a peer says must not be able to write a line of its own, or to a terminal. */
function quoted(text: string): string {
  if (/^[\w ./:;,=?&@%+*#[\]()-]*$/.test(text)) return text;
  // Terminals take the second set of control characters for escapes too.
  return JSON.stringify(text).replace(
    /[\x7f-\x9f\u2028\u2029]/g,
    (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

const colors = [36, 33, 35, 32, 34] as const;

/** The same name has the same colour, so that the lines of two ends can be told apart. */
function colorOf(name: string): number {
  let sum = 0;
  for (let at = 0; at < name.length; at++) sum += name.charCodeAt(at);
  return colors[sum % colors.length] as number;
}

type ProcessLike = {
  env?: Record<string, string | undefined>;
  stderr?: { isTTY?: boolean };
};

function hasColors(): boolean {
  const { env, stderr } = (globalThis as { process?: ProcessLike }).process ?? {};
  return stderr?.isTTY === true && !env?.NO_COLOR && env?.TERM !== 'dumb';
}

function toConsole(line: string): void {
  // biome-ignore lint/suspicious/noConsole: this is the wrapper whose purpose it is
  console.error(line);
}
