import type { Meter } from '@opentelemetry/api';
import type { Provider, ProviderEvent, Stream } from '../api.js';

/** OpenTelemetry's instruments, fed by `events$`. */
export class StreamMetrics {
  readonly #meter: Meter;
  readonly #live;
  readonly #connections;
  readonly #durations;
  readonly #stalls;
  readonly #rtts;
  readonly #providers: Map<Provider, { in: number; out: number }> = new Map();

  constructor(meter: Meter) {
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
    const ended = { in: 0, out: 0 };
    this.#providers.set(provider, ended);
    this.#connections.add(1, attributes);
    for (const { origin } of provider.streams.values()) this.#live.add(1, { ...attributes, origin });
    provider.events$.subscribe({ next: (event) => this.#see(event, attributes, ended), error: () => {} });
    const over = (): void => {
      this.#connections.add(-1, attributes);
      this.#providers.delete(provider);
      const key = JSON.stringify(attributes);
      const past = this.#past.get(key) ?? { in: 0, out: 0 };
      this.#past.set(key, { in: past.in + ended.in, out: past.out + ended.out });
    };
    provider.closed.then(over, over);
  }

  /** Of connections that are over. */
  readonly #past: Map<string, { in: number; out: number }> = new Map();

  #totals(): Map<string, { in: number; out: number }> {
    const totals = new Map(Array.from(this.#past, ([key, total]) => [key, { ...total }]));
    for (const [provider, ended] of this.#providers) {
      const key = JSON.stringify(attributesOf(provider));
      const total = totals.get(key) ?? { in: 0, out: 0 };
      total.in += ended.in;
      total.out += ended.out;
      for (const { stats } of provider.streams.values()) {
        total.in += stats.bytesIn;
        total.out += stats.bytesOut;
      }
      totals.set(key, total);
    }
    return totals;
  }

  #see(event: ProviderEvent, attributes: Record<string, string>, ended: { in: number; out: number }): void {
    switch (event.type) {
      case 'open':
      case 'accept':
        this.#live.add(1, { ...attributes, origin: event.stream.origin });
        break;
      case 'close':
        this.#end(event.stream, event.at, attributes, ended);
        break;
      case 'reset': {
        // A number of the peer's own must not be able to make series.
        const type = typeof event.code === 'number' ? '_OTHER' : event.code;
        this.#end(event.stream, event.at, { ...attributes, 'error.type': type }, ended);
        break;
      }
      case 'stall':
        this.#stalls.add(1, { ...attributes, side: event.side });
        break;
      case 'ping':
        this.#rtts.record(event.rtt / 1000, attributes);
    }
  }

  #end(
    stream: Stream,
    at: number,
    attributes: Record<string, string>,
    ended: { in: number; out: number },
  ): void {
    const { stats, origin } = stream;
    const { 'error.type': _error, ...own } = attributes;
    this.#live.add(-1, { ...own, origin });
    this.#durations.record(Math.max(0, at - stats.openedAt) / 1000, { ...attributes, origin });
    ended.in += stats.bytesIn;
    ended.out += stats.bytesOut;
  }
}

function attributesOf({ info }: Provider): Record<string, string> {
  return { 'network.protocol.name': info.protocol, 'rxmux.role': info.role };
}
