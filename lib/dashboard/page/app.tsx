import type { VNode } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { blocks } from '../messages.js';
import { Cards } from './cards.js';
import { Charts } from './charts.js';
import { Detail, omissions } from './detail.js';
import { type Filterable, parseFilter } from './filter.js';
import { count, counted } from './format.js';
import { Header, type Theme } from './header.js';
import { Help } from './help.js';
import { Log } from './log.js';
import { ReplayBar } from './replay-bar.js';
import type { Session } from './session.js';
import type { Row, Store } from './store.js';
import { type Sort, type SortKey, Streams } from './streams.js';
import { useKeys } from './use-keys.js';
import type { TimeRange } from './use-lanes.js';

type Tab = 'streams' | 'timeline' | 'log';
const tabs: readonly { id: Tab; name: string }[] = [
  { id: 'streams', name: 'Streams' },
  { id: 'timeline', name: 'Timeline' },
  { id: 'log', name: 'Log' },
];

/** What part of the streams is listed. */
const parts = {
  all: (_row: Row) => true,
  live: (row: Row) => row.endedAt === null,
  blocked: (row: Row) => row.block !== 0,
  reset: (row: Row) => row.state === 'reset',
} as const;
type Part = keyof typeof parts;

/** How much time the lanes show. */
const spans = [10_000, 30_000, 60_000] as const;

