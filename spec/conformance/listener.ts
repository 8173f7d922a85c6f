/** Listening: SEMANTICS 30, for whatever makes a provider of each connection that comes in. */

import { firstValueFrom, type Observable } from 'rxjs';
import { hold, type Limits, type Provider } from 'rxmux';
import { collect, text } from './bytes.js';
import { link, next } from './pair.js';
import { each, failure, fate, pause, streamFailure, until, watch, within } from './wait.js';

/** What a listener must have, wherever it comes from. */
export interface ListenerLike extends AsyncDisposable {
  readonly address: string;
  readonly accept$: Observable<Provider>;
  readonly providers: ReadonlySet<Provider>;
  close(options?: { signal?: AbortSignal }): Promise<void>;
}

/** A listener and a way to reach it. */
export interface Listening {
  readonly listener: ListenerLike;
  /** A new connection: the client's end. */
  dial(): Promise<Provider>;
  close?(): Promise<void> | void;
}

/** Gives a fresh listener. */
export type Listen = (options?: { readonly limits?: Partial<Limits> }) => Promise<Listening>;

/** What the kit cannot do to a listener by itself. */
export interface ListenerOptions {
  /** Breaks the listening socket of a listener, which nothing but its maker can reach. Its case needs this. */
  readonly fail?: (listening: Listening) => void;
}

