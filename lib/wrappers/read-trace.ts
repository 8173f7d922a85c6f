import type { TraceEvent, TraceHeader } from './trace-events.js';
import { isWhole } from './trace-shapes.js';

/** What `trace()` wrote, or as much of it as there is. */
export interface Trace {
  /** The first one. Undefined if the text begins in the middle of a trace. */
  readonly header: TraceHeader | undefined;
  /** Those of every connection, in the order they were written. */
  readonly events: readonly TraceEvent[];
  /** In the order they began. */
  readonly connections: readonly TracedConnection[];
  /** Records that were cut off, are no JSON, or lack what their events have: skipped, as RFC 7464 §2.3 has it, and counted. */
  readonly broken: number;
}

/** What a trace says of one connection. */
export interface TracedConnection {
  /** What it is called. One that was traced later under the same name is a connection of its own. */
  readonly group: string;
  readonly header: TraceHeader | undefined;
  readonly events: readonly TraceEvent[];
}

/**
 * Reads a trace back. A file may have any number of connections, one after the other or all at once. Names of events that
 * this version does not know are kept: whoever shows a trace skips them.
 */
export function readTrace(text: string): Trace {
  const events: TraceEvent[] = [];
  const connections = new Connections();
  let header: TraceHeader | undefined;
  let broken = 0;
  for (const part of text.split('\x1e')) {
    if (part.trim() === '') continue;
    const record = parse(part);
    if (record === undefined) broken++;
    else if ('file_schema' in record) {
      header ??= record;
      connections.announce(record);
    } else {
      const event = connections.named(record);
      events.push(event);
      connections.of(event).events.push(event);
    }
  }
  return { header, events, connections: connections.all, broken };
}

interface Gathering extends TracedConnection {
  readonly events: TraceEvent[];
  /** It is known how it began. */
  isStarted: boolean;
}

/** Sorts events by connection. */
class Connections {
  readonly all: Gathering[] = [];
  /** The last one of each name. */
  readonly #last: Map<string, Gathering> = new Map();
  readonly #headers: Map<string, TraceHeader> = new Map();
  #group = '';

  announce(header: TraceHeader): void {
    const group: unknown = header.trace?.common_fields?.group_id;
    this.#group = typeof group === 'string' ? group : '';
    this.#headers.set(this.#group, header);
  }

  /** An event that does not say which connection it is about is of the one that was announced last. */
  named(event: TraceEvent): TraceEvent {
    return typeof event.group_id === 'string' ? event : { ...(event as TraceEvent), group_id: this.#group };
  }

  of({ group_id: group, name }: TraceEvent): Gathering {
    const isStart = name === 'rxmux:connection_started';
    let last = this.#last.get(group);
    if (last === undefined || (isStart && last.isStarted)) {
      last = { group, header: this.#headers.get(group), events: [], isStarted: false };
      this.#last.set(group, last);
      this.all.push(last);
    }
    last.isStarted ||= isStart;
    return last;
  }
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
  const record = value as Record<string, unknown>;
  return record.file_schema !== undefined || isWhole(record);
}
