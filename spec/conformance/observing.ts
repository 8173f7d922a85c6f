/** Looking on: SEMANTICS 23, 24, 25. */
import { hold, type ProviderEvent, type ProviderOperator, type Stream } from 'rxmux';
import { collect, pattern, Supply, take, text } from './bytes.js';
import { type Check, type Ends, link, next, small, smallWindow } from './pair.js';
import { each, fate, pause, streamFailure, turn, until, watch } from './wait.js';

/** The types of a stream's events, each where it came first. */
function story(events: readonly ProviderEvent[], stream: Stream): string[] {
  const own = events.filter((event) => 'stream' in event && event.stream === stream);
  return [...new Set(own.map(({ type }) => type))];
}

/** A stream that says something both ways and closes. */
async function exchange(ends: Ends): Promise<{ a: Stream; b: Stream }> {
  const { a, b } = await link(ends);
  void a.send('question');
  expect(text(await collect(b))).toBe('question');
  void b.send('answer');
  expect(text(await collect(a))).toBe('answer');
  await Promise.all([a.closed, b.closed]);
  return { a, b };
}

export function observingCases(check: Check): void {
  check('23. events$ tells the life of a stream in order', async (ends) => {
    const [here, there] = [watch(ends.opener.events$), watch(ends.acceptor.events$)];
    const { a, b } = await exchange(ends);
    await until(
      () => story(here.values, a).includes('close') && story(there.values, b).includes('close'),
      'close',
    );
    expect(story(here.values, a)).toEqual(['open', 'reply', 'end', 'close']);
    const accepted = story(there.values, b);
    expect(accepted.filter((type) => ['accept', 'end', 'close'].includes(type))).toEqual([
      'accept',
      'end',
      'close',
    ]);
    const times = here.values.map(({ at }) => at);
    expect(times).toEqual(times.toSorted((one, other) => one - other));
    expect(here.values.filter(({ type }) => type === 'close').length).toBe(1);
  });

  check('23. events$ tells a reset once at each end, with its code and who did it', async (ends) => {
    const [here, there] = [watch(ends.opener.events$), watch(ends.acceptor.events$)];
    const { a, b } = await link(ends);
    a.reset('cancel');
    await streamFailure(() => b.closed);
    await turn();
    const resets = (events: readonly ProviderEvent[]) => events.filter(({ type }) => type === 'reset');
    expect(resets(here.values)).toMatchObject([{ code: 'cancel', remote: false }]);
    expect(resets(there.values)).toMatchObject([{ code: 'cancel', remote: true }]);
    expect(story(there.values, b).at(-1)).toBe('reset');
  });

  check('23. what happens, streams and frames have their times by one clock', async (ends) => {
    const events = watch(ends.opener.events$);
    await exchange(ends);
    const before = events.values.at(-1)?.at ?? Number.NaN;
    await pause(2);
    const frames = watch(ends.opener.frames$);
    const { a } = await exchange(ends);
    const { openedAt } = a.stats;
    expect(openedAt).toBeGreaterThan(before);
    const later = events.values.filter((event) => 'stream' in event && event.stream === a);
    for (const { at } of [...later, ...frames.values]) expect(at).toBeGreaterThanOrEqual(openedAt);
  });

  check('23. events$ and frames$ are live, and may have several subscribers', async (ends) => {
    const { opener } = ends;
    const [first, second] = [watch(opener.events$), watch(opener.events$)];
    await exchange(ends);
    first.subscription.unsubscribe();
    const seen = first.values.length;
    const late = watch(opener.events$);
    const { a } = await exchange(ends);
    await until(() => story(second.values, a).includes('close'), 'the second goes on');
    expect(first.values.length).toBe(seen);
    expect(second.values.length).toBe(seen + late.values.length);
    expect(late.values[0]).toMatchObject({ type: 'open', stream: a });
  });

  check('24. events$ shows streams without taking any from accept$', async (ends) => {
    const events = watch(ends.acceptor.events$);
    ends.opener.newStream();
    const b = await next(ends.acceptor);
    await until(() => story(events.values, b).includes('accept') || events.values.length > 0, 'an event');
    b.accept();
    await until(() => story(events.values, b).includes('accept'), 'the event of that stream');
  });

  check('23. frames$ shows every frame, in both directions, alike at both ends', async (ends) => {
    const [here, there] = [watch(ends.opener.frames$), watch(ends.acceptor.frames$)];
    const { a, b } = await link(ends);
    await a.write('question');
    expect(text(await take(b, 8))).toBe('question');
    await b.send('answer');
    expect(text(await collect(a))).toBe('answer');
    // An end by itself: a frame without bytes, where it is one.
    await a.end();
    expect(await b.read()).toBeNull();
    const bytes = (frames: typeof here.values, direction: 'in' | 'out') =>
      frames.filter((frame) => frame.direction === direction).reduce((sum, { length }) => sum + length, 0);
    // In no order: where a frame travels within another, the ends see them in different ones.
    const list = (frames: typeof here.values, direction: 'in' | 'out') =>
      frames
        .flatMap((frame) => (frame.direction === direction ? [`${frame.name} ${frame.length}`] : []))
        .sort();
    const count = (frames: typeof here.values, direction: 'in' | 'out') => list(frames, direction).length;
    await until(
      () =>
        count(here.values, 'out') === count(there.values, 'in') &&
        count(here.values, 'in') === count(there.values, 'out'),
      'what one end sent is what the other saw come',
    );
    expect(list(there.values, 'in')).toEqual(list(here.values, 'out'));
    expect(list(here.values, 'in')).toEqual(list(there.values, 'out'));
    expect(bytes(here.values, 'out')).toBeGreaterThanOrEqual('question'.length);
    expect(bytes(here.values, 'in')).toBeGreaterThanOrEqual('answer'.length);
    expect(here.values.some(({ streamId, direction }) => streamId === a.id && direction === 'out')).toBe(
      true,
    );
    expect(here.values.every(({ name, at, flags }) => name !== '' && at >= 0 && flags >= 0)).toBe(true);
  });

  check('23. who is shown a frame of a stream may reset it: the other streams go on', async (ends) => {
    const others = await link(ends);
    const { a, b } = await link(ends);
    each(ends.opener.frames$, ({ direction, streamId, length }) => {
      if (direction === 'out' && streamId === a.id && length > 1000) a.reset('cancel');
    });
    const ended = Promise.all([a, b].map(({ closed }) => streamFailure(() => closed)));
    fate(a.write(pattern(5000)));
    expect((await ended).map(({ remote }) => remote)).toEqual([false, true]);
    void others.a.send('still here');
    expect(text(await collect(others.b))).toBe('still here');
  });

  check('23. events$ and frames$ complete with the provider', async ({ opener }) => {
    const both = [watch(opener.events$), watch(opener.frames$)];
    await opener.close();
    await until(() => both.every(({ end }) => end !== null), 'both end');
    expect(both.map(({ end }) => end)).toEqual(['complete', 'complete']);
  });

  check('23. events$ and frames$ complete when the connection is lost: others tell why', async (ends) => {
    const { opener, acceptor, cut } = ends;
    const all = [opener, acceptor].flatMap(({ events$, frames$ }) => [watch(events$), watch(frames$)]);
    await link(ends);
    cut();
    await until(() => all.every(({ end }) => end !== null), 'all end');
    expect(all.map(({ end }) => end)).toEqual(['complete', 'complete', 'complete', 'complete']);
  });

  check('23. a shut window is a stall of the sender, and resumes', { acceptor: small }, async (ends) => {
    const { a, b } = await link(ends);
    const events = watch(ends.opener.events$);
    const total = ends.ahead(smallWindow) + 50_000;
    const sent = a.send(pattern(total));
    const side = { stream: a, side: 'send' };
    await until(() => events.values.some(({ type }) => type === 'stall'), 'a stall event');
    expect(events.values.find(({ type }) => type === 'stall')).toMatchObject(side);
    if (ends.features.flowControl) expect([a.stats.blockedOn, a.stats.sendWindow]).toEqual(['window', 0]);
    else expect(a.stats.blockedOn).toBe('transport');
    expect((await collect(b)).byteLength).toBe(total);
    await sent;
    await until(() => events.values.some(({ type }) => type === 'resume'), 'a resume event');
    expect(events.values.find(({ type }) => type === 'resume')).toMatchObject(side);
    expect(a.stats.blockedOn).toBeNull();
  });

  check('23. a source that waits for the window is a stall too', { acceptor: small }, async (ends) => {
    const { a, b } = await link(ends);
    const events = watch(ends.opener.events$);
    void a.send(new Supply(1000).sync());
    await until(() => events.values.some(({ type }) => type === 'stall'), 'a stall event');
    expect(a.stats.blockedOn).toBe(ends.features.flowControl ? 'window' : 'transport');
    await take(b, 2 * smallWindow);
    await until(() => events.values.some(({ type }) => type === 'resume'), 'a resume event');
  });

  check('23. a held reader is a stall of the receiver, and resumes', { acceptor: small }, async (ends) => {
    const { a, b } = await link(ends);
    const events = watch(ends.acceptor.events$);
    let release: (() => void) | undefined;
    each(b.data$, () => {
      release ??= hold();
    });
    void a.send(new Supply(1000, 100_000).sync());
    const side = { stream: b, side: 'receive' };
    await until(() => events.values.some(({ type }) => type === 'stall'), 'a stall event');
    expect(events.values.find(({ type }) => type === 'stall')).toMatchObject(side);
    expect(b.stats.blockedOn).toBe('reader');
    release?.();
    await until(() => events.values.some(({ type }) => type === 'resume'), 'a resume event');
    expect(events.values.find(({ type }) => type === 'resume')).toMatchObject(side);
    await until(() => b.state === 'half-closed-remote', 'the rest comes');
    expect(b.stats.blockedOn).toBeNull();
  });

  check('23. stats count what went and what waits', { acceptor: small }, async (ends) => {
    const { a, b } = await link(ends);
    expect([a.stats.bytesOut, b.stats.bytesIn, b.stats.queuedIn, a.stats.blockedOn]).toEqual([0, 0, 0, null]);
    expect(Number.isFinite(a.stats.openedAt)).toBe(true);
    const before = a.stats.sendWindow;
    await a.write(pattern(5000));
    await until(() => b.stats.queuedIn === 5000, 'the bytes wait');
    expect([a.stats.bytesOut, a.stats.queuedOut, b.stats.bytesIn]).toEqual([5000, 0, 5000]);
    if (ends.features.flowControl) {
      expect([before, a.stats.sendWindow]).toEqual([smallWindow, smallWindow - 5000]);
      expect(b.stats.receiveWindow).toBe(smallWindow - 5000);
    }
    await take(b, 5000);
    expect(b.stats.queuedIn).toBe(0);
    void a.write(pattern(ends.ahead(smallWindow) + 50_000));
    await until(() => a.stats.queuedOut > 0, 'the rest waits with the sender');
    expect(a.stats.bytesOut + a.stats.queuedOut).toBe(5000 + ends.ahead(smallWindow) + 50_000);
  });

  check('23. state$ says the state now, each change, and completes', async (ends) => {
    const { opener, acceptor } = ends;
    const a = opener.newStream();
    const states = watch(a.state$);
    expect(states.values).toEqual(['opening']);
    const b = (await next(acceptor)).accept();
    await a.reply;
    await a.send('one half');
    await collect(b);
    await b.send('the other');
    await collect(a);
    await until(() => states.end !== null, 'it completes');
    expect([states.end, states.values]).toEqual([
      'complete',
      ['opening', 'open', 'half-closed-local', 'closed'],
    ]);
    const late = watch(a.state$);
    await turn();
    expect([late.end, late.values]).toEqual(['complete', ['closed']]);
  });

  check('23. state$ of a reset stream ends with reset', async (ends) => {
    const { a, b } = await link(ends);
    const [here, there] = [watch(a.state$), watch(b.state$)];
    a.reset();
    await until(() => here.end !== null && there.end !== null, 'both complete');
    expect([here.values, here.end]).toEqual([['open', 'reset'], 'complete']);
    expect([there.values, there.end]).toEqual([['open', 'reset'], 'complete']);
  });

  check('23. ping() measures the round trip, and is an event', async ({ opener, features }) => {
    if (!features.ping) {
      await streamFailure(() => opener.ping());
      return;
    }
    const events = watch(opener.events$);
    const rtt = await opener.ping();
    expect(rtt).toBeGreaterThanOrEqual(0);
    expect(rtt).toBeLessThan(4000);
    expect(events.values).toMatchObject([{ type: 'ping', rtt }]);
  });

  check('23. ping() answers while streams are open and windows shut', { acceptor: small }, async (ends) => {
    const { opener, acceptor, features } = ends;
    if (!features.ping) return;
    const { a } = await link(ends);
    fate(a.write(pattern(2 * smallWindow)));
    const trips = await Promise.all([opener.ping(), opener.ping(), acceptor.ping()]);
    expect(trips.every((rtt) => rtt >= 0 && rtt < 4000)).toBe(true);
  });

  check('23. going away is an event at the peer', async (ends) => {
    const { opener, acceptor, features } = ends;
    const { a, b } = await link(ends);
    const events = watch(acceptor.events$);
    const closing = opener.close();
    await a.end();
    await b.end();
    await Promise.all([a.read(), b.read(), closing, acceptor.closed]);
    const away = events.values.flatMap((event) => (event.type === 'goaway' ? [event] : []));
    expect(away.some(({ remote }) => remote)).toBe(features.goAway);
    expect(away.every(({ lastId }) => Number.isInteger(lastId) && lastId >= 0)).toBe(true);
  });

  check('23. a label names a stream for people', async ({ opener, acceptor }) => {
    const plain = opener.newStream();
    await next(acceptor);
    expect(plain.label).toBe(`${opener.info.protocol}#${plain.id}`);
    const named = opener.newStream({}, { label: 'upload' });
    expect(named.label).toBe('upload');
    named.label = 'download';
    expect(named.label).toBe('download');
  });

  check('25. info says which protocol and role, and what it has', async ({ opener, acceptor }) => {
    expect([opener.info.role, acceptor.info.role].toSorted()).toEqual(['client', 'server']);
    expect(opener.info.protocol).toBe(acceptor.info.protocol);
    expect(opener.info.protocol).not.toBe('');
    const names = ['flowControl', 'goAway', 'halfStop', 'headers', 'ping', 'replyHeaders', 'trailers'];
    expect(Object.keys(opener.info.features).toSorted()).toEqual(names);
    expect(Object.values(opener.info.features).every((value) => typeof value === 'boolean')).toBe(true);
    expect(opener.info.features).toEqual(acceptor.info.features);
  });

  check('25. pipe() applies operators from left to right', async ({ opener }) => {
    const seen: string[] = [];
    const noting =
      (name: string): ProviderOperator =>
      (provider) => {
        seen.push(name);
        return provider;
      };
    const piped = opener.pipe(noting('first'), noting('second'));
    expect([piped, seen]).toEqual([opener, ['first', 'second']]);
    expect(opener.pipe()).toBe(opener);
  });
}
