import { spawnSync } from 'node:child_process';
import { limit, type Meter, meter, type Stream } from 'rxmux';
import { until } from '../conformance/wait.js';
import { drain, echoAll, type Linked, linked } from '../dashboard/connections.js';
import { interopTest, peers } from '../support/interop.js';

let connections: Linked[] = [];

afterEach(async () => {
  for (const connection of connections) await connection.close();
  connections = [];
});

/** A connection with some of everything on it. */
async function busy(metrics: Meter): Promise<Linked> {
  const connection = linked();
  connections.push(connection);
  const { client, server } = connection;
  client.pipe(metrics.named('back\\slash "quoted"\nline'));
  echoAll(server);
  for (let i = 0; i < 3; i++) {
    const stream = client.newStream({});
    void stream.send(new Uint8Array(1000));
    await drain(stream);
    await stream.closed;
  }
  client.newStream({}).reset('cancel');
  client.newStream({}).reset(77);
  client.newStream({}).reset(78);
  await client.ping();
  client.newStream({});
  return connection;
}

/** The value of the sample whose line has all of these in it. */
function figure(text: string, ...parts: string[]): number | undefined {
  const line = text
    .split('\n')
    .find((each) => !each.startsWith('#') && parts.every((part) => each.includes(part)));
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ') + 1));
}

describe('meter()', () => {
  it('counts connections, streams and bytes', async () => {
    const metrics = meter();
    const { close } = await busy(metrics);
    const text = metrics.text();
    expect(figure(text, 'rxmux_connections{')).toBe(1);
    expect(figure(text, 'rxmux_streams{', 'origin="local"')).toBe(1);
    expect(figure(text, 'rxmux_streams_opened_total{', 'origin="local"')).toBe(7);
    expect(figure(text, 'rxmux_streams_closed_total{')).toBe(3);
    expect(figure(text, 'rxmux_streams_reset_total{', 'code="cancel"')).toBe(1);
    expect(figure(text, 'rxmux_stream_bytes_total{', 'direction="in"')).toBe(3000);
    expect(figure(text, 'rxmux_stream_bytes_total{', 'direction="out"')).toBe(3000);
    expect(figure(text, 'rxmux_stream_duration_seconds_count{')).toBe(6);
    expect(figure(text, 'rxmux_ping_rtt_seconds_bucket{', 'le="+Inf"')).toBe(1);
    await close();
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect(figure(metrics.text(), 'rxmux_connections{')).toBe(0);
    expect(figure(metrics.text(), 'rxmux_stream_bytes_total{', 'direction="in"')).toBe(3000);
  });

  it('lets no peer make labels', async () => {
    const metrics = meter();
    await busy(metrics);
    const text = metrics.text();
    expect(figure(text, 'rxmux_streams_reset_total{', 'code="other"')).toBe(2);
    expect(text).not.toMatch(/="7[78]"/);
  });

  it('does not count the end of what was never opened', async () => {
    const metrics = meter();
    const connection = linked();
    connections.push(connection);
    const { client, server } = connection;
    client.pipe(metrics);
    echoAll(server);
    await client.newStream({}).reply;
    void server.close().catch(() => {});
    // The answer to a ping comes behind the GOAWAY.
    await client.ping();
    await expect(client.newStream({}).closed).rejects.toMatchObject({ retryable: true });
    const text = metrics.text();
    expect(figure(text, 'rxmux_streams_opened_total{', 'origin="local"')).toBe(1);
    expect(figure(text, 'rxmux_streams_reset_total{')).toBeUndefined();
    expect(figure(text, 'rxmux_stream_duration_seconds_count{')).toBe(0);
  });

  it('counts the end of what a wrapper has replaced since', async () => {
    const metrics = meter();
    const connection = linked();
    connections.push(connection);
    const { client, server } = connection;
    const stream = client.newStream({});
    void stream.end();
    await until(() => server.streams.size === 1, 'the stream has come');
    const limited = server.pipe(limit({ perStream: { rate: 1e9 } }), metrics);
    const far = (await limited.accept()) as Stream;
    void far.end();
    await Promise.all([drain(far), drain(stream), far.closed]);
    const text = metrics.text();
    expect(figure(text, 'rxmux_streams_opened_total{', 'origin="remote"')).toBe(1);
    expect(figure(text, 'rxmux_streams_closed_total{')).toBe(1);
    expect(figure(text, 'rxmux_stream_duration_seconds_count{')).toBe(1);
  });

  it('sees what streams are blocked on', async () => {
    const metrics = meter();
    const connection = linked();
    connections.push(connection);
    connection.client.pipe(metrics);
    const stream = connection.client.newStream({});
    void stream.send(new Uint8Array(1 << 20)).catch(() => {});
    while (stream.stats.blockedOn !== 'window') await new Promise((resolve) => setTimeout(resolve, 1));
    expect(figure(metrics.text(), 'rxmux_streams_blocked{', 'on="window"')).toBe(1);
    expect(figure(metrics.text(), 'rxmux_streams_blocked{', 'on="reader"')).toBe(0);
    stream.reset();
  });

  interopTest('writes what promtool accepts without a complaint', peers.promtool, async () => {
    const metrics = meter();
    await busy(metrics);
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
      input: metrics.text(),
      encoding: 'utf8',
    });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
  });
});
