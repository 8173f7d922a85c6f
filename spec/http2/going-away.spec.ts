/** A graceful end in two steps (RFC 9113 §6.8): what the peer opened before it could hear of it is not lost. */
import { type Limits, memoryPair, type Provider, type Stream } from 'rxmux';
import { type Http2Options, http2 } from 'rxmux/http2';
import { errorCode, frameFlag, frameType, SETTINGS_SERVER_OPENS } from '../../lib/http2/frames.js';
import { trackProvider } from '../support/leaks.js';
import { ManualClock } from '../support/manual-clock.js';
import { ScriptedTransport } from '../support/scripted-transport.js';
import { frame, hex, join, latin1, parseChunks, post, preface, settings, settled } from './support.js';

const { DATA, HEADERS, PING, SETTINGS } = frameType;
const { ACK, END_HEADERS, END_STREAM } = frameFlag;
const highest = 2 ** 31 - 1;

const open = (id: number): Uint8Array =>
  join(frame(HEADERS, END_HEADERS, id, post), frame(DATA, END_STREAM, id, latin1(`stream ${id}`)));

/** An end of ours whose peer is the spec. */
class Rig {
  readonly transport = new ScriptedTransport();
  readonly clock = new ManualClock();
  readonly provider: Provider;
  readonly taken: number[] = [];

  constructor(role: 'client' | 'server', options: Http2Options = {}) {
    this.provider = trackProvider(
      http2(this.transport, { ...options, role, clock: this.clock } as Http2Options),
    );
  }

  /** Takes streams from here on, and echoes them. */
  serve(): void {
    this.provider.accept$.subscribe({
      next: (stream) => {
        this.taken.push(stream.id);
        void stream.send(stream.data$);
      },
      error: () => {},
    });
  }

  async says(...frames: readonly Uint8Array[]): Promise<void> {
    this.transport.feed(join(...frames));
    await settled();
  }

  /** What it has said of these kinds, in order. */
  heard(...kinds: readonly string[]): unknown[] {
    const { events } = parseChunks([
      this.transport.written.subarray(this.provider.info.role === 'client' ? 24 : 0),
    ]);
    return events.filter(
      (event) => typeof event === 'object' && kinds.some((kind) => kind in (event as object)),
    );
  }

  /** Answers its pings so far. */
  async hearsPings(): Promise<void> {
    const pings = this.heard('ping') as { ping: string; ack: boolean }[];
    await this.says(...pings.map(({ ping }) => frame(PING, ACK, 0, latin1(ping))));
  }
}

const goAway = (lastId: number): unknown => ({ goAway: lastId, code: errorCode.NO_ERROR, debug: '' });
const refusal = (id: number): unknown => ({ rstStream: id, code: errorCode.REFUSED_STREAM });

async function server(): Promise<Rig> {
  const rig = new Rig('server');
  await rig.says(preface, settings);
  return rig;
}

describe('streams that wait for MAX_CONCURRENT_STREAMS', () => {
  const one = frame(SETTINGS, 0, 0, hex('0003 00000001'));
  const answer = frame(HEADERS, END_HEADERS | END_STREAM, 1, hex('88'));
  const opened = (rig: Rig): unknown[] =>
    rig.heard('headers').map((event) => (event as { headers: number }).headers);

  it('are opened before a client that closes has said so', async () => {
    const rig = new Rig('client');
    await rig.says(one);
    const streams = [rig.provider.newStream(), rig.provider.newStream()];
    for (const stream of streams) void stream.end();
    const closing = rig.provider.close();
    await settled();
    expect([opened(rig), rig.heard('goAway')]).toEqual([[1], []]);
    await rig.says(answer);
    expect([opened(rig), rig.heard('goAway')]).toEqual([[1, 3], [goAway(0)]]);
    await rig.says(frame(HEADERS, END_HEADERS | END_STREAM, 3, hex('88')));
    rig.transport.close();
    await closing;
    await Promise.all(streams.map(({ closed }) => closed));
  });

  it('are not opened any more once the peer goes away (§6.8), and can be retried', async () => {
    const rig = new Rig('client');
    await rig.says(one);
    const streams = [rig.provider.newStream(), rig.provider.newStream()];
    for (const stream of streams) void stream.end();
    await settled();
    await rig.says(frame(frameType.GOAWAY, 0, 0, hex('7fffffff 00000000')));
    await expect(streams[1]?.closed).rejects.toMatchObject({ code: 'refused', retryable: true });
    await rig.says(answer);
    expect(opened(rig)).toEqual([1]);
    await streams[0]?.closed;
    rig.transport.close();
    await rig.provider.closed;
  });
});

