import type { VNode } from 'preact';
import { Chart } from './chart.js';
import { duration, rate } from './format.js';
import type { Store } from './store.js';
import type { TimeRange } from './use-lanes.js';

const throughput = [
  { label: 'in', color: 'in', isFilled: true },
  { label: 'out', color: 'out', isFilled: true },
];
const roundTrip = [
  { label: 'median', color: 'rtt', isFilled: true },
  { label: 'slowest', color: 'rtt', isDashed: true },
];
const waiting = [
  { label: 'window', color: 'window', isFilled: true },
  { label: 'transport', color: 'transport', isFilled: true },
  { label: 'reader', color: 'reader', isFilled: true },
];

/** Throughput, round trips, and what streams wait for: of all connections or of one. */
export function Charts(props: { store: Store; connection: number | null; timeRange: TimeRange }): VNode {
  const { store, connection, timeRange } = props;
  const { from, to } = timeRange;
  const one = connection === null ? undefined : store.connections.get(connection);
  const history = one?.history ?? store.history;
  const last = <T,>(values: readonly T[]): T | undefined => values.at(-1);
  const rtt = last(history.rtt) ?? null;
  const worst = last(history.rttWorst) ?? null;
  const [window, transport, reader] = history.waiting.map((column) => last(column) ?? 0);
  return (
    <section class="charts" aria-label="Charts">
      <Chart
        title="Throughput"
        lines={throughput}
        columns={[history.times, history.rateIn, history.rateOut]}
        from={from}
        to={to}
        format={rate}
        atLeast={1024}
        now={
          <>
            <span class="rate-in">↓ {rate(last(history.rateIn) ?? 0)}</span>
            <span class="rate-out">↑ {rate(last(history.rateOut) ?? 0)}</span>
          </>
        }
      />
      <Chart
        title="Round trip"
        lines={roundTrip}
        columns={[history.times, history.rtt, history.rttWorst]}
        from={from}
        to={to}
        format={duration}
        atLeast={0.5}
        now={
          <span class="rtt">
            {rtt === null ? '–' : duration(rtt)}
            {worst !== null && worst !== rtt && <small> slowest {duration(worst)}</small>}
          </span>
        }
      />
      <Chart
        title="Waiting on"
        lines={waiting}
        columns={[history.times, ...history.waiting]}
        from={from}
        to={to}
        format={(value) => (Number.isInteger(value) ? String(value) : '')}
        atLeast={4}
        now={
          <>
            <span class="window">window {window}</span>
            <span class="transport">transport {transport}</span>
            <span class="reader">reader {reader}</span>
          </>
        }
      />
    </section>
  );
}
