import type { VNode } from 'preact';
import { useRef } from 'preact/hooks';
import { count } from './format.js';
import type { Session } from './session.js';

export type Theme = 'dark' | 'light';

interface Props {
  readonly session: Session;
  readonly theme: Theme;
  readonly onTheme: (theme: Theme) => void;
  readonly onHelp: () => void;
  readonly onFile: (file: File) => void;
}

const links = { connecting: 'connecting', live: 'live', lost: 'lost, trying again' } as const;

/** What is going on in all, and the few things one can do. */
export function Header({ session, theme, onTheme, onHelp, onFile }: Props): VNode {
  const { store, link, isPaused, replay } = session;
  const picker = useRef<HTMLInputElement>(null);
  const all = [...store.connections.values()];
  const total = (read: (connection: (typeof all)[number]) => number): number =>
    all.reduce((sum, connection) => sum + read(connection), 0);
  const status = replay !== null ? 'replay' : isPaused ? 'paused' : link;
  return (
    <header class="top">
      <h1>
        <svg viewBox="0 0 28 20" aria-hidden="true">
          <path d="M1 3h5c5 0 5 7 9 7M1 10h14M1 17h5c5 0 5-7 9-7" />
          <path class="trunk" d="M15 10h12" />
        </svg>
        rxmux
      </h1>
      <span class={`status ${status}`}>
        <i class="dot" />
        {status === 'replay' ? 'replay' : status === 'paused' ? 'paused' : links[link]}
      </span>
      <dl class="totals">
        <Total
          name="connections"
          value={all.filter(({ state }) => state === 'open' || state === 'going-away').length}
        />
        <Total name="live" value={total(({ live }) => live)} />
        <Total name="opened" value={total(({ opened }) => opened)} />
        <Total name="resets" value={total(({ resets }) => resets)} isBad />
      </dl>
      <div class="actions">
        <button type="button" onClick={() => picker.current?.click()} title="Or drop a trace file anywhere">
          Open trace
        </button>
        <input
          class="hidden"
          type="file"
          tabIndex={-1}
          aria-label="Trace file"
          ref={picker}
          onChange={(event) => {
            const [file] = event.currentTarget.files ?? [];
            if (file !== undefined) onFile(file);
            event.currentTarget.value = '';
          }}
        />
        {replay === null && (
          <button
            type="button"
            aria-pressed={isPaused}
            onClick={() => session.pause(!isPaused)}
            title="Hold the picture still (space)"
          >
            {isPaused ? 'Resume' : 'Pause'}
          </button>
        )}
        <button
          type="button"
          class="icon"
          aria-label={theme === 'dark' ? 'Light theme' : 'Dark theme'}
          title="Dark or light (t)"
          onClick={() => onTheme(theme === 'dark' ? 'light' : 'dark')}
        >
          {theme === 'dark' ? '☀' : '☾'}
        </button>
        <button type="button" class="icon" aria-label="Help" title="Keys and filters (?)" onClick={onHelp}>
          ?
        </button>
      </div>
    </header>
  );
}

function Total({ name, value, isBad = false }: { name: string; value: number; isBad?: boolean }): VNode {
  return (
    <div class={isBad && value > 0 ? 'bad' : ''} data-total={name}>
      <dd>{count(value)}</dd>
      <dt>{name}</dt>
    </div>
  );
}
