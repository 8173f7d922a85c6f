import { once } from 'node:events';
import type { Provider } from 'rxmux';
import { http2 } from 'rxmux/http2';
import { connect } from 'rxmux/node';
import { Conversation } from './conversation.js';
import { startHaproxy } from './haproxy.js';
import { ServerProcess } from './server-process.js';

const names = ['A', 'B', 'C'] as const;
const messages = 10;

export interface Story {
  readonly conversations: readonly Conversation[];
  /** What was not as it should be; empty if all went well. */
  readonly complaints: readonly string[];
}

/**
 * One client with one connection, HAProxy, and three servers. While streams are open on all of them, B is drained and C
 * is killed: what B has is finished there, what C had is lost as an error and opened again elsewhere. `signal` ends it early.
 */
export async function tellStory(say: (line: string) => void, signal: AbortSignal): Promise<Story> {
  const servers: ServerProcess[] = [];
  try {
    for (const name of names) servers.push(await ServerProcess.start(name));
    const [, b, c] = servers as [ServerProcess, ServerProcess, ServerProcess];
    const proxy = await startHaproxy(new Map(servers.map(({ name, port }) => [name, port])));
    try {
      const client = await connect(`tcp://127.0.0.1:${proxy.port}`, http2);
      try {
        return await Promise.race([act(client, b, c, say), stopped(signal)]);
      } finally {
        client.abort();
      }
    } finally {
      await proxy.close();
    }
  } finally {
    for (const server of servers) await server.kill();
  }
}

async function stopped(signal: AbortSignal): Promise<never> {
  if (!signal.aborted) await once(signal, 'abort');
  throw signal.reason;
}

async function act(
  client: Provider,
  b: ServerProcess,
  c: ServerProcess,
  say: (line: string) => void,
): Promise<Story> {
  const complaints: string[] = [];
  const all: Conversation[] = [];
  const open = async (count: number, note = ''): Promise<Conversation[]> => {
    const opened: Conversation[] = [];
    for (let number = 0; number < count; number++) opened.push(await Conversation.open(client, note));
    all.push(...opened);
    return opened;
  };
  const on = (list: readonly Conversation[], name: string): Conversation[] =>
    list.filter(({ server }) => server === name);
  const each = (list: readonly Conversation[], task: (one: Conversation) => Promise<void>): Promise<void[]> =>
    Promise.all(list.map(task));

  const first = await open(9);
  await each(first, (one) => one.say(messages - 1));
  say(
    `9 streams of one connection: ${names.map((name) => `${on(first, name).length} on ${name}`).join(', ')}`,
  );
  for (const name of names) if (on(first, name).length === 0) complaints.push(`no stream went to ${name}`);

  b.drain();
  const drained = on(first, 'B');
  for (const one of drained) one.note = 'its server drained';
  // By the end of this the proxy has heard that B takes no new streams.
  await each(drained, (one) => one.say(messages));
  const later = await open(6, 'opened while B drained');
  await each(later, (one) => one.say(messages));
  if (on(later, 'B').length > 0) complaints.push('a stream went to B, which is drained');
  if (b.isGone) complaints.push('B did not wait for its streams');
  await each(drained, (one) => one.finish());
  await b.gone;
  say(`B is drained: its ${drained.length} streams are finished, and 6 new ones went elsewhere`);
  for (const one of drained) if (one.fate !== 'finished') complaints.push(`stream ${one.id}: ${one.reason}`);

  const lost = on(all, 'C');
  await c.kill();
  await each(lost, (one) => one.untilLost());
  for (const one of lost) one.note = 'its server was killed';
  say(`C is killed: its ${lost.length} streams are lost, each with an error`);
  const again = await open(lost.length, 'opened again for one that was lost');
  await each(again, (one) => one.say(messages - 1));
  if (on(again, 'A').length !== again.length) complaints.push('not all streams were opened again on A');

  await each(all, (one) => one.finish());
  for (const one of all) {
    const expected = lost.includes(one) ? 'lost' : 'finished';
    if (one.fate !== expected || one.reason.startsWith('Error')) {
      complaints.push(`stream ${one.id} on ${one.server} is ${one.fate}: ${one.reason}`);
    }
  }
  await client.close();
  return { conversations: all, complaints };
}
