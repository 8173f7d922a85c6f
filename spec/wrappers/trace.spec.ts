import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { BehaviorSubject } from 'rxjs';
import { type Provider, readTrace, type Stream, span, TraceTable, trace } from 'rxmux';
import { ManualClock } from '../support/manual-clock.js';
import { echo, finish, next, textOf, two } from './ends.js';

const schema = JSON.parse(readFileSync(join(__dirname, '../../docs/trace.schema.json'), 'utf8')) as object;
const validate = new Ajv2020({ allErrors: true, allowUnionTypes: true }).compile(schema);

/** One of everything: a finished stream, one that is reset by each side, a refused one, and one that is left open. */
async function busyness(client: Provider, server: Provider): Promise<Stream> {
  const finished = client.newStream({ ':path': '/a?token=planted-0' }, { label: 'finished' });
  void finished.send('hello');
  const served = await next(server);
  await served.send(served.data$);
  expect(await textOf(finished)).toBe('hello');
  await finished.closed;
  const reset = client.newStream();
  await next(server);
  reset.reset(77);
  const refused = client.newStream();
  (await next(server)).reject('refused');
  await refused.closed.catch(() => {});
  const theirs = server.newStream({ 'x-from': 'the server' });
  (await next(client)).reset('internal-error');
  await theirs.closed.catch(() => {});
  await client.ping();
  const open = client.newStream({ name: 'still open' });
  (await next(server)).accept();
  await open.reply;
  await open.write('some');
  return open;
}

