import type { Provider, ProviderEvent, ProviderOperator, Stream } from '../api.js';
import { Histogram } from './histogram.js';
import { PrometheusText } from './prometheus-text.js';

/** Counts what goes through providers. It is an operator: `provider.pipe(metrics)`; any number share one. */
export interface Meter extends ProviderOperator {
  /** The same, with a `name` label, for connections that people know by one. */
  named(name: string): ProviderOperator;
  /** Everything so far, in Prometheus's text format (version 0.0.4), for an endpoint of the application's. */
  text(): string;
}

/** What `text()` is, for the endpoint's `content-type`. */
export const prometheusContentType = 'text/plain; version=0.0.4; charset=utf-8';

/** From a request within a process to a transfer of an hour. */
const durationBounds = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 600, 3600];
const rttBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];

type BlockedOn = 'window' | 'transport' | 'reader';
const blocks: readonly BlockedOn[] = ['window', 'transport', 'reader'];

/**
 * Of one connection, the ids of streams that are among those opened: one that could not be opened ends without. An operator
 * may have put another stream in the place of one that was there already, under the same id.
 */
type Counted = Set<number>;

/** Connections that share their labels share their figures. */
class Group {
  readonly labels: Readonly<Record<string, string>>;
  readonly live: Set<Provider> = new Set();
  readonly opened: Record<Stream['origin'], number> = { local: 0, remote: 0 };
  readonly stalls: Record<'send' | 'receive', number> = { send: 0, receive: 0 };
  closed = 0;
  /** By code. A number of the peer's own is `other`: it must not be able to make labels. */
  readonly resets: Map<string, number> = new Map();
  readonly durations: Histogram = new Histogram(durationBounds);
  readonly rtts: Histogram = new Histogram(rttBounds);
  goAways = 0;
  #endedIn = 0;
  #endedOut = 0;

  constructor(labels: Readonly<Record<string, string>>) {
    this.labels = labels;
  }

  watch(provider: Provider): void {
    this.live.add(provider);
    const counted: Counted = new Set();
    for (const stream of provider.streams.values()) this.#begin(stream, counted);
    const subscription = provider.events$.subscribe({
      next: (event) => this.#see(event, counted),
      error: () => {},
    });
    const over = (): void => {
      this.live.delete(provider);
      subscription.unsubscribe();
    };
    provider.closed.then(over, over);
  }

  /** What all streams have moved, those that are open included. */
  bytes(): { in: number; out: number } {
    const total = { in: this.#endedIn, out: this.#endedOut };
    for (const { stats } of this.streams()) {
      total.in += stats.bytesIn;
      total.out += stats.bytesOut;
    }
    return total;
  }

  *streams(): Iterable<Stream> {
    for (const { streams } of this.live) yield* streams.values();
  }

  #see(event: ProviderEvent, counted: Counted): void {
    switch (event.type) {
      case 'open':
      case 'accept':
        this.#begin(event.stream, counted);
        break;
      case 'close':
        if (this.#end(event, counted)) this.closed++;
        break;
      case 'reset': {
        if (!this.#end(event, counted)) break;
        const code = typeof event.code === 'number' ? 'other' : event.code;
        this.resets.set(code, (this.resets.get(code) ?? 0) + 1);
        break;
      }
      case 'stall':
        this.stalls[event.side]++;
        break;
      case 'ping':
        this.rtts.add(event.rtt / 1000);
        break;
      case 'goaway':
        this.goAways++;
    }
  }

  #begin(stream: Stream, counted: Counted): void {
    counted.add(stream.id);
    this.opened[stream.origin]++;
  }

  /** Whether it counts. */
  #end({ stream, at }: { readonly stream: Stream; readonly at: number }, counted: Counted): boolean {
    const { stats } = stream;
    this.#endedIn += stats.bytesIn;
    this.#endedOut += stats.bytesOut;
    if (!counted.delete(stream.id)) return false;
    this.durations.add(Math.max(0, at - stats.openedAt) / 1000);
    return true;
  }
}

/**
 * Makes a meter:
 *
 *     const metrics = meter();
 *     const provider = (await connect(address, framer)).pipe(metrics);
 *     createServer((_request, response) => response.end(metrics.text())).listen(9464);
 */
export function meter(): Meter {
  const groups: Map<string, Group> = new Map();
  const watch = (provider: Provider, name?: string): Provider => {
    const { protocol, role } = provider.info;
    const labels = { ...(name === undefined ? {} : { name }), protocol, role };
    const key = JSON.stringify(labels);
    const group = groups.get(key) ?? new Group(labels);
    groups.set(key, group);
    group.watch(provider);
    return provider;
  };
  return Object.assign((provider: Provider) => watch(provider), {
    named: (name: string) => (provider: Provider) => watch(provider, name),
    text: () => textOf([...groups.values()]),
  });
}

function textOf(groups: readonly Group[]): string {
  const text = new PrometheusText();
  text.family('rxmux_connections', 'gauge', 'Connections that are open.');
  for (const { labels, live } of groups) text.sample(labels, live.size);
  text.family('rxmux_streams', 'gauge', 'Streams that are open, by who opened them.');
  for (const group of groups) {
    for (const origin of ['local', 'remote'] as const) {
      text.sample(
        { ...group.labels, origin },
        count(group, (stream) => stream.origin === origin),
      );
    }
  }
  text.family('rxmux_streams_blocked', 'gauge', 'Streams that wait now, by what they wait for.');
  for (const group of groups) {
    for (const on of blocks) {
      text.sample(
        { ...group.labels, on },
        count(group, (stream) => stream.stats.blockedOn === on),
      );
    }
  }
  text.family('rxmux_streams_opened_total', 'counter', 'Streams ever opened, by who opened them.');
  for (const { labels, opened } of groups) {
    for (const origin of ['local', 'remote'] as const) text.sample({ ...labels, origin }, opened[origin]);
  }
  text.family('rxmux_streams_closed_total', 'counter', 'Streams that came to their end.');
  for (const { labels, closed } of groups) text.sample(labels, closed);
  text.family('rxmux_streams_reset_total', 'counter', 'Streams that were broken off, by code.');
  for (const { labels, resets } of groups) {
    for (const [code, value] of resets) text.sample({ ...labels, code }, value);
  }
  text.family('rxmux_stream_bytes_total', 'counter', 'Bytes of all streams, by direction.');
  for (const group of groups) {
    const bytes = group.bytes();
    for (const direction of ['in', 'out'] as const) {
      text.sample({ ...group.labels, direction }, bytes[direction]);
    }
  }
  text.family('rxmux_stalls_total', 'counter', 'How often a stream had to wait, by the side that waited.');
  for (const { labels, stalls } of groups) {
    for (const side of ['send', 'receive'] as const) text.sample({ ...labels, side }, stalls[side]);
  }
  text.family('rxmux_goaways_total', 'counter', 'Times that either end said it takes no new streams.');
  for (const { labels, goAways } of groups) text.sample(labels, goAways);
  text.family('rxmux_stream_duration_seconds', 'histogram', 'From the open of a stream to its end.');
  for (const { labels, durations } of groups) text.histogram(labels, durations);
  text.family('rxmux_ping_rtt_seconds', 'histogram', 'Round trips of pings.');
  for (const { labels, rtts } of groups) text.histogram(labels, rtts);
  return text.toString();
}

function count(group: Group, isCounted: (stream: Stream) => boolean): number {
  let total = 0;
  for (const stream of group.streams()) if (isCounted(stream)) total++;
  return total;
}
