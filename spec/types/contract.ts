/** What the types allow, and what they must not. Nothing here runs. */
import { Socket } from 'node:net';
import { type Observable, of, Subject } from 'rxjs';
import {
  fromMessagePort,
  fromWebSocket,
  hold,
  type Limits,
  type LimitValues,
  memoryPair,
  type Provider,
  type ProviderOperator,
  type Release,
  type Stream,
  StreamError,
} from 'rxmux';
import { framer } from 'rxmux/framer';
import { type SshLimitValues, ssh } from 'rxmux/ssh';

export async function sources(stream: Stream): Promise<void> {
  await stream.send('text');
  await stream.send(new Uint8Array(3));
  await stream.send(['a', new Uint8Array(1), ['a batch', 'of two']]);
  await stream.send(of('a', 'b'));
  await stream.send(stream.readable);
  await stream.send(stream);
  // @ts-expect-error a number is no source
  await stream.send(42);
  // @ts-expect-error a Subject of numbers is none either
  await stream.send(new Subject<number>());
  // @ts-expect-error there is no such policy
  await stream.send('x', { overflow: 'drop-oldest' });
}

export function observers(source$: Observable<string>, stream: Stream): void {
  source$.subscribe(stream);
  stream.data$.subscribe(stream);
  const release: Release = hold();
  release();
}

export function codes(stream: Stream): void {
  stream.reset('cancel');
  stream.reset(1234);
  // @ts-expect-error no protocol has such a word
  stream.reset('because');
}

export function errors(error: unknown): number | undefined {
  return StreamError.is(error) && error.code === 'reset' ? error.wireCode : undefined;
}

export function providers(limits: Partial<Limits>): Provider {
  const [near] = memoryPair();
  const same: ProviderOperator = (provider) => provider;
  // @ts-expect-error a role is one of two
  framer(near, { role: 'peer' });
  return framer(near, { role: 'client', limits }).pipe(same, same);
}

/** What an application writes that keeps its limits in one place. */
export function limited(): Provider[] {
  const limits: Partial<LimitValues> = { windowBytes: 1 << 20, idleMs: 60_000 };
  // @ts-expect-error a name that is misspelt
  const misspelt: Partial<LimitValues> = { windowByte: 1 };
  const ofSsh: Partial<SshLimitValues> = { ...limits, bannerMs: 1000 };
  const [near] = memoryPair();
  return [
    framer(near, { limits }),
    framer(near, { limits: misspelt }),
    ssh({ username: 'a' })(near, { limits: ofSsh }),
  ];
}

export function portable(): Provider[] {
  const { port1 } = new MessageChannel();
  // @ts-expect-error a socket of Node's is none of the Web's
  fromWebSocket(new Socket());
  return [framer(fromWebSocket(new WebSocket('ws://127.0.0.1'))), framer(fromMessagePort(port1))];
}

export async function scopes(provider: Provider): Promise<void> {
  await using connection = provider;
  await using stream = connection.newStream();
  await stream.send('x');
}
