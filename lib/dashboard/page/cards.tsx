import type { VNode } from 'preact';
import { count, duration, rate } from './format.js';
import type { Connection } from './store.js';

interface Props {
  readonly connections: readonly Connection[];
  readonly selected: number | null;
  readonly onSelect: (id: number | null) => void;
}

/** One card for each connection; a pressed card shows its streams only. */
export function Cards({ connections, selected, onSelect }: Props): VNode {
  return (
    <section class="cards" aria-label="Connections">
      {connections.map((connection) => (
        <Card
          key={connection.id}
          connection={connection}
          isSelected={connection.id === selected}
          onSelect={onSelect}
        />
      ))}
    </section>
  );
}

function Card(props: { connection: Connection; isSelected: boolean; onSelect: Props['onSelect'] }): VNode {
  const { connection, isSelected, onSelect } = props;
  const { id, name, protocol, role, local, remote, state, error, live, rtt, rateIn, rateOut } = connection;
  const peer = remote ?? local ?? 'in this process';
  return (
    <button
      type="button"
      class={`card ${state}`}
      aria-pressed={isSelected}
      title={error ?? `${protocol}, ${role}${local === undefined ? '' : `, from ${local}`}`}
      onClick={() => onSelect(isSelected ? null : id)}
    >
      <span class="card-title">
        <i class={`dot ${state}`} />
        <b>{name ?? protocol}</b>
        <span class="role">
          {name === undefined ? role : `${protocol} · ${role}`} <i>{id}</i>
        </span>
      </span>
      <span class="card-peer">
        {error ?? (state === 'open' ? peer : `${state.replace('-', ' ')} · ${peer}`)}
      </span>
      <span class="card-figures">
        <span>
          <b>{count(live)}</b> live
        </span>
        <span class="rate-in">↓ {rate(rateIn)}</span>
        <span class="rate-out">↑ {rate(rateOut)}</span>
        {rtt !== null && <span>{duration(rtt)}</span>}
      </span>
      <Spark values={connection.history.rateIn} other={connection.history.rateOut} />
    </button>
  );
}

const sparkPoints = 60;

/** What the connection has moved lately, in small. */
function Spark({ values, other }: { values: readonly number[]; other: readonly number[] }): VNode {
  const lines = [values.slice(-sparkPoints), other.slice(-sparkPoints)] as const;
  const most = Math.max(1, ...lines[0], ...lines[1]);
  const path = (line: readonly number[]): string =>
    line
      .map((value, index) => {
        const x = ((index + sparkPoints - line.length) / (sparkPoints - 1)) * 100;
        return `${index === 0 ? 'M' : 'L'}${x.toFixed(1)} ${(19 - (value / most) * 18).toFixed(1)}`;
      })
      .join('');
  return (
    <svg class="spark" viewBox="0 0 100 20" preserveAspectRatio="none" aria-hidden="true">
      <path class="in" d={path(lines[0])} />
      <path class="out" d={path(lines[1])} />
    </svg>
  );
}
