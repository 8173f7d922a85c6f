import type { VNode } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { blocks, unlimited } from '../messages.js';
import { bytes, count, counted, duration, rate, time } from './format.js';
import type { Connection, Mark, Row } from './store.js';
import { BlockBadge, StateTag } from './streams.js';

interface Props {
  readonly row: Row;
  readonly connection: Connection | undefined;
  readonly now: number;
  readonly onClose: () => void;
  readonly onLog: (query: string) => void;
}

/** Everything about one stream. */
export function Detail({ row, connection, now, onClose, onLog }: Props): VNode {
  const close = useRef<HTMLButtonElement>(null);
  useEffect(() => close.current?.focus({ preventScroll: true }), [row.key]);
  const window = (size: number): string => (size === unlimited ? 'no limit' : bytes(size));
  return (
    <aside class="detail" aria-label={`Stream ${row.id}`}>
      <header>
        <span class={`side ${row.origin}`}>{row.origin === 'local' ? '↗' : '↙'}</span>
        <h2>
          #{row.id} <span>{row.label}</span>
        </h2>
        <button
          type="button"
          class="icon"
          ref={close}
          aria-label="Close"
          title="Close (Esc)"
          onClick={onClose}
        >
          ✕
        </button>
      </header>
      <div class="tags">
        <StateTag row={row} />
        {row.block !== 0 && <BlockBadge row={row} now={now} />}
        <button type="button" class="link" onClick={() => onLog(`#${row.id} conn:${row.connection}`)}>
          Show its frames
        </button>
      </div>
      <dl class="facts">
        <Fact name="Connection">
          {connection?.protocol} · {connection?.name ?? connection?.remote ?? row.connection}
        </Fact>
        <Fact name="Opened">
          {row.origin === 'local' ? 'by this end' : 'by the peer'} at {time(row.openedAt)}
        </Fact>
        <Fact name="Age">{duration((row.endedAt ?? now) - row.openedAt)}</Fact>
        <Fact name="Received">
          {bytes(row.bytesIn)} {row.rateIn >= 1 && <em class="rate-in">{rate(row.rateIn)}</em>}
        </Fact>
        <Fact name="Sent">
          {bytes(row.bytesOut)} {row.rateOut >= 1 && <em class="rate-out">{rate(row.rateOut)}</em>}
        </Fact>
        <Fact name="Unread here">{bytes(row.queuedIn)}</Fact>
        <Fact name="Queued to send">{bytes(row.queuedOut)}</Fact>
        <Fact name="May still send">{window(row.sendWindow)}</Fact>
        <Fact name="May still receive">{window(row.receiveWindow)}</Fact>
      </dl>
      <Waited row={row} now={now} />
      <h3>Headers</h3>
      {row.headers.length === 0 ? (
        <p class="hint">It was opened without any.</p>
      ) : (
        <dl class="headers">
          {row.headers.map(([name, value], index) => (
            <Fact name={name} key={index}>
              {value}
            </Fact>
          ))}
        </dl>
      )}
      <h3>What happened</h3>
      <ol class="marks">
        {row.marks.map((mark, index) => (
          <li key={index} class={mark.type}>
            <time>{`+${duration(mark.at - row.openedAt)}`}</time> {markName(mark)}
          </li>
        ))}
        {row.marks.length === 0 && <li class="hint">Nothing since this page is open.</li>}
      </ol>
    </aside>
  );
}

function Fact(props: { name: string; children: preact.ComponentChildren }): VNode {
  return (
    <div>
      <dt>{props.name}</dt>
      <dd>{props.children}</dd>
    </div>
  );
}

/** Where the time of a stream has gone, as far as the page saw it. */
function Waited({ row, now }: { row: Row; now: number }): VNode {
  const life = Math.max(1, (row.endedAt ?? now) - row.openedAt);
  const waited = row.waited.map((ms, block) =>
    block === row.block && block > 0 ? ms + now - row.blockedSince : ms,
  );
  const named = blocks.slice(1).map((block, index) => ({ block, ms: waited[index + 1] ?? 0 }));
  const total = named.reduce((sum, { ms }) => sum + ms, 0);
  return (
    <>
      <h3>
        Waited{' '}
        {total > 0
          ? `${Math.min(100, Math.round((total / life) * 100))} % of its life`
          : 'for nothing so far'}
      </h3>
      <div class="waited">
        {named.map(({ block, ms }) => (
          <span key={block} class={block} style={{ width: `${Math.min(100, (ms / life) * 100)}%` }} />
        ))}
      </div>
      <ul class="legend">
        {named.map(({ block, ms }) => (
          <li key={block} class={block}>
            {block} <b>{duration(ms)}</b>
          </li>
        ))}
      </ul>
    </>
  );
}

const names: Readonly<Record<Mark['type'], string>> = {
  open: 'opened by this end',
  accept: 'opened by the peer',
  reply: 'answered',
  'end-in': 'the peer sends no more',
  'end-out': 'this end sends no more',
  reset: 'reset',
  close: 'closed',
  stall: 'stalled',
  resume: 'goes on',
};

function markName({ type, detail }: Mark): string {
  const isTold = type === 'reset' || type === 'stall' || type === 'resume';
  return isTold && detail !== '' ? `${names[type]}: ${detail}` : names[type];
}

/** For the notices above the table. */
export function omissions(omitted: {
  frames: number;
  seen: number;
  events: number;
  streams: number;
  rows: number;
}): string[] {
  const notices: string[] = [];
  if (omitted.frames > 0) {
    const all = counted(omitted.seen, 'frame');
    notices.push(`sampled: ${count(omitted.seen - omitted.frames)} of ${all} are listed, some of every kind`);
  }
  if (omitted.events > 0) notices.push(`${counted(omitted.events, 'event')} came too fast to be listed`);
  if (omitted.streams > 0)
    notices.push(`${counted(omitted.streams, 'short stream')} came and went without a row`);
  if (omitted.rows > 0) notices.push(`${counted(omitted.rows, 'ended stream')} no longer listed`);
  return notices;
}
