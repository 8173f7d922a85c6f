import { BehaviorSubject, Subject } from 'rxjs';
import { type Provider, type ProviderEvent, type Span, type Stream, StreamError, span } from 'rxmux';
import { pattern } from '../conformance/bytes.js';
import { until } from '../conformance/wait.js';
import { echo, finish, next, type Two, textOf, two } from './ends.js';

/** Connections whose servers take no stream: each is refused as unprocessed. */
function refusing(): Two {
  return two({ maxStreams: 0, handshakeMs: 0 });
}

async function failureOf(promise: Promise<unknown>): Promise<StreamError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!StreamError.is(error)) throw new Error(`no StreamError: ${String(error)}`);
  return error;
}

let pairs: Two[] = [];

function connections(...made: Two[]): { spanned: (pick?: 'primary') => Span; servers: Provider[] } {
  pairs = made;
  return {
    spanned: (pick) =>
      span(
        made.map(({ client }) => client),
        pick === undefined ? {} : { pick },
      ),
    servers: made.map(({ server }) => server),
  };
}

afterEach(async () => {
  await finish(...pairs.flatMap(({ client, server }) => [client, server]));
  pairs = [];
});

async function roundTrip(stream: Stream, text: string): Promise<void> {
  void stream.send(text);
  expect(await textOf(stream)).toBe(text);
}

describe('span: new streams', () => {
  it('go to each connection in turn', async () => {
    const { spanned, servers } = connections(two(), two(), two());
    servers.forEach(echo);
    const whole = spanned();
    await Promise.all(
      Array.from({ length: 9 }, (_, number) => roundTrip(whole.newStream(), `stream ${number}`)),
    );
    expect(whole.members.map(({ opened }) => opened)).toEqual([3, 3, 3]);
    expect(whole.members.map(({ bytesOut, bytesIn }) => bytesOut === bytesIn && bytesIn > 0)).toEqual([
      true,
      true,
      true,
    ]);
  });

  it('go to live connections only', async () => {
    const { spanned, servers } = connections(two(), two());
    servers.forEach(echo);
    const whole = spanned();
    pairs[0]?.cut();
    await until(() => whole.members.length === 1, 'the span has noticed');
    for (let number = 0; number < 4; number++) await roundTrip(whole.newStream(), 'here');
    expect(whole.members.map(({ opened }) => opened)).toEqual([4]);
  });

  it('leave out a connection that is going away, though nobody has told the span', async () => {
    const { spanned, servers } = connections(two(), two());
    servers.forEach(echo);
    const whole = spanned();
    const held = (pairs[0] as Two).client.newStream();
    await held.write('x');
    void (pairs[0] as Two).client.close();
    for (let number = 0; number < 4; number++) await roundTrip(whole.newStream(), 'here');
    expect(whole.members.map(({ opened }) => opened)).toEqual([0, 4]);
    held.reset();
  });

  it('go where a function says, by their headers', async () => {
    const { servers } = connections(two(), two());
    servers.forEach(echo);
    const [first, second] = pairs.map(({ client }) => client) as [Provider, Provider];
    const whole = span([first, second], {
      pick: (live, headers) => live[Number(headers.get('to'))] as Provider,
    });
    for (const to of ['1', '1', '0', '1']) await roundTrip(whole.newStream({ to }), to);
    expect(whole.members.map(({ opened }) => opened)).toEqual([1, 3]);
    expect(() => span([first], { pick: () => second }).newStream()).toThrow('pick() has to return one of');
  });

  it('go to the first, or to the one with the fewest', async () => {
    const { spanned } = connections(two(), two());
    const primary = spanned('primary');
    for (let number = 0; number < 3; number++) primary.newStream();
    expect(primary.members.map(({ streams }) => streams)).toEqual([3, 0]);
    const least = span(
      pairs.map(({ client }) => client),
      { pick: 'least-streams' },
    );
    for (let number = 0; number < 5; number++) least.newStream();
    expect(least.members.map(({ streams }) => streams)).toEqual([4, 4]);
  });

  it('fail as retryable where no connection is live', async () => {
    connections();
    const set = new Subject<readonly Provider[]>();
    const whole = span(set);
    expect(await failureOf(whole.newStream().reply)).toMatchObject({ code: 'closed', retryable: true });
    expect(await failureOf(whole.ping())).toMatchObject({ code: 'closed' });
    await whole.close();
    await whole.closed;
  });

  it('have ids of their own, which events and frames speak of too', async () => {
    const { spanned, servers } = connections(two(), two(), two());
    servers.forEach(echo);
    const whole = spanned();
    const told: ProviderEvent[] = [];
    const frameIds = new Set<number>();
    whole.events$.subscribe((event) => told.push(event));
    whole.frames$.subscribe(({ streamId }) => frameIds.add(streamId));
    const streams = Array.from({ length: 6 }, () => whole.newStream());
    expect(new Set(streams.map(({ id }) => id)).size).toBe(6);
    for (const stream of streams) expect(whole.streams.get(stream.id)).toBe(stream);
    expect([...whole.streams.values()].toSorted((a, b) => a.id - b.id)).toEqual(
      streams.toSorted((a, b) => a.id - b.id),
    );
    await Promise.all(streams.map((stream) => roundTrip(stream, 'x')));
    await until(() => told.filter(({ type }) => type === 'close').length === 6, 'all are closed');
    for (const stream of streams) {
      const own = told
        .filter((event) => 'stream' in event && event.stream === stream)
        .map(({ type }) => type);
      expect([own[0], own.at(-1)]).toEqual(['open', 'close']);
      expect(frameIds.has(stream.id)).toBe(true);
    }
  });
});

