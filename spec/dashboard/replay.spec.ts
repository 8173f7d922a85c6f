import { readTrace, type StreamState, TraceTable, trace } from 'rxmux';
import { blocks, unlimited } from '../../lib/dashboard/messages.js';
import { Replay } from '../../lib/dashboard/page/replay.js';
import { Store } from '../../lib/dashboard/page/store.js';
import { until } from '../conformance/wait.js';
import { finish, next, two } from '../wrappers/ends.js';

type Figures = readonly [id: number, state: StreamState, ...(number | string | null | undefined)[]];

/** What the page shows of a trace. */
function shown(text: string): Figures[] {
  const store = new Store();
  const replay = new Replay('a trace', text, store);
  replay.seek(replay.to);
  return Array.from(store.rows.values(), (row) => {
    const { id, state, bytesIn, bytesOut, queuedIn, queuedOut, receiveWindow, sendWindow, block } = row;
    return [id, state, bytesIn, bytesOut, queuedIn, queuedOut, receiveWindow, sendWindow, blocks[block]];
  });
}

/** What is in it. */
function traced(text: string): Figures[] {
  const table = new TraceTable();
  for (const event of readTrace(text).events) table.apply(event);
  return Array.from(table.rows.values(), ({ id, state, stats }) => {
    if (stats === undefined) return [id, state, 0, 0, 0, 0, 0, 0, ''];
    const { bytes_in, bytes_out, queued_in, queued_out, receive_window, send_window, blocked_on } = stats;
    const windows = [receive_window, send_window ?? unlimited];
    return [id, state, bytes_in, bytes_out, queued_in, queued_out, ...windows, blocked_on ?? ''];
  });
}

describe('a replay', () => {
  it('keeps the last figures of streams that are replied to and half-closed after them', async () => {
    const { client, server } = two();
    let text = '';
    client.pipe(
      trace(
        (more) => {
          text += more;
        },
        { statsMs: 10 },
      ),
    );
    const blocked = client.newStream();
    blocked.write(new Uint8Array(4 << 20)).catch(() => {});
    const blockedPeer = await next(server);
    const queued = client.newStream();
    const peer = await next(server);
    await peer.write(new Uint8Array(5000));
    await queued.reply;
    await until(() => text.includes('"queued_in":5000'), 'figures of both');
    const before = text;
    await queued.end();
    blockedPeer.accept();
    await blocked.reply;
    const isTold = (): boolean =>
      /stream_half_closed/.test(text) && text.split('stream_replied').length === 3;
    await until(isTold, 'what came after');
    // As a process leaves it that is killed while they are open.
    const later = text.slice(before.length).split('\x1e');
    const killed = before + later.filter((record) => !record.includes('rxmux:stats')).join('\x1e');
    for (const left of [before, killed]) {
      const table = traced(left);
      expect(table.map(([, , , , queuedIn]) => queuedIn)).toEqual([0, 5000]);
      expect(table[0]?.at(-1)).toBe('window');
      expect(shown(left)).toEqual(table);
    }
    expect(traced(killed).map(([, state]) => state)).toEqual(['open', 'half-closed-local']);
    for (const stream of [blocked, queued]) stream.reset();
    await finish(client, server);
  });
});
