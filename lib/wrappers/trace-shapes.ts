import type { TraceData, TraceEventName, TraceStats } from './trace-events.js';

type Check = (value: unknown) => boolean;

/** A check for every member that is always there. */
type Shape<T> = {
  readonly [Name in keyof T as Record<never, never> extends Pick<T, Name> ? never : Name]: Check;
};

const isText: Check = (value) => typeof value === 'string';
const isNumber: Check = (value) => Number.isFinite(value);
const isFlag: Check = (value) => typeof value === 'boolean';
const isObject: Check = (value) => typeof value === 'object' && value !== null;
const isCode: Check = (value) => isText(value) || isNumber(value);
const isHeader: Check = (value) => listOf(isText)(value) && (value as string[]).length === 2;

function orNull(check: Check): Check {
  return (value) => value === null || check(value);
}

function listOf(check: Check): Check {
  return (value) => Array.isArray(value) && value.every((each) => check(each));
}

function objectOf(shape: Readonly<Record<string, Check>>): Check {
  const checks = Object.entries(shape);
  return (value) => isObject(value) && checks.every(([name, check]) => check((value as Data)[name]));
}

type Data = Readonly<Record<string, unknown>>;

const ofStream = { stream_id: isNumber };
const ofFigures: Shape<TraceStats> = {
  bytes_in: isNumber,
  bytes_out: isNumber,
  queued_in: isNumber,
  queued_out: isNumber,
  receive_window: isNumber,
  send_window: orNull(isNumber),
  blocked_on: orNull(isText),
};
const ofEnd = { ...ofStream, stats: objectOf(ofFigures) };

/** What is in the data of each event, as far as those rely on it who show a trace. docs/trace.schema.json says more. */
const shapes: { readonly [Name in TraceEventName]: Shape<TraceData[Name]> } = {
  'rxmux:connection_started': { protocol: isText, role: isText, features: isObject },
  'rxmux:stream_opened': {
    ...ofStream,
    origin: isText,
    label: isText,
    headers: listOf(isHeader),
    state: isText,
    opened_at: isNumber,
  },
  'rxmux:stream_replied': { ...ofStream, state: isText },
  'rxmux:stream_half_closed': { ...ofStream, state: isText },
  'rxmux:stream_closed': ofEnd,
  'rxmux:stream_reset': { ...ofEnd, remote: isFlag, code: isCode },
  'rxmux:stream_stalled': { ...ofStream, side: isText },
  'rxmux:stream_resumed': { ...ofStream, side: isText },
  'rxmux:stats': { streams: listOf(objectOf({ ...ofStream, state: isText, ...ofFigures })) },
  'rxmux:ping': { rtt: isNumber },
  'rxmux:goaway': { remote: isFlag, last_id: isNumber },
  'rxmux:frame': { ...ofStream, direction: isText, frame: isText, length: isNumber, flags: isNumber },
  'rxmux:connection_closed': {},
};

const checks: ReadonlyMap<string, Check> = new Map(
  Object.entries(shapes).map(([name, shape]) => [name, objectOf(shape)]),
);

/** Whether an event has what its name promises. One that this version does not know may have anything. */
export function isWhole({ time, name, data }: Data): boolean {
  if (!isNumber(time) || !isText(name) || !isObject(data)) return false;
  return checks.get(name as string)?.(data) ?? true;
}
