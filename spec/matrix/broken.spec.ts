/** The kit's own spec: connections that are broken on purpose, and the case that has to find each of them. */
import { map, merge, type Observable, Subject } from 'rxjs';
import {
  ForwardingProvider,
  ForwardingStream,
  type FrameEvent,
  type HeadersInit,
  intercept,
  memoryPair,
  type NewStreamOptions,
  type Provider,
  type ProviderEvent,
  type ProviderOperator,
  type ResetCode,
  type Stream,
  StreamError,
  type StreamHeaders,
  type StreamStats,
  type Transport,
} from 'rxmux';
import { framer } from 'rxmux/framer';
import { dataCases } from '../conformance/data.js';
import { errorCases } from '../conformance/errors.js';
import { halfCloseCases } from '../conformance/half-close.js';
import { headerCases } from '../conformance/headers.js';
import { observingCases } from '../conformance/observing.js';
import { type Check, checker, type Open } from '../conformance/pair.js';
import { resetCases } from '../conformance/reset.js';
import { sendingCases } from '../conformance/sending.js';
import { trackPair } from '../support/leaks.js';

/** What breaks a connection. */
interface Fault {
  readonly operator?: ProviderOperator;
  readonly transport?: (transport: Transport) => Transport;
}

/** Every stream, of either side, as one of these. */
function streams(Broken: new (inner: Stream) => Stream): Fault {
  return {
    operator: intercept({
      newStream: (headers, next) => new Broken(next(headers)),
      accept: (stream) => new Broken(stream),
    }),
  };
}

function providers(Broken: new (inner: Provider) => Provider): Fault {
  return { operator: (provider) => new Broken(provider) };
}

function transports(broken: (transport: Transport) => Partial<Transport>): Fault {
  return {
    transport: (transport) => ({
      start: (handlers) => transport.start(handlers),
      write: (chunks) => transport.write(chunks),
      pause: () => transport.pause(),
      resume: () => transport.resume(),
      end: () => transport.end(),
      destroy: (error) => transport.destroy(error),
      ...broken(transport),
    }),
  };
}

