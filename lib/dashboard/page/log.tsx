import type { VNode } from 'preact';
import { useRef, useState } from 'preact/hooks';
import { type Filter, type Filterable, parseFilter } from './filter.js';
import { bytes, count, time } from './format.js';
import type { LogLine, Store } from './store.js';
import { VirtualList } from './virtual-list.js';

const rowHeight = 26;

/** A line of the log, as a filter sees it. */
class FilterableLine implements Filterable {
  line: LogLine = { frame: [0, 0, 0, '', 0, 0, 0] };
  store!: Store;

  get text(): string {
    if ('frame' in this.line) {
      const [, , direction, name, id, length] = this.line.frame;
      return `${direction === 0 ? 'in' : 'out'} ${name} #${id} ${length}`.toLowerCase();
    }
    const [, type, , , detail] = this.line.event;
    return `${type} #${this.field('id')} ${this.#row()?.label ?? ''} ${detail}`.toLowerCase();
  }

  field(name: string): string | number | undefined {
    if ('frame' in this.line) {
      const [, connection, direction, frame, id, length, flags] = this.line.frame;
      switch (name) {
        case 'is':
          return 'frame';
        case 'name':
          return frame;
        case 'dir':
          return direction === 0 ? 'in' : 'out';
        case 'id':
        case 'stream':
          return id;
        case 'conn':
          return connection;
        case 'length':
          return length;
        case 'flags':
          return flags;
      }
      return undefined;
    }
    const [, type, connection] = this.line.event;
    switch (name) {
      case 'is':
        return 'event';
      case 'name':
        return type;
      case 'id':
      case 'stream':
        return this.#row()?.id ?? 0;
      case 'conn':
        return connection;
    }
    return undefined;
  }

  #row() {
    return 'event' in this.line ? this.store.rows.get(this.line.event[3]) : undefined;
  }
}

/** The lines that a filter lets through, newest first. */
function matching(store: Store, lines: readonly LogLine[], filter: Filter): LogLine[] {
  const seen = new FilterableLine();
  seen.store = store;
  const found: LogLine[] = [];
  for (let i = lines.length - 1; i >= 0; i--) {
    seen.line = lines[i] as LogLine;
    if (filter(seen)) found.push(seen.line);
  }
  return found;
}

interface Props {
  readonly store: Store;
  readonly query: string;
  readonly connection: number | null;
  readonly onOpen: (key: number) => void;
}

/** Frames and events as they come, newest first. While it is scrolled down, it stands still. */
export function Log({ store, query, connection, onOpen }: Props): VNode {
  const scroller = useRef<HTMLDivElement>(null);
  const [frozen, setFrozen] = useState<{ lines: LogLine[]; seen: number } | null>(null);
  const isDown = (scroller.current?.scrollTop ?? 0) > rowHeight;
  if (isDown && frozen === null) setFrozen({ lines: store.lines.slice(), seen: store.linesSeen });
  if (!isDown && frozen !== null) setFrozen(null);
  const filter = parseFilter(connection === null ? query : `${query} conn:${connection}`);
  const lines = matching(store, frozen?.lines ?? store.lines, filter);
  const fresh = frozen === null ? 0 : store.linesSeen - frozen.seen;
  return (
    <div class="table log" role="table" aria-label="Log" aria-rowcount={lines.length}>
      <div class="row head" role="row">
        {['Time', '', 'Frame or event', 'Stream', 'Size', 'Detail'].map((name) => (
          <div key={name} class={`cell${name === 'Size' ? ' number' : ''}`} role="columnheader">
            {name}
          </div>
        ))}
      </div>
      <VirtualList
        count={lines.length}
        rowHeight={rowHeight}
        scroller={scroller}
        label="log"
        keyOf={(index) => index}
        renderRow={(index) => <Line line={lines[index] as LogLine} store={store} onOpen={onOpen} />}
      >
        {frozen !== null && (
          <button type="button" class="fresh" onClick={() => scroller.current?.scrollTo({ top: 0 })}>
            Standing still · {count(fresh)} new {fresh === 1 ? 'line' : 'lines'} · back to the newest ↑
          </button>
        )}
      </VirtualList>
      {lines.length === 0 && (
        <div class="empty">
          <p>{store.linesSeen === 0 ? 'Nothing has happened yet' : 'No line matches'}</p>
          <p class="hint">Try name:data, dir:in, #5, length&gt;1k, is:event, -credit.</p>
        </div>
      )}
    </div>
  );
}

function Line(props: { line: LogLine; store: Store; onOpen: (key: number) => void }): VNode {
  const { line, store, onOpen } = props;
  if ('frame' in line) {
    const [at, connection, direction, name, id, length, flags] = line.frame;
    return (
      <div class="row frame" role="row">
        <span class="cell">{time(at)}</span>
        <span class={`cell dir ${direction === 0 ? 'in' : 'out'}`}>{direction === 0 ? '↓ in' : '↑ out'}</span>
        <span class="cell name">{name}</span>
        <span class="cell">{id === 0 ? 'connection' : `#${id}`}</span>
        <span class="cell number">{bytes(length)}</span>
        <span class="cell detail">
          {flags === 0 ? '' : `flags 0x${flags.toString(16)}`}
          {store.connections.size > 1 ? ` conn ${connection}` : ''}
        </span>
      </div>
    );
  }
  const [at, type, connection, key, detail] = line.event;
  const row = store.rows.get(key);
  return (
    <div class={`row event ${type}`} role="row" onClick={() => row && onOpen(key)}>
      <span class="cell">{time(at)}</span>
      <span class="cell dir">event</span>
      <span class="cell name">{type}</span>
      <span class="cell">{row === undefined ? (key === 0 ? 'connection' : '') : `#${row.id}`}</span>
      <span class="cell number" />
      <span class="cell detail">
        {type === 'ping' ? `${Number(detail).toFixed(2)} ms` : detail} {row?.label ?? ''}
        {store.connections.size > 1 ? ` conn ${connection}` : ''}
      </span>
    </div>
  );
}
