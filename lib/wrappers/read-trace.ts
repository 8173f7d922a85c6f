import type { TraceEvent, TraceHeader } from './trace-events.js';

/** What `trace()` wrote, or as much of it as there is. */
export interface Trace {
  /** Undefined if the text begins in the middle of a trace. */
  readonly header: TraceHeader | undefined;
  readonly events: readonly TraceEvent[];
  /** Records that were cut off or are no JSON: skipped, as RFC 7464 §2.3 has it, and counted. */
  readonly broken: number;
}

/**
 * Reads a trace back. A file of several traces, one after the other, gives the events of all and the first header. Names
 * that this version does not know are kept: whoever shows a trace skips them.
 */
export function readTrace(text: string): Trace {
  const events: TraceEvent[] = [];
  let header: TraceHeader | undefined;
  let broken = 0;
  for (const part of text.split('\x1e')) {
    if (part.trim() === '') continue;
    const record = parse(part);
    if (record === undefined) broken++;
    else if ('file_schema' in record) header ??= record;
    else events.push(record);
  }
  return { header, events, broken };
}

/** A record without the line break at its end is one whose writer did not come to finish it. */
function parse(part: string): TraceHeader | TraceEvent | undefined {
  if (!part.endsWith('\n')) return undefined;
  try {
    const record: unknown = JSON.parse(part);
    return isRecord(record) ? (record as unknown as TraceHeader | TraceEvent) : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const { file_schema, name, time, data } = value as Record<string, unknown>;
  if (file_schema !== undefined) return true;
  return typeof name === 'string' && typeof time === 'number' && typeof data === 'object' && data !== null;
}
