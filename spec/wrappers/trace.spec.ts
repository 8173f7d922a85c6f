import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { type Provider, readTrace, type Stream, TraceTable, trace } from 'rxmux';
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
    ['an unknown state', { time: 1, name: 'rxmux:stream_replied', data: { stream_id: 1, state: 'ajar' } }],
    ['a missing member', { time: 1, name: 'rxmux:stream_opened', data: { stream_id: 1 } }],
    ['no time', { name: 'rxmux:ping', data: { rtt: 1 } }],
    ['a foreign name', { time: 1, name: 'quic:packet_sent', data: {} }],
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

  it('skips what is broken or cut off, and counts it', () => {
    const ping = '\x1e{"time":1,"name":"rxmux:ping","data":{"rtt":2}}\n';
    const { events, broken, header } = readTrace(`${ping}\x1e{"time":\n${ping}\x1e[1]\n${ping.slice(0, -1)}`);
    expect([events.length, broken, header]).toEqual([2, 3, undefined]);
    expect(readTrace('')).toEqual({ header: undefined, events: [], broken: 0 });
  });
});
