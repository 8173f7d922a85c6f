import type { Meter } from '@opentelemetry/api';
import type { Provider, ProviderEvent, Stream } from '../api.js';

/** What is known of one connection. */
interface Watched {
  /** Those it had at first: the protocol of a span changes with its members, and a counter's must not. */
  readonly attributes: Record<string, string>;
  /**
   * Ids of streams that are among those that are open: one that could not be opened ends without. An operator may have put
   * another stream in the place of one that was there already, under the same id.
   */
  readonly counted: Set<number>;
  /** Bytes of streams that are over. */
  in: number;
  out: number;
}

/** OpenTelemetry's instruments, fed by `events$`: one set for all connections that share a meter. */
export class StreamMetrics {
  /** Of several callbacks that observe the same attributes, an SDK keeps what the last one says. */
  static readonly #ofMeters: WeakMap<Meter, StreamMetrics> = new WeakMap();

  static of(meter: Meter): StreamMetrics {
    let measures = StreamMetrics.#ofMeters.get(meter);
    if (measures === undefined) {
      measures = new StreamMetrics(meter);
      StreamMetrics.#ofMeters.set(meter, measures);
    }
    return measures;
  }

  readonly #meter: Meter;
  readonly #live;
  readonly #connections;
  readonly #durations;
  readonly #stalls;
  readonly #rtts;
  readonly #providers: Map<Provider, Watched> = new Map();

  private constructor(meter: Meter) {
    this.#meter = meter;
    this.#connections = meter.createUpDownCounter('rxmux.connections', {
      description: 'Connections that are open',
      unit: '{connection}',
    });
    this.#live = meter.createUpDownCounter('rxmux.streams', {
      description: 'Streams that are open',
      unit: '{stream}',
    });
    this.#durations = meter.createHistogram('rxmux.stream.duration', {
      description: 'From the open of a stream to its end',
      unit: 's',
    });
    this.#stalls = meter.createCounter('rxmux.stream.stalls', {
      description: 'How often a stream had to wait',
      unit: '{stall}',
    });
    this.#rtts = meter.createHistogram('rxmux.ping.duration', {
      description: 'Round trips of pings',
      unit: 's',
    });
    // Streams that live for days count as they go, not when they are over.
    this.#meter
      .createObservableCounter('rxmux.stream.io', { description: 'Bytes of all streams', unit: 'By' })
      .addCallback((result) => {
        for (const [labels, total] of this.#totals()) {
          const attributes = JSON.parse(labels) as Record<string, string>;
          result.observe(total.in, { ...attributes, 'network.io.direction': 'receive' });
          result.observe(total.out, { ...attributes, 'network.io.direction': 'transmit' });
        }
      });
  }

  watch(provider: Provider): void {
    const attributes = attributesOf(provider);
    const watched: Watched = { attributes, counted: new Set(), in: 0, out: 0 };
    this.#providers.set(provider, watched);
    this.#connections.add(1, attributes);
    for (const stream of provider.streams.values()) this.#begin(stream, watched);
    provider.events$.subscribe({ next: (event) => this.#see(event, watched), error: () => {} });
    const over = (): void => {
      this.#connections.add(-1, attributes);
      this.#providers.delete(provider);
      const key = JSON.stringify(attributes);
      const past = this.#past.get(key) ?? { in: 0, out: 0 };
      this.#past.set(key, { in: past.in + watched.in, out: past.out + watched.out });
    };
    provider.closed.then(over, over);
  }

  /** Of connections that are over. */
  readonly #past: Map<string, { in: number; out: number }> = new Map();

  #totals(): Map<string, { in: number; out: number }> {
    const totals = new Map(Array.from(this.#past, ([key, total]) => [key, { ...total }]));
    for (const [provider, watched] of this.#providers) {
      const key = JSON.stringify(watched.attributes);
      const total = totals.get(key) ?? { in: 0, out: 0 };
      total.in += watched.in;
      total.out += watched.out;
      for (const { stats } of provider.streams.values()) {
        total.in += stats.bytesIn;
        total.out += stats.bytesOut;
      }
      totals.set(key, total);
    }
    return totals;
  }

  #see(event: ProviderEvent, watched: Watched): void {
    const { attributes } = watched;
    switch (event.type) {
      case 'open':
      case 'accept':
        this.#begin(event.stream, watched);
        break;
      case 'close':
        this.#end(event.stream, event.at, watched);
        break;
      case 'reset':
        // A number of the peer's own must not be able to make series.
        this.#end(event.stream, event.at, watched, typeof event.code === 'number' ? '_OTHER' : event.code);
        break;
      case 'stall':
        this.#stalls.add(1, { ...attributes, side: event.side });
        break;
      case 'ping':
        this.#rtts.record(event.rtt / 1000, attributes);
    }
  }

  #begin(stream: Stream, { attributes, counted }: Watched): void {
    counted.add(stream.id);
    this.#live.add(1, { ...attributes, origin: stream.origin });
  }

  #end(stream: Stream, at: number, watched: Watched, error?: string): void {
    const { stats, origin } = stream;
    watched.in += stats.bytesIn;
    watched.out += stats.bytesOut;
    if (!watched.counted.delete(stream.id)) return;
    const { attributes } = watched;
    this.#live.add(-1, { ...attributes, origin });
    const type = error === undefined ? {} : { 'error.type': error };
    this.#durations.record(Math.max(0, at - stats.openedAt) / 1000, { ...attributes, ...type, origin });
  }
}

function attributesOf({ info }: Provider): Record<string, string> {
  return { 'network.protocol.name': info.protocol, 'rxmux.role': info.role };
}
