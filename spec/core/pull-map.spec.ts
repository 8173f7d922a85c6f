import {
  EMPTY,
  from,
  lastValueFrom,
  mergeMap,
  Observable,
  of,
  Subject,
  take,
  throwError,
  toArray,
} from 'rxjs';
import { pullMap } from 'rxmux';

/** What comes in, and what `mergeMap` makes of it with as many slots, `pullMap` makes of it too. */
describe('pullMap, beside mergeMap', () => {
  const projects: Record<string, (value: number) => Observable<number>> = {
    'one value at once': (value) => of(value * 10),
    'several at once': (value) => of(value, value + 1, value + 2),
    'none at once': () => EMPTY,
    'one later': (value) => from(Promise.resolve(value * 10)),
    'now the one and now the other': (value) => (value % 2 ? of(value) : from(Promise.resolve(-value))),
    'an error at once': (value) => (value === 3 ? throwError(() => new Error('three')) : of(value)),
  };
  for (const [name, project] of Object.entries(projects)) {
    for (const concurrent of [1, 2, 5]) {
      it(`${name}, ${concurrent} at a time`, async () => {
        const seen = async (operator: typeof pulled | typeof merged): Promise<unknown> =>
          lastValueFrom(of(1, 2, 3, 4, 5).pipe(operator, toArray())).catch((error: Error) => error.message);
        const pulled = pullMap(project, { concurrent });
        const merged = mergeMap(project, concurrent);
        expect(await seen(pulled)).toEqual(await seen(merged));
      });
    }
  }

  it('takes arrays, strings, iterables and promises', async () => {
    function* generated(): Generator<string> {
      yield 'd';
      yield 'e';
    }
    const inputs = [['a'], 'bc', generated(), Promise.resolve('f')];
    const all = await lastValueFrom(
      from(inputs).pipe(
        pullMap((input) => input),
        toArray(),
      ),
    );
    expect(all).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
  });

  it('ends an inner observable without end once enough is taken of it', async () => {
    let made = 0;
    const endless = new Observable<number>((subscriber) => {
      for (; made < 1000 && !subscriber.closed; made++) subscriber.next(made);
    });
    const two = await lastValueFrom(
      of('x').pipe(
        pullMap(() => endless),
        take(2),
        toArray(),
      ),
    );
    expect([two, made]).toEqual([[0, 1], 2]);
  });

  it('asks nothing of a source once enough is taken of its values', async () => {
    const projected: number[] = [];
    let made = 0;
    const endless = new Observable<number>((subscriber) => {
      for (; made < 1000 && !subscriber.closed; made++) subscriber.next(made);
    });
    const project = (value: number): Observable<number> => {
      projected.push(value);
      return of(value);
    };
    expect(await lastValueFrom(endless.pipe(pullMap(project), take(1)))).toBe(0);
    expect([projected, made]).toEqual([[0], 1]);
  });

  it('has no depth: many values wait, and each is done at once', async () => {
    const source = new Subject<number>();
    const first = new Subject<number>();
    const most = 50_000;
    const all = lastValueFrom(
      source.pipe(
        pullMap((value) => (value === 0 ? first : of(value))),
        toArray(),
      ),
    );
    for (let value = 0; value < most; value++) source.next(value);
    source.complete();
    first.complete();
    expect((await all).length).toBe(most - 1);
  });
});