describe('span: a stream refused before its reply', () => {
  it.each([
    ['a string', (stream: Stream) => stream.send('hello')],
    ['a generator', (stream: Stream) => stream.send(['hel', 'lo'])],
    ['writes', (stream: Stream) => Promise.all([stream.write('hel'), stream.write('lo'), stream.end()])],
    [
      'an Observer',
      async (stream: Stream) => {
        stream.next('hel');
        stream.next('lo');
        stream.complete();
      },
    ],
    [
      'a WritableStream',
      async (stream: Stream) => {
        const writer = stream.writable.getWriter();
        await writer.write('hello');
        await writer.close();
      },
    ],
  ])('is retried elsewhere with what was sent of it: %s', async (_what, send) => {
    const { spanned, servers } = connections(refusing(), two());
    echo(servers[1] as Provider);
    const whole = spanned('primary');
    const told: ProviderEvent[] = [];
    let found: Stream | undefined;
    whole.events$.subscribe((event) => {
      told.push(event);
      if (event.type === 'reply') found = whole.streams.get(event.stream.id);
    });
    const stream = whole.newStream({ name: 'value' }, { label: 'moved' });
    const { id } = stream;
    const sent = send(stream);
    const received = textOf(stream);
    expect((await stream.reply).toJSON()).toEqual({});
    expect(found).toBe(stream);
    expect(await received).toBe('hello');
    await sent;
    await stream.closed;
    expect([stream.id, stream.label, stream.state]).toEqual([id, 'moved', 'closed']);
    expect(whole.members).toMatchObject([
      { opened: 1, retried: 1 },
      { opened: 1, retried: 0 },
    ]);
    const types = told
      .filter((event) => 'stream' in event && event.stream === stream)
      .map(({ type }) => type);
    expect(types.toSorted()).toEqual(['close', 'end', 'end', 'open', 'reply']);
    expect([types[0], types.at(-1)]).toEqual(['open', 'close']);
    expect(told.some(({ type }) => type === 'reset')).toBe(false);
  });

  it('is retried with a source that goes on where it was, pulled or pushed', async () => {
    const { spanned, servers } = connections(refusing(), two());
    echo(servers[1] as Provider);
    const whole = spanned('primary');
    let release = (): void => {};
    const pulling = whole.newStream();
    async function* slow(): AsyncGenerator<string> {
      yield 'one ';
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      yield 'two ';
      yield 'three';
    }
    const pulled = pulling.send(slow());
    const pushing = whole.newStream();
    const subject = new Subject<string>();
    const pushed = pushing.send(subject);
    subject.next('one ');
    await until(() => whole.members[1]?.opened === 2, 'both went elsewhere');
    release();
    subject.next('two ');
    subject.next('three');
    subject.complete();
    expect(await textOf(pulling)).toBe('one two three');
    expect(await textOf(pushing)).toBe('one two three');
    await Promise.all([pulled, pushed]);
  });

  it('fails as not retryable once more than 64 KiB were sent, and its source is let go', async () => {
    const { spanned } = connections(refusing(), two());
    const whole = spanned('primary');
    const stream = whole.newStream();
    let closed = false;
    function* source(): Generator<Uint8Array> {
      try {
        for (;;) yield pattern(70_000);
      } finally {
        closed = true;
      }
    }
    const sending = failureOf(stream.send(source()));
    const read = failureOf(stream.read());
    for (const error of [
      await failureOf(stream.reply),
      await sending,
      await read,
      await failureOf(stream.closed),
    ])
      expect(error).toMatchObject({ code: 'refused', retryable: false });
    await until(() => closed, 'the source is closed');
    expect(whole.members[1]?.opened).toBe(0);
  });

  it('is retried as often as it may be, and then fails as it was refused', async () => {
    const { servers } = connections(refusing(), refusing(), refusing(), two());
    const providers = pairs.map(({ client }) => client);
    const whole = span(providers, { pick: 'primary' });
    const stream = whole.newStream();
    expect(await failureOf(stream.reply)).toMatchObject({ code: 'refused', remote: true, retryable: true });
    expect(whole.members.map(({ opened }) => opened)).toEqual([1, 1, 1, 0]);
    const more = span(providers, { pick: 'primary', retries: 3 });
    echo(servers[3] as Provider);
    await roundTrip(more.newStream(), 'at the fourth');
    const none = span(providers, { pick: 'primary', retries: 0 });
    expect(await failureOf(none.newStream().reply)).toMatchObject({ retryable: true });
    // Would be without end.
    expect(() => span(providers, { retries: Number.NaN })).toThrow(RangeError);
  });

  it('is not retried if it was refused by the application', async () => {
    const { spanned, servers } = connections(two(), two());
    const whole = spanned('primary');
    const stream = whole.newStream();
    (await next(servers[0] as Provider)).reject('internal-error');
    expect(await failureOf(stream.reply)).toMatchObject({
      code: 'refused',
      reset: 'internal-error',
      retryable: false,
    });
    expect(whole.members[1]?.opened).toBe(0);
  });

  it('tells its states once', async () => {
    const { spanned, servers } = connections(refusing(), two());
    echo(servers[1] as Provider);
    const stream = spanned('primary').newStream();
    const states: string[] = [];
    const over = new Promise<void>((resolve) => {
      stream.state$.subscribe({ next: (state) => states.push(state), complete: resolve });
    });
    await roundTrip(stream, 'x');
    await over;
    expect(states.filter((state, at) => states.indexOf(state) !== at)).toEqual([]);
    expect([states[0], states.at(-1)]).toEqual(['opening', 'closed']);
  });
});

