import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { BehaviorSubject } from 'rxjs';
import { http2, limit, type Provider, type Stream, span } from 'rxmux';
import { framer } from 'rxmux/framer';
import { connect } from 'rxmux/node';
import { contextOf, opentelemetry } from 'rxmux/opentelemetry';
import { until } from '../conformance/wait.js';
import { drain, echoAll, linked } from '../dashboard/connections.js';
import { type PlainSpan, startTelemetry, type Telemetry } from './telemetry.js';

const root = join(import.meta.dirname, '../..');

jest.setTimeout(30_000);

let telemetry: Telemetry;

beforeEach(() => {
  telemetry = startTelemetry();
});

afterEach(async () => {
  await telemetry.stop();
});

describe('a span for each stream', () => {
  it('has its parent in another process, by the stream’s headers', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rxmux-otel-'));
    try {
      const file = join(folder, 'server.mjs');
      const banner =
        "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
      execFileSync(join(root, 'node_modules/.bin/esbuild'), [
        join(import.meta.dirname, 'server-process.ts'),
        ...['--bundle', '--platform=node', '--format=esm', '--log-level=error', `--outfile=${file}`],
        `--banner:js=${banner}`,
      ]);
      const child = fork(file, [], { execArgv: [] });
      const exited = once(child, 'exit');
      const [{ address }] = (await once(child, 'message')) as [{ address: string }];

      const plain = await connect(address, framer);
      const provider = plain.pipe(opentelemetry());
      const request = trace.getTracer('client').startSpan('request');
      const stream = context.with(trace.setSpan(context.active(), request), () =>
        provider.newStream({ a: 'b' }),
      );
      await stream.send('hello');
      await drain(stream);
      await stream.closed;
      const broken = provider.newStream({}, { label: 'https://u:planted@host/' });
      await broken.write('break');
      await expect(broken.closed).rejects.toThrow('reset');
      request.end();
      await provider.close();
      child.send('over');
      const [{ spans: theirs }] = (await once(child, 'message')) as [{ spans: PlainSpan[] }];
      await exited;

      const ours = telemetry.spans();
      const root_ = ours.find(({ name }) => name === 'request');
      const [first, second] = ours.filter(({ name }) => name === 'rxmux stream');
      expect(first).toMatchObject({
        kind: SpanKind.CLIENT,
        parentId: root_?.spanId,
        traceId: root_?.traceId,
      });
      expect(first?.status).toBe(SpanStatusCode.UNSET);
      expect(first?.attributes).toMatchObject({
        'network.protocol.name': plain.info.protocol,
        'network.peer.address': '127.0.0.1',
        'rxmux.stream.id': 1,
        'rxmux.stream.bytes_out': 5,
      });
      expect(first?.events).toEqual(expect.arrayContaining(['reply', 'half-close']));
      expect(second).toMatchObject({ parentId: undefined, status: SpanStatusCode.ERROR });
      expect(second?.attributes).toMatchObject({ 'error.type': 'reset' });
      expect(JSON.stringify(ours)).not.toContain('planted');

      const served = (id: number): PlainSpan | undefined =>
        theirs.find(
          ({ name, attributes }) => name === 'rxmux stream' && attributes['rxmux.stream.id'] === id,
        );
      expect(served(1)).toMatchObject({
        kind: SpanKind.SERVER,
        traceId: first?.traceId,
        parentId: first?.spanId,
      });
      expect(served(3)).toMatchObject({ traceId: second?.traceId, parentId: second?.spanId });
      for (const name of ['delivered', 'later']) {
        const within = theirs.filter((span) => span.name === name).map(({ parentId }) => parentId);
        expect(within).toEqual([served(1)?.spanId, served(3)?.spanId]);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('takes the place of a context that came along', async () => {
    const { client, server, close } = linked();
    const traced = client.pipe(opentelemetry({ meter: false }));
    const stream = traced.newStream({ traceparent: 'stale', other: 'kept' });
    void stream.end();
    const far = await server.accept();
    expect(far?.headers.getAll('traceparent')).toHaveLength(1);
    expect(far?.headers.get('traceparent')).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    expect(far?.headers.get('other')).toBe('kept');
    await close();
  });

  it('is found from what stands in the place of the stream', async () => {
    const { client, server, close } = linked();
    const wrap = limit({ perStream: { bytes: 1000 } });
    const wrapped = span([client.pipe(opentelemetry({ meter: false }))]).pipe(wrap);
    const accepting = server.pipe(opentelemetry({ meter: false }), wrap);
    const ours = wrapped.newStream({});
    void ours.end();
    const theirs = (await accepting.accept()) as Stream;
    const [near, far] = [ours, theirs].map((stream) => trace.getSpanContext(contextOf(stream)));
    expect(near?.spanId).toMatch(/^[0-9a-f]{16}$/);
    expect(far).toMatchObject({ traceId: near?.traceId });
    expect(far?.spanId).not.toBe(near?.spanId);
    expect(contextOf(server.newStream({}))).toBe(context.active());
    // An application's own wrapper may have anything inside.
    expect(contextOf({ inner: null } as unknown as Stream)).toBe(context.active());
    await close();
  });

  it('is none if that is asked for', async () => {
    const { client, server, close } = linked();
    const stream = client.pipe(opentelemetry({ tracer: false })).newStream({});
    void stream.end();
    expect((await server.accept())?.headers.has('traceparent')).toBe(false);
    await close();
    expect(telemetry.spans()).toEqual([]);
  });

  it('ends with an error if the stream could not be opened', async () => {
    const { client, close } = linked();
    const traced = client.pipe(opentelemetry({ meter: false }));
    await close();
    await expect(traced.newStream({}).closed).rejects.toThrow();
    expect(telemetry.spans().at(-1)).toMatchObject({ status: SpanStatusCode.ERROR });
    expect(() => traced.newStream({ large: 'x'.repeat(100_000) })).toThrow();
    expect(telemetry.spans()).toHaveLength(2);
  });
});

describe('the metrics', () => {
  it('are those of the traffic', async () => {
    const { client, server, close } = linked();
    const measured = client.pipe(opentelemetry({ tracer: false }));
    echoAll(server);
    for (let i = 0; i < 3; i++) {
      const stream = measured.newStream({});
      void stream.send(new Uint8Array(1000));
      await drain(stream);
      await stream.closed;
    }
    await measured.ping();
    const open = measured.newStream({});
    void open.write(new Uint8Array(500));
    await until(() => open.stats.bytesOut === 500, 'the bytes of the open stream');
    const attributes = { 'network.protocol.name': client.info.protocol, 'rxmux.role': 'client' };
    const value = async (name: string, more: object): Promise<unknown> =>
      (await telemetry.points()).find(
        (point) =>
          point.name === name &&
          JSON.stringify(point.attributes) === JSON.stringify({ ...attributes, ...more }),
      )?.value;
    expect(await value('rxmux.connections', {})).toBe(1);
    expect(await value('rxmux.streams', { origin: 'local' })).toBe(1);
    expect(await value('rxmux.stream.io', { 'network.io.direction': 'transmit' })).toBe(3500);
    expect(await value('rxmux.stream.duration', { origin: 'local' })).toMatchObject({ count: 3 });
    expect(await value('rxmux.ping.duration', {})).toMatchObject({ count: 1 });
    open.reset('cancel');
    expect(await value('rxmux.stream.duration', { 'error.type': 'cancel', origin: 'local' })).toMatchObject({
      count: 1,
    });
    await close();
    expect(await value('rxmux.connections', {})).toBe(0);
    expect(await value('rxmux.streams', { origin: 'local' })).toBe(0);
    // A counter never falls, even when its connection is gone.
    expect(await value('rxmux.stream.io', { 'network.io.direction': 'transmit' })).toBe(3500);
  });

  it('add up what connections carry, each with an operator of its own', async () => {
    const links = [linked(), linked()];
    for (const [index, { client, server }] of links.entries()) {
      const measured = client.pipe(opentelemetry({ tracer: false }));
      echoAll(server);
      const stream = measured.newStream({});
      void stream.send(new Uint8Array(1000 + index));
      await drain(stream);
      await stream.closed;
    }
    const sent = async (): Promise<unknown[]> =>
      (await telemetry.points())
        .filter(({ attributes }) => attributes['network.io.direction'] === 'transmit')
        .map(({ value }) => value);
    expect(await sent()).toEqual([2001]);
    for (const { close } of links) await close();
    expect(await sent()).toEqual([2001]);
  });

  it('know nothing of streams that were never opened', async () => {
    const { client, server, close } = linked();
    const measured = client.pipe(opentelemetry({ tracer: false }));
    echoAll(server);
    await measured.newStream({}).reply;
    void server.close().catch(() => {});
    // The answer to a ping comes behind the GOAWAY.
    await client.ping();
    await expect(measured.newStream({}).closed).rejects.toMatchObject({ retryable: true });
    const live = (await telemetry.points()).filter(({ name }) => name === 'rxmux.streams');
    expect(live.map(({ value }) => value)).toEqual([1]);
    await close();
    const left = (await telemetry.points()).filter(({ name }) => name === 'rxmux.streams');
    expect(left.map(({ value }) => value)).toEqual([0]);
  });

  it('know the end of a stream that a wrapper has replaced since', async () => {
    const { client, server, close } = linked();
    const stream = client.newStream({});
    void stream.end();
    await until(() => server.streams.size === 1, 'the stream has come');
    const measured = server.pipe(limit({ perStream: { rate: 1e9 } }), opentelemetry({ tracer: false }));
    const far = (await measured.accept()) as Stream;
    void far.end();
    await Promise.all([drain(far), drain(stream), far.closed]);
    const live = (await telemetry.points()).filter(({ name }) => name === 'rxmux.streams');
    expect(live.map(({ value }) => value)).toEqual([0]);
    await close();
  });

  it('keep the names a span had when it was first looked at', async () => {
    const [one, other] = [linked(), linked(http2)];
    const members = new BehaviorSubject<readonly Provider[]>([]);
    const measured = span(members).pipe(opentelemetry({ tracer: false }));
    const set: Provider[] = [];
    for (const { client, server } of [one, other]) {
      echoAll(server);
      set.push(client);
      members.next([...set]);
      const stream = measured.newStream({});
      void stream.send(new Uint8Array(1000));
      await drain(stream);
      await stream.closed;
      const sent = (await telemetry.points()).filter(
        ({ name, attributes }) =>
          name === 'rxmux.stream.io' && attributes['network.io.direction'] === 'transmit',
      );
      expect(sent).toEqual([
        {
          name: 'rxmux.stream.io',
          attributes: {
            'network.protocol.name': 'span',
            'rxmux.role': 'client',
            'network.io.direction': 'transmit',
          },
          value: 1000 * set.length,
        },
      ]);
    }
    await one.close();
    await other.close();
  });
});