/** Registers the cases of SEMANTICS 30. */
export function listenerConformance(name: string, listen: Listen, { fail }: ListenerOptions = {}): void {
  const check = (
    title: string,
    limits: Partial<Limits>,
    body: (listening: Listening) => Promise<void>,
  ): void => {
    test(title, () => withListener(listen, limits, body));
  };

  describe(name, () => {
    check('30. accept$ gives a provider for each connection', {}, async ({ listener, dial }) => {
      const accepted = watch(listener.accept$);
      const clients = [await dial(), await dial()];
      await until(() => accepted.values.length === 2, 'both have come');
      for (const [number, opener] of clients.entries()) {
        const acceptor = accepted.values[number] as Provider;
        const { a, b } = await link({ opener, acceptor });
        void a.send(`connection ${number}`);
        expect(text(await collect(b))).toBe(`connection ${number}`);
      }
    });

    check('30. connections wait for the first subscriber', {}, async ({ listener, dial }) => {
      const opener = await dial();
      void opener.newStream().send('early');
      await pause(10);
      const acceptor = await firstValueFrom(listener.accept$);
      expect(text(await collect(await next(acceptor)))).toBe('early');
    });

    check('30. the backlog of connections is bounded', { backlog: 2 }, async ({ listener, dial }) => {
      const dialled = await Promise.allSettled([dial(), dial(), dial(), dial()]);
      const clients = dialled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
      const fates = clients.map((client) => fate(client.closed));
      await until(
        () => fates.filter(({ state }) => state === 'pending').length === 2,
        'the others are closed',
      );
      const accepted = watch(listener.accept$);
      await until(() => accepted.values.length === 2, 'as many as were kept');
      await pause(10);
      expect(accepted.values.length).toBe(2);
      void dial();
      await until(() => accepted.values.length === 3, 'the listener lives');
    });

    check(
      '30. accept$ has one subscriber at a time, and is paused without',
      {},
      async ({ listener, dial }) => {
        const first = watch(listener.accept$);
        const second = watch(listener.accept$);
        await until(() => second.end === 'error', 'the second gets an error');
        expect(second.error).toMatchObject({ code: 'locked' });
        first.subscription.unsubscribe();
        await dial();
        await dial();
        const one = await firstValueFrom(listener.accept$);
        const other = await firstValueFrom(listener.accept$);
        expect(one).not.toBe(other);
        expect(first.values).toEqual([]);
      },
    );

    check('30. holding accept$ holds acceptance', {}, async ({ listener, dial }) => {
      let accepted = 0;
      let release = (): void => {};
      each(listener.accept$, () => {
        accepted++;
        release = hold();
      });
      await dial();
      await dial();
      await until(() => accepted === 1, 'the first');
      await pause(10);
      expect(accepted).toBe(1);
      release();
      await until(() => accepted === 2, 'the second follows the release');
    });

    check('30. one connection’s failure is not the listener’s', {}, async ({ listener, dial }) => {
      const accepted = watch(listener.accept$);
      const doomed = await dial();
      await until(() => accepted.values.length === 1, 'it has come');
      doomed.abort(new Error('gone'));
      await failure(() => (accepted.values[0] as Provider).closed);
      const opener = await dial();
      await until(() => accepted.values.length === 2, 'the next has come');
      expect(accepted.end).toBeNull();
      await link({ opener, acceptor: accepted.values[1] as Provider });
    });

    check(
      '30. close() takes no new connections and lets the old ones finish',
      {},
      async ({ listener, dial }) => {
        const accepted = watch(listener.accept$);
        const opener = await dial();
        await until(() => accepted.values.length === 1, 'it has come');
        const { a, b } = await link({ opener, acceptor: accepted.values[0] as Provider });
        const closing = [fate(listener.close()), fate(listener.close())];
        await pause(20);
        expect(closing.map(({ state }) => state)).toEqual(['pending', 'pending']);
        await failure(async () => within((await dial()).newStream().reply, 1000, () => 'a late connection'));
        void a.send('last');
        void b.send('words');
        expect([text(await collect(b)), text(await collect(a))]).toEqual(['last', 'words']);
        await until(() => closing.every(({ state }) => state === 'resolved'), 'close() resolves');
        expect(accepted.end).toBe('complete');
        await opener.closed;
        await listener.close();
      },
    );

    check(
      '30. aborting close() aborts the connections, and rejects with the reason',
      {},
      async (listening) => {
        const { listener, dial } = listening;
        const accepted = watch(listener.accept$);
        const opener = await dial();
        await until(() => accepted.values.length === 1, 'it has come');
        const acceptor = accepted.values[0] as Provider;
        const { a, b } = await link({ opener, acceptor });
        const controller = new AbortController();
        const reason = new Error('no more patience');
        const closing = listener.close({ signal: controller.signal });
        controller.abort(reason);
        expect(await failure(() => within(closing, 1000, () => 'close()'))).toBe(reason);
        expect((await streamFailure(() => b.closed)).cause).toBe(reason);
        await streamFailure(() => a.closed);
        await until(() => accepted.end === 'complete', 'the listener is closed');
      },
    );

    check('30. await using closes it gracefully', {}, async ({ listener, dial }) => {
      const accepted = watch(listener.accept$);
      const opener = await dial();
      await until(() => accepted.values.length === 1, 'it has come');
      const { a, b } = await link({ opener, acceptor: accepted.values[0] as Provider });
      const leaving = fate(listener[Symbol.asyncDispose]());
      await pause(10);
      expect(leaving.state).toBe('pending');
      await Promise.all([a.end(), b.end(), collect(a), collect(b)]);
      await until(() => leaving.state === 'resolved', 'the block is left');
      expect(accepted.end).toBe('complete');
      await opener.closed;
    });

    check('30. providers are those whose connections are open', {}, async ({ listener, dial }) => {
      expect(listener.providers.size).toBe(0);
      const accepted = watch(listener.accept$);
      const clients = [await dial(), await dial()];
      await until(() => accepted.values.length === 2, 'both have come');
      expect(listener.providers.size).toBe(2);
      expect(accepted.values.every((provider) => listener.providers.has(provider))).toBe(true);
      await clients[0]?.close();
      await until(() => listener.providers.size === 1, 'one is gone');
      clients[1]?.abort(new Error('gone'));
      await until(() => listener.providers.size === 0, 'the other is gone too');
    });

    check('30. address is where it listens', {}, async ({ listener, dial }) => {
      expect(listener.address).toMatch(/^[a-z]+:./);
      // A port that the system chooses is one.
      expect(listener.address).not.toMatch(/:0$/);
      const { address } = listener;
      await dial();
      expect(listener.address).toBe(address);
    });

    if (fail === undefined) return;
    check('30. a failure of the listening socket errors accept$', {}, async (listening) => {
      const { listener } = listening;
      const accepted = watch(listener.accept$);
      fail(listening);
      await until(() => accepted.end !== null, 'accept$ ends');
      expect(accepted.end).toBe('error');
      expect(await streamFailure(() => firstValueFrom(listener.accept$))).toBe(accepted.error);
    });
  });
}

async function withListener(
  listen: Listen,
  limits: Partial<Limits>,
  body: (listening: Listening) => Promise<void>,
): Promise<void> {
  const listening = await listen({ limits });
  const clients: Provider[] = [];
  const dial = async (): Promise<Provider> => {
    const client = await listening.dial();
    clients.push(client);
    return client;
  };
  try {
    await within(body({ ...listening, dial }), 4500, () => 'the case');
  } finally {
    for (const client of clients) client.abort(new Error('the case is over'));
    await within(
      listening.listener.close().catch(() => {}),
      1000,
      () => 'close() of the listener',
    );
    await listening.close?.();
  }
}
