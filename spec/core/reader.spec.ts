/** What `data$` is to whoever subscribes: an Observable like any other, by functions and through operators. */
import { config, type Observer, of, type Subscription, share, take } from 'rxjs';
import { framer, hold, memoryPair, type Provider, type Release, type Stream } from 'rxmux';
import { trackPair } from '../support/leaks.js';

const open: Provider[] = [];
const unhandled: unknown[] = [];
beforeEach(() => {
  unhandled.length = 0;
  config.onUnhandledError = (error) => unhandled.push(error);
});
afterEach(() => {
  config.onUnhandledError = null;
  for (const provider of open.splice(0)) provider.abort();
});

/** A stream that waits for its reader with three chunks and its end, and its opener. */
async function waiting(): Promise<{ stream: Stream; opener: Stream }> {
  const [near, far] = memoryPair();
  const ends: [Provider, Provider] = [framer(near, { role: 'client' }), framer(far, { role: 'server' })];
  trackPair(ends);
  open.push(...ends);
  const opener = ends[0].newStream();
  const stream = (await ends[1].accept()) as Stream;
  for (const text of ['a', 'b', 'c']) {
    void opener.write(text);
    await turn();
  }
  return { stream, opener };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const text = (chunk: Uint8Array): string => new TextDecoder().decode(chunk);

async function settled(): Promise<void> {
  for (let i = 0; i < 8; i++) await turn();
  await new Promise((resolve) => setTimeout(resolve, 2));
}

describe('data$', () => {
  it('goes on for a reader that throws, and reports each error as rxjs does', async () => {
    const { stream, opener } = await waiting();
    let read = '';
    stream.data$.subscribe({
      next: (chunk) => {
        read += text(chunk);
        throw new Error('next');
      },
      complete: () => {
        read += '.';
        throw new Error('complete');
      },
    });
    await turn();
    await opener.write('d');
    await opener.end();
    await settled();
    expect(read).toBe('abcd.');
    const messages = unhandled.map((error) => (error as Error).message);
    expect(messages.at(-1)).toBe('complete');
    expect(messages.slice(0, -1).every((message) => message === 'next')).toBe(true);
    expect(messages.length).toBeGreaterThan(2);
  });

  it('reports an error that the reader has no function for', async () => {
    const { stream, opener } = await waiting();
    const read: string[] = [];
    stream.data$.subscribe((chunk) => read.push(text(chunk)));
    await turn();
    opener.reset('cancel');
    await settled();
    expect(read.join('')).toBe('abc');
    expect(unhandled).toEqual([expect.objectContaining({ code: 'reset' })]);
  });

  it.each<[string, (observer: Observer<Uint8Array>) => unknown[]]>([
    ['an observer', (observer) => [observer]],
    ['three functions', ({ next, error, complete }) => [next, error, complete]],
    ['none but the second', ({ error }) => [undefined, error]],
    ['null', ({ error, complete }) => [null, error, complete]],
  ])('takes %s', async (_name, form) => {
    const { stream, opener } = await waiting();
    const told: string[] = [];
    const observer: Observer<Uint8Array> = {
      next: (chunk) => told.push(text(chunk)),
      error: (error: { code: string }) => told.push(error.code),
      complete: () => told.push('.'),
    };
    const given = form(observer);
    (stream.data$.subscribe as (...functions: unknown[]) => Subscription)(...given);
    await turn();
    opener.reset('cancel');
    await settled();
    expect(told.join('')).toBe(typeof given[0] === 'undefined' || given[0] === null ? 'reset' : 'abcreset');
    expect(unhandled).toEqual([]);
  });

  it('calls methods of an observer that is an object of a class', async () => {
    const { stream, opener } = await waiting();
    class Reader {
      read = '';
      next(chunk: Uint8Array): void {
        this.read += text(chunk);
      }
      complete(): void {
        this.read += '.';
      }
    }
    const reader = new Reader();
    stream.data$.subscribe(reader);
    await opener.end();
    await settled();
    expect(reader.read).toBe('abc.');
  });

  it('is left in the middle of a delivery, once', async () => {
    const { stream, opener } = await waiting();
    const read: string[] = [];
    const subscription = stream.data$.subscribe((chunk) => {
      read.push(text(chunk));
      subscription.unsubscribe();
      subscription.unsubscribe();
    });
    const undone = jest.fn();
    subscription.add(undone);
    await settled();
    expect(read).toHaveLength(1);
    expect(undone).toHaveBeenCalledTimes(1);
    expect(subscription.closed).toBe(true);
    await expect(opener.write('more')).rejects.toMatchObject({ code: 'stopped' });
  });

  it('is left though something else that is undone with it throws', async () => {
    const { stream, opener } = await waiting();
    const subscription = stream.data$.subscribe();
    subscription.add(() => {
      throw new Error('undone');
    });
    expect(() => subscription.unsubscribe()).toThrow('undone');
    await settled();
    await expect(opener.write('more')).rejects.toMatchObject({ code: 'stopped' });
  });

  it('undoes what was added once it has ended', async () => {
    const { stream, opener } = await waiting();
    const subscription = stream.data$.subscribe();
    const undone = jest.fn();
    subscription.add(undone);
    await opener.end();
    await settled();
    expect(subscription.closed).toBe(true);
    expect(undone).toHaveBeenCalledTimes(1);
  });

  it('is left by operators, and by subscribers of another copy of rxjs', async () => {
    const one = await waiting();
    const first: string[] = [];
    one.stream.data$.pipe(share(), take(1)).subscribe((chunk) => first.push(text(chunk)));
    await settled();
    expect(first).toHaveLength(1);
    await expect(one.opener.write('more')).rejects.toMatchObject({ code: 'stopped' });

    const two = await waiting();
    await jest.isolateModulesAsync(async () => {
      const other = await import('rxjs');
      expect(other.Observable).not.toBe(of().constructor);
      const taken = other.lastValueFrom(other.from(two.stream.data$).pipe(other.take(1)));
      expect(text(await taken)).toMatch(/^a/);
    });
    await settled();
    await expect(two.opener.write('more')).rejects.toMatchObject({ code: 'stopped' });
  });

  it('gives nothing more to who leaves, though something is ended or released with it', async () => {
    const { stream, opener } = await waiting();
    const told: string[] = [];
    let release: Release = () => {};
    const subscription = stream.data$.subscribe({
      next: () => {
        told.push('next');
        release = hold();
      },
      error: () => told.push('error'),
    });
    subscription.add(() => release());
    subscription.add(() => stream.reset());
    await turn();
    await opener.write('more').catch(() => {});
    expect(told).toEqual(['next']);
    subscription.unsubscribe();
    await settled();
    expect(told).toEqual(['next']);
    expect(stream.state).toBe('reset');
    expect(unhandled).toEqual([]);
  });

  it('hands on to the next reader while the last one is undone', async () => {
    const { stream: first, opener } = await waiting();
    const [, server] = open.slice(-2);
    const ids: number[] = [];
    const subscription = (server as Provider).accept$.subscribe();
    subscription.add(() => {
      (server as Provider).accept$.subscribe({ next: ({ id }) => ids.push(id), error: () => {} });
    });
    subscription.unsubscribe();
    first.stop();
    await opener.end();
    const [client] = open.slice(-2);
    const { id } = (client as Provider).newStream();
    await settled();
    expect(ids).toEqual([id]);
  });

  it.each(['end', 'reset'] as const)(
    'ends no other stream by what is undone at its %s, and throws',
    async (how) => {
      const { stream, opener } = await waiting();
      const [client, server] = open.slice(-2) as [Provider, Provider];
      const other = client.newStream();
      const accepted = (await server.accept()) as Stream;
      const subscription = stream.data$.subscribe({ error: () => {} });
      subscription.add(() => {
        throw new Error('undone');
      });
      await turn();
      if (how === 'end') await opener.end();
      else opener.reset();
      await settled();
      expect(unhandled).toEqual([expect.objectContaining({ message: expect.stringContaining('undone') })]);
      await other.send('still here');
      expect(text((await accepted.read()) as Uint8Array)).toBe('still here');
    },
  );
});