/** What is wrong, by the beginning of the title of the case that finds it. */
const faults: Record<string, Record<string, Fault>> = {
  '1. three MiB each way': {
    'a byte is lost after 1.5 MiB': streams(
      class extends ForwardingStream {
        override get data$(): Observable<Uint8Array> {
          let bytes = 0;
          return this.inner.data$.pipe(
            map((chunk) => {
              const before = bytes;
              bytes += chunk.byteLength;
              return before < 1_572_864 && bytes >= 1_572_864 ? chunk.subarray(1) : chunk;
            }),
          );
        }
      },
    ),
  },
  '8. trailers of the opener': {
    'they are dropped': streams(
      class extends ForwardingStream {
        override end(trailers?: HeadersInit): Promise<void> {
          return this.origin === 'local' ? this.inner.end() : this.inner.end(trailers);
        }
      },
    ),
  },
  '8. trailers of a stream whose connection is lost': {
    'there are none': streams(withoutTrailers('closed')),
  },
  '18. trailers of a stream that is reset': { 'there are none': streams(withoutTrailers('reset')) },
  '18. a numeric code': {
    'it has 16 bits': streams(
      class extends ForwardingStream {
        override reset(code?: ResetCode, cause?: unknown): void {
          this.inner.reset(typeof code === 'number' ? code & 0xffff : code, cause);
        }
      },
    ),
  },
  '13. error() with the reset of another stream': {
    'the code is lost': streams(
      class extends ForwardingStream {
        override error(error: unknown): void {
          this.inner.error(StreamError.is(error) ? new Error('lost') : error);
        }
      },
    ),
  },
  '10. a generator is pulled only while the transport has room': {
    'the transport always has': transports((transport) => ({
      write: (chunks) => {
        transport.write(chunks);
        return true;
      },
    })),
  },
  'the more urgent of two streams': {
    'urgency is ignored': providers(
      class extends ForwardingProvider {
        override newStream(headers?: HeadersInit, { urgency, ...rest }: NewStreamOptions = {}): Stream {
          return this.inner.newStream(headers, rest);
        }
      },
    ),
  },
  '25. a value beyond ASCII': {
    'it is replaced': providers(
      class extends ForwardingProvider {
        override newStream(headers: HeadersInit = {}, options?: NewStreamOptions): Stream {
          const values = Object.entries(headers).map(([name, value]): [string, string] => [
            name,
            String(value).replace(/[^ -~]/g, '?'),
          ]);
          return this.inner.newStream(values, options);
        }
      },
    ),
  },
  '29. what broke the transport': {
    'it does not tell': transports((transport) => ({
      start: (handlers) => transport.start({ ...handlers, onClose: () => handlers.onClose() }),
    })),
  },
  '23. what happens, streams and frames have their times': {
    'streams have none': streams(
      class extends ForwardingStream {
        override get stats(): StreamStats {
          return { ...this.inner.stats, openedAt: 0 };
        }
      },
    ),
    'events have none': providers(
      class extends ForwardingProvider {
        override get events$(): Observable<ProviderEvent> {
          return this.inner.events$.pipe(map((event) => ({ ...event, at: 0 })));
        }
      },
    ),
    'frames have none': providers(
      class extends ForwardingProvider {
        override get frames$(): Observable<FrameEvent> {
          return this.inner.frames$.pipe(map((frame) => ({ ...frame, at: 0 })));
        }
      },
    ),
  },
  '23. events$ and frames$ complete when the connection is lost': {
    'events$ has its error': providers(
      class extends ForwardingProvider {
        override get events$(): Observable<ProviderEvent> {
          const lost = new Subject<ProviderEvent>();
          this.inner.closed.catch((error: unknown) => lost.error(error));
          return merge(this.inner.events$, lost);
        }
      },
    ),
  },
  '23. going away': {
    'it does not say after which stream': providers(
      class extends ForwardingProvider {
        override get events$(): Observable<ProviderEvent> {
          return this.inner.events$.pipe(
            map((event) => (event.type === 'goaway' ? { ...event, lastId: -1 } : event)),
          );
        }
      },
    ),
  },
};

function withoutTrailers(code: StreamError['code']): new (inner: Stream) => Stream {
  return class extends ForwardingStream {
    override get trailers(): Promise<StreamHeaders | undefined> {
      return this.inner.trailers.catch((error: unknown) => {
        if (StreamError.is(error) && error.code === code) return undefined;
        throw error;
      });
    }
  };
}

/** A pair over memory, broken at both ends. */
function broken({ operator = (provider) => provider, transport = (same) => same }: Fault): Open {
  return async ({ limits = {} } = {}) => {
    const ends = memoryPair();
    const [near, far] = ends.map(transport) as [Transport, Transport];
    const [client, server] = trackPair([
      framer(near, { role: 'client', limits: limits.client ?? {} }).pipe(operator),
      framer(far, { role: 'server', limits: limits.server ?? {} }).pipe(operator),
    ]);
    const fail = (error: Error): void => {
      for (const end of ends) end.destroy(error);
    };
    return { client, server, fail, cut: () => fail(new Error('the connection is lost')) };
  };
}

/** The case with this title, as a function. */
function caseOf(title: string, fault: Fault): () => Promise<void> {
  const found: (() => Promise<void>)[] = [];
  const check: Check = checker(broken(fault), 'client', {}, () => (name, run) => {
    if (name.startsWith(title)) found.push(run);
  });
  for (const cases of [
    dataCases,
    errorCases,
    halfCloseCases,
    headerCases,
    observingCases,
    resetCases,
    sendingCases,
  ]) {
    cases(check);
  }
  expect(found.length).toBe(1);
  return found[0] as () => Promise<void>;
}

for (const [title, wrong] of Object.entries(faults)) {
  describe(title, () => {
    test('passes where nothing is wrong', () => caseOf(title, {})());
    for (const [what, fault] of Object.entries(wrong)) {
      test(`fails: ${what}`, async () => {
        await expect(caseOf(title, fault)()).rejects.toThrow();
      });
    }
  });
}
