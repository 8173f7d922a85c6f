import type { VNode } from 'preact';
import { useRef } from 'preact/hooks';
import { blocks, unlimited } from '../messages.js';
import { bytes, counted, duration, rate } from './format.js';
import type { Row, Store } from './store.js';
import { useKeys } from './use-keys.js';
import { type TimeRange, useLanes } from './use-lanes.js';
import { VirtualList } from './virtual-list.js';

/** What the table can be ordered by. */
export type SortKey = 'stream' | 'state' | 'in' | 'out' | 'window' | 'queue' | 'age' | 'blocked';
export interface Sort {
  readonly key: SortKey;
  readonly isFalling: boolean;
}

interface Props {
  readonly store: Store;
  readonly rows: readonly Row[];
  readonly isPhone: boolean;
  /** Wide lanes and few columns. */
  readonly isTimeline: boolean;
  readonly sort: Sort;
  readonly onSort: (key: SortKey) => void;
  readonly selected: number | null;
  readonly onSelect: (key: number | null) => void;
  readonly onOpen: (key: number) => void;
  readonly timeRange: () => TimeRange;
  readonly beat: number;
}

const columns: readonly {
  key: SortKey;
  name: string;
  hint: string;
  isNumber?: boolean;
  inTimeline?: boolean;
}[] = [
  { key: 'stream', name: 'Stream', hint: 'id and label, headers', inTimeline: true },
  { key: 'state', name: 'State', hint: 'opening, open, half-closed, closed, reset', inTimeline: true },
  { key: 'in', name: 'In', hint: 'bytes received, and their rate', isNumber: true },
  { key: 'out', name: 'Out', hint: 'bytes sent, and their rate', isNumber: true },
  {
    key: 'window',
    name: 'Window left',
    hint: 'what may be sent, and received, before more credit is needed',
    isNumber: true,
  },
  { key: 'queue', name: 'Queue', hint: 'bytes that wait: to be read, to be sent', isNumber: true },
  { key: 'age', name: 'Age', hint: 'since it was opened, until it was over', isNumber: true },
  { key: 'blocked', name: 'Blocked on', hint: 'what the stream waits for', inTimeline: true },
];

/** Heights of a row, as in the style sheet. */
const rowHeight = 40;
const phoneRowHeight = 88;

/** The table of streams, each with its lane. */
export function Streams(props: Props): VNode {
  const { store, rows, isPhone, isTimeline, sort, onSort, selected, onSelect, onOpen } = props;
  const height = isPhone ? phoneRowHeight : rowHeight;
  const scroller = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const shown = useRef(props);
  shown.current = props;
  useLanes(canvas, scroller, shown, height);

  const move = (by: number): void => {
    const index = rows.findIndex(({ key }) => key === selected);
    const next = Math.min(rows.length - 1, Math.max(0, index + by));
    const row = rows[next];
    if (row === undefined) return;
    onSelect(row.key);
    // Enter is then meant for the row.
    scroller.current?.focus({ preventScroll: true });
    show(scroller.current, next, height);
  };
  const page = (): number => Math.floor((scroller.current?.clientHeight ?? 0) / height);
  useKeys({
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    j: () => move(1),
    k: () => move(-1),
    PageDown: () => move(page()),
    PageUp: () => move(-page()),
    Home: () => move(-rows.length),
    End: () => move(rows.length),
    Enter: () => selected !== null && onOpen(selected),
  });

  const head = columns.filter(({ inTimeline }) => !isTimeline || inTimeline);
  const now = store.now();
  return (
    <div
      class={`table${isTimeline ? ' timeline' : ''}`}
      role="table"
      aria-label="Streams"
      aria-rowcount={rows.length}
    >
      <div class="row head" role="row">
        {head.map(({ key, name, hint, isNumber }) => (
          <div
            key={key}
            class={`cell ${key}${isNumber ? ' number' : ''}`}
            role="columnheader"
            aria-sort={sort.key !== key ? 'none' : sort.isFalling ? 'descending' : 'ascending'}
          >
            <button type="button" class="sort" title={hint} onClick={() => onSort(key)}>
              {name}
              {sort.key === key && <span class="arrow">{sort.isFalling ? '↓' : '↑'}</span>}
            </button>
          </div>
        ))}
        <div class="cell lane axis" role="columnheader">
          <Axis {...props.timeRange()} isReplay={store.fixedNow !== null} />
        </div>
      </div>
      <VirtualList
        count={rows.length}
        rowHeight={height}
        scroller={scroller}
        label="streams"
        beat={props.beat}
        keyOf={(index) => (rows[index] as Row).key}
        renderRow={(index) => {
          const row = rows[index] as Row;
          return (
            <StreamLine
              row={row}
              now={now}
              protocol={store.connections.get(row.connection)?.protocol ?? ''}
              connection={store.connections.size > 1 ? row.connection : 0}
              isTimeline={isTimeline}
              isSelected={row.key === selected}
              onOpen={onOpen}
            />
          );
        }}
      >
        <canvas class="lanes" ref={canvas} aria-hidden="true" />
      </VirtualList>
      {rows.length === 0 && <Empty store={store} />}
    </div>
  );
}

interface LineProps {
  readonly row: Row;
  readonly now: number;
  readonly protocol: string;
  readonly connection: number;
  readonly isTimeline: boolean;
  readonly isSelected: boolean;
  readonly onOpen: (key: number) => void;
}