describe('a server that closes', () => {
  it('takes what the client opened before it heard, and tells it the last of these', async () => {
    const rig = await server();
    rig.serve();
    await rig.says(open(1));
    const closing = rig.provider.close();
    await settled();
    expect(rig.heard('goAway')).toEqual([goAway(highest)]);
    await rig.says(open(3), open(5));
    expect(rig.taken).toEqual([1, 3, 5]);
    expect(rig.transport.ended).toBe(false);
    await rig.hearsPings();
    expect(rig.heard('goAway')).toEqual([goAway(highest), goAway(5)]);
    const echoes = rig.heard('dataEnd') as { dataEnd: number; data: string }[];
    expect(echoes.map(({ data }) => data).join('')).toBe('stream 1stream 3stream 5');
    await closing;
  });

  it('waits for that when no stream is open, too', async () => {
    const rig = await server();
    rig.serve();
    const closing = rig.provider.close();
    await settled();
    expect([rig.heard('goAway'), rig.transport.ended]).toEqual([[goAway(highest)], false]);
    await rig.hearsPings();
    expect([rig.heard('goAway'), rig.transport.ended]).toEqual([[goAway(highest), goAway(0)], true]);
    await closing;
  });

  it('refuses what is opened after that, in so many words', async () => {
    const rig = await server();
    rig.serve();
    await rig.says(frame(HEADERS, END_HEADERS, 1, post));
    const closing = rig.provider.close();
    await settled();
    await rig.hearsPings();
    await rig.says(open(3));
    expect(rig.heard('rstStream')).toEqual([refusal(3)]);
    expect(rig.taken).toEqual([1]);
    await rig.says(frame(DATA, END_STREAM, 1, latin1('the rest')));
    await closing;
  });

  it('refuses what nobody is there to take', async () => {
    const rig = await server();
    const closing = rig.provider.close();
    await rig.says(open(1));
    expect(rig.heard('rstStream')).toEqual([refusal(1)]);
    await rig.hearsPings();
    await closing;
  });

  it('does not wait for ever for a client that answers no ping', async () => {
    const rig = await server();
    rig.serve();
    const closing = rig.provider.close();
    await settled();
    rig.clock.pass(999);
    await settled();
    expect(rig.transport.ended).toBe(false);
    rig.clock.pass(1);
    await closing;
    expect(rig.heard('goAway')).toEqual([goAway(highest), goAway(0)]);
    expect(rig.clock.pending).toBe(0);
  });

  it('waits less for one that has said nothing at all', async () => {
    const rig = new Rig('server');
    rig.transport.answersEnd = false;
    const closing = rig.provider.close();
    rig.clock.pass(200);
    await settled();
    expect(rig.transport.ended).toBe(true);
    rig.clock.pass(200);
    await closing;
    expect(rig.clock.pending).toBe(0);
  });

  it('gives up waiting when the connection is lost', async () => {
    const rig = await server();
    const closing = rig.provider.close();
    rig.transport.close(new Error('cut'));
    await expect(closing).rejects.toMatchObject({ code: 'closed', remote: true });
    expect(rig.clock.pending).toBe(0);
  });

  it('tells of both steps on `events$`', async () => {
    const rig = await server();
    const told: number[] = [];
    rig.provider.events$.subscribe((event) => {
      if (event.type === 'goaway' && !event.remote) told.push(event.lastId);
    });
    const closing = rig.provider.close();
    await settled();
    await rig.hearsPings();
    await closing;
    expect(told).toEqual([highest, 0]);
  });
});

describe('a client that closes', () => {
  it('says so at once to a server that opens no streams', async () => {
    const rig = new Rig('client');
    await rig.says(settings);
    const closing = rig.provider.close();
    await closing;
    expect(rig.heard('goAway', 'ping')).toEqual([goAway(0)]);
  });

  it('warns a server that does', async () => {
    const rig = new Rig('client');
    rig.serve();
    const announced = join(
      Uint8Array.of(SETTINGS_SERVER_OPENS >> 8, SETTINGS_SERVER_OPENS & 255),
      hex('00000001'),
    );
    await rig.says(frame(SETTINGS, 0, 0, announced));
    const closing = rig.provider.close();
    await rig.says(open(2));
    expect([rig.heard('goAway'), rig.taken]).toEqual([[goAway(highest)], [2]]);
    await rig.hearsPings();
    expect(rig.heard('goAway')).toEqual([goAway(highest), goAway(2)]);
    await closing;
  });
});

describe('both ends of ours', () => {
  /** A client and a server of ours, which echoes. */
  function pair(limits: Partial<Limits> = {}): [Provider, Provider] {
    const [near, far] = memoryPair();
    const both: [Provider, Provider] = [
      trackProvider(http2(near, { role: 'client' })),
      trackProvider(http2(far, { role: 'server', limits })),
    ];
    both[1].accept$.subscribe({ next: (stream) => void stream.send(stream.data$), error: () => {} });
    return both;
  }

  async function textOf(stream: Stream): Promise<string> {
    let text = '';
    for await (const chunk of stream) text += new TextDecoder().decode(chunk);
    return text;
  }

  it('lose no stream that was opened in the turn in which the server closed', async () => {
    const [client, server] = pair();
    await client.ping();
    const before = client.newStream();
    const closing = server.close();
    const after = client.newStream();
    const heard = [before, after].map(async (stream, index) => {
      await stream.send(`stream ${index}`);
      return await textOf(stream);
    });
    expect(await Promise.all(heard)).toEqual(['stream 0', 'stream 1']);
    await closing;
    await expect(client.newStream().reply).rejects.toMatchObject({ code: 'closed', retryable: true });
    await client.close();
  });
});
