import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { framer, memoryPair, type Provider, redial, span } from 'rxmux';
import { until } from '../conformance/wait.js';
import { ManualClock } from '../support/manual-clock.js';
import { echo, finish, type Two, textOf, two } from './ends.js';

/** Has nothing but its connections to live for: one is there at the third attempt, one is given up in a long pause. */
const agent = `
  import { framer, memoryPair, redial } from 'rxmux';

  let dials = 0;
  const dial = async () => {
    if (++dials < 3) throw new Error('refused');
    return framer(memoryPair()[0]);
  };
  const wanted = redial(dial, { minDelayMs: 2 }).subscribe(() => {
    process.stdout.write('dialled ' + dials);
    wanted.unsubscribe();
  });
  const refuse = () => Promise.reject(new Error('refused'));
  const onFailure = () => setImmediate(() => unwanted.unsubscribe());
  const unwanted = redial(refuse, { minDelayMs: 60_000, maxDelayMs: 60_000, onFailure }).subscribe();
`;

describe('redial', () => {
  it.each([
    { connections: 0 },
    { connections: Number.NaN },
    { minDelayMs: Number.NaN },
    { maxDelayMs: -1 },
    { stableMs: Number.NaN },
  ])('takes no %p', (options) => {
    expect(() => redial(() => Promise.reject(new Error('dialled')), options)).toThrow(RangeError);
  });

  it('keeps so many connections, and replaces those that are lost or going away', async () => {
    const clock = new ManualClock();
    const made: Two[] = [];
    const sets: (readonly Provider[])[] = [];
    const dial = async (): Promise<Provider> => {
      const pair = two();
      echo(pair.server);
      made.push(pair);
      return pair.client;
    };
    const subscription = redial(dial, { connections: 3, clock, random: () => 0.5 }).subscribe((set) =>
      sets.push(set),
    );
    await until(() => sets.at(-1)?.length === 3, 'three are there');
    made[0]?.cut();
    await until(() => sets.at(-1)?.length === 2, 'one is lost');
    expect(made.length).toBe(3);
    clock.pass(75);
    await until(() => sets.at(-1)?.length === 3, 'it is replaced');
    const open = (made[1] as Two).client.newStream();
    await open.write('x');
    await open.reply;
    void (made[1] as Two).server.close();
    await until(() => sets.at(-1)?.length === 2, 'one is going away, and still has a stream');
    expect(open.state).toBe('open');
    clock.pass(200);
    await until(() => sets.at(-1)?.length === 3, 'it is replaced');
    expect(made.length).toBe(5);
    subscription.unsubscribe();
    open.reset();
    await Promise.allSettled(made.map(({ client }) => client.closed));
    expect(clock.pending).toBe(0);
    await finish(...made.flatMap(({ client, server }) => [client, server]));
  });

  it('waits longer after each failure, up to a limit, half of it by chance', async () => {
    const clock = new ManualClock();
    const pauses: number[] = [];
    let dials = 0;
    const chances = [0, 1, 0.5];
    const dial = (): Promise<Provider> => {
      if (dials++ % 2 === 0) throw new Error('thrown at once');
      return Promise.reject(new Error('refused'));
    };
    const options = {
      minDelayMs: 100,
      maxDelayMs: 1000,
      clock,
      random: () => chances[pauses.length % 3] as number,
      onFailure: (_error: unknown, ms: number) => pauses.push(ms),
    };
    const subscription = redial(dial, options).subscribe();
    for (let failures = 1; failures <= 6; failures++) {
      await until(() => pauses.length === failures, 'it has failed');
      clock.pass(pauses.at(-1) as number);
    }
    await until(() => pauses.length === 7, 'once more');
    expect(pauses).toEqual([50, 200, 300, 400, 1000, 750, 500]);
    subscription.unsubscribe();
    expect(clock.pending).toBe(0);
    clock.pass(10_000);
    expect(dials).toBe(7);
  });

  it('pauses no longer than timers can', async () => {
    const clock = new ManualClock();
    const pauses: number[] = [];
    const dial = (): Promise<Provider> => Promise.reject(new Error('refused'));
    const onFailure = (_error: unknown, ms: number): void => void pauses.push(ms);
    const options = {
      minDelayMs: 1e9,
      maxDelayMs: Number.POSITIVE_INFINITY,
      clock,
      random: () => 1,
      onFailure,
    };
    const subscription = redial(dial, options).subscribe();
    for (let failures = 1; failures <= 4; failures++) {
      await until(() => pauses.length === failures, 'it has failed');
      clock.pass(pauses.at(-1) as number);
    }
    subscription.unsubscribe();
    expect(pauses).toEqual([1e9, 2e9, 2 ** 31 - 1, 2 ** 31 - 1]);
  });

  it('pauses no longer than it should after any number of failures', async () => {
    const clock = new ManualClock();
    const pauses: number[] = [];
    const dial = (): Promise<Provider> => Promise.reject(new Error('refused'));
    const onFailure = (_error: unknown, ms: number): void => {
      if (pauses.push(ms) === 1100) subscription.unsubscribe();
      clock.pass(ms);
    };
    const subscription = redial(dial, { minDelayMs: 0, clock, onFailure }).subscribe();
    await until(() => pauses.length === 1100, 'it has failed often');
    expect(pauses.every((ms) => ms === 0)).toBe(true);
  });

  it('keeps the process alive while it pauses, and no longer than it is wanted', async () => {
    const program = ['--input-type=module', '-e', agent];
    const options = { cwd: join(import.meta.dirname, '../..'), timeout: 10_000 };
    const { stdout } = await promisify(execFile)(process.execPath, program, options);
    expect(stdout).toBe('dialled 3');
  });

  it('begins with short pauses again after a connection that lived', async () => {
    const clock = new ManualClock();
    const pauses: number[] = [];
    const made: Two[] = [];
    let failures = 3;
    const dial = async (): Promise<Provider> => {
      if (failures-- > 0) throw new Error('refused');
      const pair = two();
      made.push(pair);
      return pair.client;
    };
    const onFailure = (_error: unknown, ms: number): void => void pauses.push(ms);
    const subscription = redial(dial, { clock, random: () => 0, stableMs: 5000, onFailure }).subscribe();
    for (let count = 1; count <= 3; count++) {
      await until(() => pauses.length === count, 'it has failed');
      clock.pass(pauses.at(-1) as number);
    }
    await until(() => made.length === 1, 'it is there');
    await new Promise((resolve) => setImmediate(resolve));
    clock.pass(6000);
    made[0]?.cut();
    await until(() => pauses.length === 4, 'it is lost');
    expect(pauses).toEqual([50, 100, 200, 50]);
    subscription.unsubscribe();
    await finish(...made.flatMap(({ client, server }) => [client, server]));
  });

  it('says of a clean end what it was, and has dialled on by then', async () => {
    const clock = new ManualClock();
    const made: Two[] = [];
    const told: unknown[] = [];
    const dial = async (): Promise<Provider> => {
      made.push(two());
      return (made.at(-1) as Two).client;
    };
    const onFailure = (error: unknown, pauseMs: number): void => {
      told.push(error);
      clock.pass(pauseMs);
    };
    const subscription = redial(dial, { clock, random: () => 0, onFailure }).subscribe();
    await until(() => made.length === 1, 'it is there');
    await made[0]?.server.close();
    await until(() => made.length === 2, 'it is dialled again');
    expect(told).toMatchObject([{ code: 'closed', message: 'the peer closed the connection' }]);
    subscription.unsubscribe();
    await finish(...made.flatMap(({ client, server }) => [client, server]));
  });

  it('closes its connections gracefully, if they were given its signal too', async () => {
    const [near, far] = memoryPair();
    const server = framer(far, { role: 'server' });
    server.accept$.subscribe((stream) => void stream.send(stream.data$));
    const whole = span(redial(async (signal) => framer(near, { signal })));
    await until(() => whole.members.length === 1, 'it is there');
    const stream = whole.newStream();
    await stream.write('open');
    await stream.reply;
    const closing = whole.close();
    void stream.end();
    expect(await textOf(stream)).toBe('open');
    await closing;
    await server.closed;
  });

  it('closes what comes too late, and gives a span its connections', async () => {
    const pair = two();
    echo(pair.server);
    let reached: (provider: Provider) => void = () => {};
    let aborted = false;
    const late = redial((signal) => {
      signal.addEventListener('abort', () => (aborted = true));
      return new Promise((resolve) => {
        reached = resolve;
      });
    }).subscribe();
    late.unsubscribe();
    reached(pair.client);
    await pair.client.closed;
    expect(aborted).toBe(true);
    const other = two();
    echo(other.server);
    const whole = span(redial(async () => other.client));
    await until(() => whole.members.length === 1, 'it is there');
    const stream = whole.newStream();
    void stream.send('through a span');
    expect(await textOf(stream)).toBe('through a span');
    await whole.close();
    await finish(pair.server, other.client, other.server);
  });
});