function StreamLine({ row, now, protocol, connection, isTimeline, isSelected, onOpen }: LineProps): VNode {
  const isOver = row.endedAt !== null;
  const preview = row.headers.map(([name, value]) => `${name}: ${value}`).join('  ');
  return (
    <div
      class={`row${isOver ? ' over' : ''}${isSelected ? ' selected' : ''}`}
      role="row"
      aria-selected={isSelected}
      data-key={row.key}
      data-id={row.id}
      onClick={() => onOpen(row.key)}
    >
      <Cell name="stream">
        <span
          class={`side ${row.origin}`}
          title={row.origin === 'local' ? 'opened by this end' : 'opened by the peer'}
        >
          {row.origin === 'local' ? '↗' : '↙'}
        </span>
        <span class="names">
          <span class="label">
            <b>#{row.id}</b> {row.label === `${protocol}#${row.id}` ? '' : row.label}
            <i class="protocol">
              {protocol}
              {connection > 0 && ` · ${connection}`}
            </i>
          </span>
          <span class="preview">{preview || 'no headers'}</span>
        </span>
      </Cell>
      <Cell name="state">
        <StateTag row={row} />
      </Cell>
      {!isTimeline && (
        <>
          <Amount name="in" bytes={row.bytesIn} rate={row.rateIn} />
          <Amount name="out" bytes={row.bytesOut} rate={row.rateOut} />
          <Cell name="window" isNumber>
            <span>{isOver ? '–' : windowText(row.sendWindow)}</span>
            <small>{isOver ? '' : `in ${windowText(row.receiveWindow)}`}</small>
          </Cell>
          <Cell name="queue" isNumber>
            <span>{row.queuedOut === 0 ? '–' : bytes(row.queuedOut)}</span>
            <small>{row.queuedIn > 0 ? `in ${bytes(row.queuedIn)}` : ''}</small>
          </Cell>
          <Cell name="age" isNumber>
            {duration((row.endedAt ?? now) - row.openedAt)}
          </Cell>
        </>
      )}
      <Cell name="blocked">
        <BlockBadge row={row} now={now} />
      </Cell>
      <Cell name="lane">{null}</Cell>
    </div>
  );
}

function Cell(props: { name: string; isNumber?: boolean; children: preact.ComponentChildren }): VNode {
  return (
    <div class={`cell ${props.name}${props.isNumber ? ' number' : ''}`} role="cell">
      {props.children}
    </div>
  );
}

function Amount(props: { name: 'in' | 'out'; bytes: number; rate: number }): VNode {
  return (
    <Cell name={props.name} isNumber>
      <span title={counted(props.bytes, 'byte')}>{props.bytes === 0 ? '–' : bytes(props.bytes)}</span>
      <small class={`rate-${props.name}`}>{props.rate >= 1 ? rate(props.rate) : ''}</small>
    </Cell>
  );
}

function windowText(window: number): string {
  return window === unlimited ? 'no limit' : bytes(window);
}

const stateNames: Readonly<Record<string, string>> = {
  'half-closed-local': 'half-closed',
  'half-closed-remote': 'half-closed',
};
const stateDetails: Readonly<Record<string, string>> = {
  'half-closed-local': 'by this end',
  'half-closed-remote': 'by the peer',
};

/** A stream's state, and for a reset why. */
export function StateTag({ row }: { row: Row }): VNode {
  const detail = row.state === 'reset' ? row.resetDetail : stateDetails[row.state];
  return (
    <span class={`state-tag ${row.state}`} title={row.resetDetail}>
      <span class="names">
        <span>{stateNames[row.state] ?? row.state}</span>
        {detail && <small>{detail}</small>}
      </span>
    </span>
  );
}

const blockHints: Readonly<Record<string, string>> = {
  window: 'the peer gives no credit: it reads too slowly, or not at all',
  transport: 'the socket takes no more for now',
  reader: 'bytes have arrived, and nobody here takes them',
};

/** What a stream waits for, and how long it has. */
export function BlockBadge({ row, now }: { row: Row; now: number }): VNode {
  const block = blocks[row.block] ?? '';
  if (block === '') return <span class="unblocked">–</span>;
  return (
    <span class={`badge ${block}`} title={blockHints[block]}>
      {block} <small>{duration(now - row.blockedSince)}</small>
    </span>
  );
}

function Axis({ from, to, isReplay }: TimeRange & { isReplay: boolean }): VNode {
  const names = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    if (isReplay) return `+${duration((to - from) * part)}`;
    return part === 1 ? 'now' : `−${Math.round(((to - from) * (1 - part)) / 100) / 10} s`;
  });
  return (
    <span class="ticks">
      {names.map((name) => (
        <span key={name}>{name}</span>
      ))}
    </span>
  );
}

function Empty({ store }: { store: Store }): VNode {
  const isQuiet = store.rows.size === 0;
  return (
    <div class="empty">
      <p>{isQuiet ? 'No stream yet' : 'No stream matches'}</p>
      <p class="hint">
        {isQuiet
          ? 'A row appears here as soon as either end opens one. You can also drop a trace file on this page.'
          : 'Press Escape in the filter to see all of them again.'}
      </p>
    </div>
  );
}

/** Brings a row into view. */
function show(scroller: HTMLElement | null, index: number, height: number): void {
  if (scroller === null) return;
  const top = index * height;
  if (top < scroller.scrollTop) scroller.scrollTop = top;
  else if (top + height > scroller.scrollTop + scroller.clientHeight) {
    scroller.scrollTop = top + height - scroller.clientHeight;
  }
}