describe('span: connections', () => {
  it('that die fail their streams with typed errors, and the others go on', async () => {
    const { spanned, servers } = connections(two(), two());
    const whole = spanned();
    servers.forEach(echo);
    const [dying, living, unanswered] = [whole.newStream(), whole.newStream(), whole.newStream()];
    await Promise.all([dying.write('a'), living.write('b'), dying.reply, living.reply]);
    pairs[0]?.cut();
    for (const stream of [dying, unanswered]) {
      expect(await failureOf(stream.closed)).toMatchObject({ code: 'closed', retryable: false });
    }
    void living.end();
    expect(await textOf(living)).toBe('b');
  });

  it('that leave the set get no new streams, and theirs finish', async () => {
    const made = connections(two(), two());
    made.servers.forEach(echo);
    const [first, second] = pairs.map(({ client }) => client) as [Provider, Provider];
    const set = new Subject<readonly Provider[]>();
    const whole = span(set);
    set.next([first]);
    const old = whole.newStream();
    await old.write('begun, ');
    set.next([second]);
    expect(whole.members.map(({ state }) => state)).toEqual(['draining', 'live']);
    for (let number = 0; number < 3; number++) await roundTrip(whole.newStream(), 'new');
    expect(whole.members.map(({ opened }) => opened)).toEqual([1, 3]);
    void old.send('and ended');
    expect(await textOf(old)).toBe('begun, and ended');
    await old.closed;
    set.complete();
  });

  it('bring the streams they have to whoever looks on', async () => {
    pairs = [two(), two()];
    const [first, second] = pairs as [Two, Two];
    const members = new BehaviorSubject<readonly Provider[]>([first.client]);
    const whole = span(members);
    const told: string[] = [];
    const seen = new Map<Stream, number>();
    whole.events$.subscribe((event) => {
      if (!('stream' in event)) return;
      told.push(event.type);
      if (!seen.has(event.stream)) seen.set(event.stream, event.at);
    });
    const ours = second.client.newStream();
    const theirs = second.server.newStream();
    await theirs.write('x');
    await until(() => second.client.streams.size === 2, 'the stream has come');
    const now = performance.timeOrigin + performance.now();
    members.next([first.client, second.client]);
    expect(told).toEqual(['open', 'accept']);
    expect([...seen.keys()]).toEqual([...whole.streams.values()]);
    // When they were opened, their stats say: times of events never go back.
    for (const at of seen.values()) expect(at).toBeGreaterThanOrEqual(now);
    expect([...seen.keys()][0]?.stats.openedAt).toBe(ours.stats.openedAt);
    for (const stream of whole.streams.values()) stream.reset();
    expect(told).toEqual(['open', 'accept', 'reset', 'reset']);
    expect(seen.size).toBe(2);
  });

  it('have their incoming streams merged, one reader for all', async () => {
    const { spanned, servers } = connections(two(), two(), two());
    const whole = spanned();
    const sent = servers.map((server, number) => server.newStream({ from: String(number) }));
    const taken: Stream[] = [];
    const subscription = whole.accept$.subscribe((stream) => taken.push(stream));
    await until(() => taken.length === 3, 'all have come');
    expect(taken.map(({ headers }) => headers.get('from')).toSorted()).toEqual(['0', '1', '2']);
    expect(new Set(taken.map(({ id }) => id)).size).toBe(3);
    for (const stream of taken) expect(whole.streams.get(stream.id)).toBe(stream);
    subscription.unsubscribe();
    servers[2]?.newStream({ from: 'later' });
    expect((await next(whole)).headers.get('from')).toBe('later');
    expect(sent.length).toBe(3);
  });

  it('are all closed by close(), after which everything has settled', async () => {
    const { spanned, servers } = connections(two(), two());
    servers.forEach(echo);
    const whole = spanned();
    const stream = whole.newStream();
    await stream.write('x');
    const closing = whole.close();
    void stream.send('y');
    expect(await textOf(stream)).toBe('xy');
    await closing;
    await whole.closed;
    expect(await whole.accept()).toBeNull();
    expect(await failureOf(whole.newStream().reply)).toMatchObject({ code: 'closed', retryable: true });
  });
});