/** The page. What the reader chooses draws it anew at once; what the session hears does so part by part. */
export function App({ session }: { session: Session }): VNode {
  const [tab, setTab] = useState<Tab>('streams');
  const [query, setQuery] = useState('');
  const [part, setPart] = useState<Part>('all');
  const [connection, setConnection] = useState<number | null>(null);
  const [selected, setSelected] = useState<number | null>(null);
  const [opened, setOpened] = useState<number | null>(null);
  const [sort, setSort] = useState<Sort>({ key: 'stream', isFalling: false });
  const [span, setSpan] = useState<number>(30_000);
  const [isHelpOpen, setHelpOpen] = useState(false);
  const [theme, setTheme] = useTheme();
  const filterBox = useRef<HTMLInputElement>(null);
  const isPhone = useMedia('(max-width: 760px)');

  const open = (key: number): void => {
    setSelected(key);
    setOpened(key);
  };
  useKeys({
    '/': () => filterBox.current?.focus(),
    Escape: () => (isHelpOpen ? setHelpOpen(false) : setOpened(null)),
    1: () => setTab('streams'),
    2: () => setTab('timeline'),
    3: () => setTab('log'),
    ' ': () => {
      const { replay } = session;
      if (replay === null) session.pause(!session.isPaused);
      else session.play(!replay.isPlaying);
    },
    t: () => setTheme(theme === 'dark' ? 'light' : 'dark'),
    '?': () => setHelpOpen(true),
  });
  const timeRange = (): TimeRange => {
    const { store, replay } = session;
    if (replay !== null) return { from: replay.from, to: replay.to };
    const to = session.isPaused ? store.at : store.now();
    return { from: to - span, to };
  };
  const sortBy = (key: SortKey): void => {
    setSort({ key, isFalling: sort.key === key ? !sort.isFalling : key !== 'stream' && key !== 'state' });
  };

  return (
    <div class="app">
      <Live session={session}>
        {() => (
          <Header
            session={session}
            theme={theme}
            onTheme={setTheme}
            onHelp={() => setHelpOpen(true)}
            onFile={(file) => void session.replayFile(file)}
          />
        )}
      </Live>
      <main>
        <Live session={session}>
          {() => (
            <Cards
              connections={[...session.store.connections.values()]}
              selected={connection}
              onSelect={setConnection}
            />
          )}
        </Live>
        <Live session={session}>
          {() => <Charts store={session.store} connection={connection} timeRange={timeRange()} />}
        </Live>
        <Live session={session}>
          {(beat) => {
            const { store, replay, error } = session;
            const chosen = chooseRows(store, query, connection);
            return (
              <>
                <nav class="bar" aria-label="Views">
                  <div class="tabs" role="tablist">
                    {tabs.map(({ id, name }, index) => (
                      <button
                        type="button"
                        role="tab"
                        key={id}
                        id={`tab-${id}`}
                        aria-selected={tab === id}
                        title={`${name} (${index + 1})`}
                        onClick={() => setTab(id)}
                      >
                        {name}
                      </button>
                    ))}
                  </div>
                  {tab !== 'log' && <Chips rows={chosen} part={part} onPart={setPart} />}
                  <label class="filter">
                    <span class="hidden">Filter</span>
                    <input
                      ref={filterBox}
                      type="search"
                      value={query}
                      spellcheck={false}
                      placeholder={
                        tab === 'log'
                          ? 'Filter: name:data dir:in #5 length>1k'
                          : 'Filter: upload blocked:window in>1m'
                      }
                      onInput={(event) => setQuery(event.currentTarget.value)}
                      onKeyDown={(event) => {
                        if (event.key !== 'Escape') return;
                        setQuery('');
                        event.currentTarget.blur();
                      }}
                    />
                    <kbd>/</kbd>
                  </label>
                  {tab !== 'log' && replay === null && (
                    <label class="span">
                      <span class="hidden">Time shown</span>
                      <select value={span} onChange={(event) => setSpan(Number(event.currentTarget.value))}>
                        {spans.map((ms) => (
                          <option key={ms} value={ms}>
                            {ms / 1000} s
                          </option>
                        ))}
                      </select>
                    </label>
                  )}
                </nav>
                <Notices store={store} isLog={tab === 'log'} error={error} />
                <section class="panel" role="tabpanel" aria-labelledby={`tab-${tab}`}>
                  {tab === 'log' ? (
                    <Log store={store} query={query} connection={connection} onOpen={open} />
                  ) : (
                    <Streams
                      store={store}
                      rows={chosen.filter(parts[part]).sort(orderOf(sort, store.now()))}
                      isPhone={isPhone}
                      isTimeline={tab === 'timeline'}
                      sort={sort}
                      onSort={sortBy}
                      selected={selected}
                      onSelect={(key) => {
                        setSelected(key);
                        if (opened !== null) setOpened(key);
                      }}
                      onOpen={open}
                      timeRange={timeRange}
                      beat={beat}
                    />
                  )}
                </section>
                {replay !== null && <ReplayBar session={session} replay={replay} />}
              </>
            );
          }}
        </Live>
      </main>
      <Live session={session}>
        {() => {
          const { store } = session;
          const row = opened === null ? undefined : store.rows.get(opened);
          if (row === undefined) return null;
          return (
            <Detail
              row={row}
              connection={store.connections.get(row.connection)}
              now={store.now()}
              onClose={() => setOpened(null)}
              onLog={(text) => {
                setTab('log');
                setQuery(text);
                if (isPhone) setOpened(null);
              }}
            />
          );
        }}
      </Live>
      {isHelpOpen && <Help onClose={() => setHelpOpen(false)} />}
      <Live session={session}>
        {() => (
          <p class="hidden" role="status" aria-live="polite">
            {session.link === 'lost'
              ? 'The connection to the program is lost'
              : `${counted(session.store.connections.size, 'connection')}`}
          </p>
        )}
      </Live>
    </div>
  );
}

/** A part of the page that is drawn in a frame of its own when the session has changed. */
function Live(props: { session: Session; children: (beat: number) => VNode | null }): VNode | null {
  const { session, children } = props;
  const [beat, redraw] = useState(0);
  useEffect(() => session.onChange(() => redraw((version) => version + 1)), [session]);
  return children(beat);
}

/** What part of the streams is listed, and how many there are of each. */
function Chips(props: { rows: readonly Row[]; part: Part; onPart: (part: Part) => void }): VNode {
  return (
    <fieldset class="chips">
      <legend class="hidden">Which streams</legend>
      {(Object.keys(parts) as Part[]).map((id) => (
        <button
          type="button"
          key={id}
          class={`chip ${id}`}
          aria-pressed={props.part === id}
          onClick={() => props.onPart(id)}
        >
          {id} <b>{count(props.rows.reduce((sum, row) => sum + Number(parts[id](row)), 0))}</b>
        </button>
      ))}
    </fieldset>
  );
}

