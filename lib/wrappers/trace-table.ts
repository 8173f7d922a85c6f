import type { ResetCode, StreamState } from '../api.js';
import type { TraceData, TraceEvent, TraceStats } from './trace-events.js';

/** What a trace says of one stream. */
export interface TraceRow {
  readonly id: number;
  readonly origin: 'local' | 'remote';
  readonly label: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly openedAt: number;
  state: StreamState;
  /** When it was closed or reset. */
  endedAt: number | undefined;
  code: ResetCode | undefined;
  isResetByPeer: boolean;
  /** The side that is stalled now. */
  stalled: 'send' | 'receive' | undefined;
  stats: TraceStats | undefined;
}

/**
 * The table of streams that the events of one connection lead to, one by one: the same after a replay as it was live. Events
 * that it does not know, and streams whose beginning is not in the trace, leave it as it is. A trace of several connections
 * makes a table of each: `readTrace().connections`.
 */
export class TraceTable {
  readonly rows: Map<number, TraceRow> = new Map();

  apply({ time, name, data }: TraceEvent): void {
    if (name === 'rxmux:stream_opened') {
      if (!this.rows.has(data.stream_id)) this.rows.set(data.stream_id, rowOf(data));
      return;
    }
    if (name === 'rxmux:stats') {
      for (const { stream_id, state, ...stats } of data.streams) {
        const row = this.rows.get(stream_id);
        if (row !== undefined) Object.assign(row, { state, stats });
      }
      return;
    }
    const row = 'stream_id' in data ? this.rows.get(data.stream_id) : undefined;
    if (row === undefined) return;
    switch (name) {
      case 'rxmux:stream_replied':
      case 'rxmux:stream_half_closed':
        row.state = data.state;
        break;
      case 'rxmux:stream_closed':
        Object.assign(row, { state: 'closed', endedAt: time, stats: data.stats, stalled: undefined });
        break;
      case 'rxmux:stream_reset':
        Object.assign(row, { state: 'reset', endedAt: time, stats: data.stats, stalled: undefined });
        row.code = data.code;
        row.isResetByPeer = data.remote;
        break;
      case 'rxmux:stream_stalled':
        row.stalled = data.side;
        break;
      case 'rxmux:stream_resumed':
        row.stalled = undefined;
        break;
    }
  }
}

function rowOf(opened: TraceData['rxmux:stream_opened']): TraceRow {
  const { stream_id, origin, label, headers, opened_at, state } = opened;
  return {
    id: stream_id,
    origin,
    label,
    headers,
    openedAt: opened_at,
    state,
    endedAt: undefined,
    code: undefined,
    isResetByPeer: false,
    stalled: undefined,
    stats: undefined,
  };
}