describe('trace', () => {
  it('writes records of which each is valid by the schema, frames and figures too', async () => {
    const { client, server } = two();
    const clock = new ManualClock();
    let text = '';
    client.pipe(trace((more) => (text += more), { frames: true, statsMs: 50, clock, title: 'busy' }));
    const open = await busyness(client, server);
    clock.pass(120);
    open.reset();
    client.abort(new Error('enough'));
    await finish(client, server);
    const records = text
      .split('\x1e')
      .slice(1)
      .map((part) => JSON.parse(part) as { name?: string });
    for (const record of records) {
      if (!validate(record)) throw new Error(`${JSON.stringify(record)}: ${JSON.stringify(validate.errors)}`);
    }
    const names = new Set(records.map(({ name }) => name?.replace('rxmux:', '')));
    const expected = ['connection_started', 'stream_opened', 'stream_replied', 'stream_half_closed'];
    expected.push('stream_closed', 'stream_reset', 'ping', 'goaway', 'frame', 'stats', 'connection_closed');
    expect([...names]).toEqual(expect.arrayContaining(expected));
    expect(clock.pending).toBe(0);
    expect(records.at(-1)?.name).toBe('rxmux:connection_closed');
  });

  it.each([
    [
      'an unknown state',
      { time: 1, group_id: 'a', name: 'rxmux:stream_replied', data: { stream_id: 1, state: 'ajar' } },
    ],
    ['a missing member', { time: 1, group_id: 'a', name: 'rxmux:stream_opened', data: { stream_id: 1 } }],
    ['no time', { group_id: 'a', name: 'rxmux:ping', data: { rtt: 1 } }],
    ['no connection', { time: 1, name: 'rxmux:ping', data: { rtt: 1 } }],
    ['a foreign name', { time: 1, group_id: 'a', name: 'quic:packet_sent', data: {} }],
  ])('has a schema that refuses %s', (_what, record) => {
    expect(validate(record)).toBe(false);
  });

  it('is read back, and its table is the one of the live run', async () => {
    const { client, server } = two();
    const live = new Map<number, Stream>();
    client.events$.subscribe((event) => {
      if ('stream' in event) live.set(event.stream.id, event.stream);
    });
    let text = '';
    client.pipe(trace((more) => (text += more)));
    const open = await busyness(client, server);
    await new Promise((resolve) => setTimeout(resolve, 0));
    const table = new TraceTable();
    for (const event of readTrace(text).events) table.apply(event);
    expect([...table.rows.keys()]).toEqual([...live.keys()]);
    for (const [id, stream] of live) {
      const row = table.rows.get(id);
      expect(row).toMatchObject({ origin: stream.origin, state: stream.state, label: stream.label });
      expect(Math.abs((row?.openedAt ?? 0) - stream.stats.openedAt)).toBeLessThan(5);
      if (stream === open) continue;
      expect(row?.stats).toMatchObject({ bytes_in: stream.stats.bytesIn, bytes_out: stream.stats.bytesOut });
    }
    expect([...table.rows.values()].map(({ code, isResetByPeer }) => [code, isResetByPeer])).toEqual([
      [undefined, false],
      [77, false],
      ['refused', true],
      ['internal-error', false],
      [undefined, false],
    ]);
    await finish(client, server);
  });

  it('keeps connections apart that share one file, to a table of each', async () => {
    const pairs = [two(), two()];
    const lives = pairs.map(() => new Map<number, Stream>());
    let text = '';
    const write = (more: string): void => {
      text += more;
    };
    for (const [index, { client, server }] of pairs.entries()) {
      client.events$.subscribe((event) => {
        if ('stream' in event) lives[index]?.set(event.stream.id, event.stream);
      });
      client.pipe(trace(write, { group: 'edge', frames: true }));
      echo(server);
    }
    for (let round = 1; round <= 3; round++) {
      await Promise.all(
        pairs.map(async ({ client }, index) => {
          const stream = client.newStream({ round: `${round}` }, { label: `of ${index}` });
          void stream.send('x'.repeat(round + index * 10));
          await textOf(stream);
          await stream.closed;
          client.newStream().reset(round);
        }),
      );
    }
    await finish(...pairs.flatMap(({ client, server }) => [client, server]));
    const { connections, events, header } = readTrace(text);
    expect(connections.length).toBe(2);
    expect(new Set(connections.map(({ group }) => group)).size).toBe(2);
    expect(connections.every(({ group }) => /^edge-\d+$/.test(group))).toBe(true);
    expect(header).toEqual(connections[0]?.header);
    expect(events.length).toBe(connections.reduce((sum, { events: own }) => sum + own.length, 0));
    // One after the other would not be what this is about.
    const changes = events.filter(({ group_id }, at) => group_id !== events[at - 1]?.group_id);
    expect(changes.length).toBeGreaterThan(4);
    for (const [index, connection] of connections.entries()) {
      expect(connection.header?.trace.common_fields.group_id).toBe(connection.group);
      const table = new TraceTable();
      for (const event of connection.events) table.apply(event);
      const told = [...table.rows.values()].map(({ id, label, state, stats, headers }) => [
        id,
        label,
        state,
        stats?.bytes_in,
        stats?.bytes_out,
        headers,
      ]);
      const live = [...(lives[index] as Map<number, Stream>).values()].map((stream) => [
        stream.id,
        stream.label,
        stream.state,
        stream.stats.bytesIn,
        stream.stats.bytesOut,
        [...stream.headers],
      ]);
      expect(live.length).toBe(6);
      expect(told).toEqual(live);
    }
  });

  it('takes a connection for another one where its name begins anew, and nameless events for the last one', () => {
    const record = (value: object): string => `\x1e${JSON.stringify(value)}\n`;
    const header = (group_id: string): string =>
      record({ file_schema: 'urn:ietf:params:qlog:file:sequential', trace: { common_fields: { group_id } } });
    const data = { rtt: 1, protocol: 'framer', role: 'client', features: {} };
    const event = (name: string, group?: string): string =>
      record({
        time: 1,
        name: `rxmux:${name}`,
        data,
        ...(group === undefined ? {} : { group_id: group }),
      });
    const text = [
      event('ping', 'a'),
      event('connection_started', 'a'),
      header('b'),
      event('connection_started'),
      event('ping', 'a'),
      event('ping'),
      event('connection_started', 'a'),
      event('ping', 'a'),
      header('c').replace('"c"', '{"not":"a name"}'),
      event('ping'),
    ].join('');
    const { connections, events } = readTrace(text);
    expect(connections.map(({ group, events: own }) => [group, own.length])).toEqual([
      ['a', 3],
      ['b', 2],
      ['a', 2],
      ['', 1],
    ]);
    expect(events.map(({ group_id }) => group_id).join()).toBe('a,a,b,a,b,a,a,');
  });

  it('begins with the streams that are open already', async () => {
    const { client, server } = two();
    echo(server);
    const before = client.newStream({ early: 'yes' });
    await before.reply.catch(() => {});
    let text = '';
    client.pipe(trace((more) => (text += more)));
    await finish(client, server);
    const [started, opened] = readTrace(text).events;
    expect(started).toMatchObject({ name: 'rxmux:connection_started', data: { protocol: 'framer' } });
    expect(opened).toMatchObject({
      data: { stream_id: before.id, headers: [['early', 'yes']], state: 'open' },
    });
  });

  it('tells when the streams of a connection that joins a span were opened, and never goes back', async () => {
    const [first, second] = [two(), two()];
    const early = second.client.newStream();
    const members = new BehaviorSubject<readonly Provider[]>([first.client]);
    let text = '';
    span(members).pipe(trace((more) => (text += more)));
    members.next([first.client, second.client]);
    await finish(first.client, first.server, second.client, second.server);
    const { events } = readTrace(text);
    const times = events.map(({ time }) => time);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    const table = new TraceTable();
    for (const event of events) table.apply(event);
    expect([...table.rows.values()][0]?.openedAt).toBeCloseTo(early.stats.openedAt, 1);
  });

  it('skips records that lack what their names promise, and counts them', () => {
    const figures = { bytes_in: 1, bytes_out: 2, queued_in: 0, queued_out: 0, receive_window: 9 };
    const stats = { ...figures, send_window: null, blocked_on: null };
    const opened = {
      stream_id: 1,
      origin: 'local',
      label: '',
      headers: [['a', 'b']],
      state: 'open',
      opened_at: 1,
    };
    const whole: Readonly<Record<string, object>> = {
      connection_started: { protocol: 'framer', role: 'client', features: {} },
      stream_opened: opened,
      stream_replied: { stream_id: 1, state: 'open' },
      stream_half_closed: { stream_id: 1, state: 'half-closed-local' },
      stats: { streams: [{ stream_id: 1, state: 'open', ...stats }] },
      stream_stalled: { stream_id: 1, side: 'send' },
      stream_resumed: { stream_id: 1, side: 'send' },
      stream_closed: { stream_id: 1, stats },
      stream_reset: { stream_id: 1, remote: true, code: 7, stats },
      ping: { rtt: 1 },
      goaway: { remote: true, last_id: 0 },
      frame: { stream_id: 0, direction: 'in', frame: 'PING', length: 8, flags: 0 },
      connection_closed: {},
      'of tomorrow': {},
    };
    const recordsOf = (data: Readonly<Record<string, unknown>>): string =>
      Object.entries(data)
        .map(([name, each]) => JSON.stringify({ time: 1, group_id: 'a', name: `rxmux:${name}`, data: each }))
        .map((record) => `\x1e${record}\n`)
        .join('');
    const count = Object.keys(whole).length;
    const { broken, events } = readTrace(recordsOf(whole));
    expect([broken, events.length]).toEqual([0, count]);
    for (const [name, data] of Object.entries(whole)) {
      for (const member of Object.keys(data)) {
        const less = recordsOf({ ...whole, [name]: { ...data, [member]: undefined } });
        expect([name, member, readTrace(less).broken]).toEqual([name, member, 1]);
      }
    }
    const bad: readonly (readonly [name: string, data: unknown])[] = [
      ['stats', []],
      ['stats', { streams: {} }],
      ['stats', { streams: [null] }],
      ['stats', { streams: [{ stream_id: 1, state: 'open', ...figures }] }],
      ['stream_opened', { ...opened, stream_id: '1' }],
      ['stream_opened', { ...opened, headers: [['a']] }],
      ['stream_opened', { ...opened, headers: 'a: b' }],
      ['stream_closed', { stream_id: 1, stats: null }],
      ['connection_started', null],
    ];
    for (const [name, data] of bad) {
      const read = readTrace(recordsOf({ ...whole, [name]: data }));
      expect([name, data, read.broken, read.events.length]).toEqual([name, data, 1, count - 1]);
      const table = new TraceTable();
      for (const event of read.events) table.apply(event);
    }
    expect(readTrace('\x1e{"time":1e999,"name":"rxmux:ping","data":{"rtt":2}}\n').broken).toBe(1);
  });

  it('skips what is broken or cut off, and counts it', () => {
    const ping = '\x1e{"time":1,"name":"rxmux:ping","data":{"rtt":2}}\n';
    const { events, broken, header } = readTrace(`${ping}\x1e{"time":\n${ping}\x1e[1]\n${ping.slice(0, -1)}`);
    expect([events.length, broken, header]).toEqual([2, 3, undefined]);
    expect(readTrace('')).toEqual({ header: undefined, events: [], connections: [], broken: 0 });
  });

  it.each([-1, Number.NaN, '7'])('takes no %p for its figures', (value) => {
    expect(() => trace(() => {}, { statsMs: value as number })).toThrow(RangeError);
  });
});