/** What is not listed, and what went wrong. */
function Notices(props: { store: Store; isLog: boolean; error: string | null }): VNode {
  const { store, isLog, error } = props;
  const notices = omissions({
    frames: isLog ? store.framesOmitted : 0,
    seen: store.framesSeen,
    events: store.eventsOmitted,
    streams: store.streamsOmitted,
    rows: store.rowsDropped,
  });
  return (
    <>
      {notices.length > 0 && (
        <p class="notice" role="status">
          {notices.join(' · ')}
        </p>
      )}
      {error !== null && (
        <p class="notice bad" role="alert">
          {error}
        </p>
      )}
    </>
  );
}

/** A stream, as a filter sees it. */
class FilterableRow implements Filterable {
  row!: Row;
  store!: Store;

  get text(): string {
    return this.row.text;
  }

  field(name: string): string | number | undefined {
    const { row, store } = this;
    switch (name) {
      case 'id':
        return row.id;
      case 'state':
        return row.state;
      case 'blocked':
        return blocks[row.block] ?? '';
      case 'side':
        return row.origin;
      case 'conn':
        return row.connection;
      case 'proto':
        return store.connections.get(row.connection)?.protocol ?? '';
      case 'in':
        return row.bytesIn;
      case 'out':
        return row.bytesOut;
      case 'queue':
        return row.queuedIn + row.queuedOut;
      case 'age':
        return (row.endedAt ?? store.at) - row.openedAt;
      case 'label':
        return row.label;
    }
    return row.headers.find(([header]) => header === name)?.[1];
  }
}

function chooseRows(store: Store, query: string, connection: number | null): Row[] {
  const filter = parseFilter(query);
  const seen = new FilterableRow();
  seen.store = store;
  const chosen: Row[] = [];
  for (const row of store.rows.values()) {
    if (connection !== null && row.connection !== connection) continue;
    seen.row = row;
    if (filter(seen)) chosen.push(row);
  }
  return chosen;
}

const values: Readonly<Record<Exclude<SortKey, 'stream' | 'age'>, (row: Row) => number | string>> = {
  state: (row) => row.state,
  in: (row) => row.bytesIn,
  out: (row) => row.bytesOut,
  window: (row) => row.sendWindow,
  queue: (row) => row.queuedIn + row.queuedOut,
  blocked: (row) => row.block,
};

/** What is alive first; what is over stands below, the latest first, unless a column says otherwise. */
function orderOf({ key, isFalling }: Sort, now: number): (a: Row, b: Row) => number {
  const sign = isFalling ? -1 : 1;
  if (key === 'stream') {
    return (a, b) => {
      if ((a.endedAt === null) !== (b.endedAt === null)) return a.endedAt === null ? -1 : 1;
      return a.endedAt === null ? sign * (a.key - b.key) : (b.endedAt ?? 0) - a.endedAt || b.key - a.key;
    };
  }
  const rank = key === 'age' ? (row: Row) => (row.endedAt ?? now) - row.openedAt : values[key];
  return (a, b) => {
    const [one, other] = [rank(a), rank(b)];
    return one < other ? -sign : one > other ? sign : a.key - b.key;
  };
}

function useMedia(query: string): boolean {
  const list = useMemo(() => matchMedia(query), [query]);
  const [isMatching, setMatching] = useState(list.matches);
  useEffect(() => {
    const told = (): void => setMatching(list.matches);
    list.addEventListener('change', told);
    return () => list.removeEventListener('change', told);
  }, [list]);
  return isMatching;
}

/** Dark or light: the system's choice until the reader makes one. */
function useTheme(): [Theme, (theme: Theme) => void] {
  const isDark = useMedia('(prefers-color-scheme: dark)');
  const [own, setOwn] = useState<Theme | null>(() => {
    const saved = localStorage.getItem('rxmux-theme');
    return saved === 'dark' || saved === 'light' ? saved : null;
  });
  const theme = own ?? (isDark ? 'dark' : 'light');
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
  }, [theme]);
  return [
    theme,
    (chosen) => {
      localStorage.setItem('rxmux-theme', chosen);
      setOwn(chosen);
    },
  ];
}
