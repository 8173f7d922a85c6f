/** Operations about memory: once each, in processes of their own. */
import { Pair } from './child.mjs';
import { whyNot } from './contenders.mjs';
import { inPool } from './rounds.mjs';

export async function runAlone(run) {
  if (run.operationNames.includes('idle')) await forEachPair(run, 'idle', run.profile.pool, idle);
  // A slow reader waits most of the time: more of them fit beside each other.
  if (run.operationNames.includes('slow')) await forEachPair(run, 'slow', 2 * run.profile.pool, slow);
}

async function forEachPair({ contenders, profile, results, log }, operation, width, measure) {
  const taking = contenders.filter(
    (contender) => !whyNot(contender, operation) && !results.failure(contender.name, operation),
  );
  await inPool(width, taking, async (contender) => {
    log(`${operation}: ${contender.name}`);
    let pair;
    try {
      pair = await Pair.start(contender);
      results.add(operation, contender.name, await measure(pair, profile));
    } catch (error) {
      results.fail(contender.name, operation, error);
    } finally {
      pair?.stop();
    }
  });
}

async function idle(pair, { idleStreams: n, timeoutMs }) {
  // What the first streams bring along (code, tables) is not the price of a stream.
  await ask(pair.client, { op: 'churn', ms: 100, conc: 4 }, 5000);
  await ask(pair.client, { op: 'idle', n: 50 });
  const streamsBefore = (await ask(pair.server, { cmd: 'stats' })).streams;
  const serverBefore = await ask(pair.server, { cmd: 'rss' });
  const clientBefore = await ask(pair.client, { cmd: 'rss' });

  const { sec } = await ask(pair.client, { op: 'idle', n }, 2 * timeoutMs);
  let arrived = 0;
  for (let i = 0; i < 100 && arrived < n; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    arrived = (await ask(pair.server, { cmd: 'stats' })).streams - streamsBefore;
  }
  if (arrived < n) throw new Error(`only ${arrived} of ${n} streams arrived`);
  const server = await ask(pair.server, { cmd: 'rss' });
  const client = await ask(pair.client, { cmd: 'rss' });
  return {
    streams: n,
    sec,
    rssClient: (client.rss - clientBefore.rss) / n,
    rssServer: (server.rss - serverBefore.rss) / n,
    heapClient: (client.heap - clientBefore.heap) / n,
    heapServer: (server.heap - serverBefore.heap) / n,
  };
}

async function slow(pair, { slowMs, slowCapBytes }) {
  const server = await ask(pair.server, { cmd: 'rssmax' });
  const client = await ask(pair.client, { cmd: 'rssmax' });
  const command = { op: 'slow', ms: slowMs, cap: slowCapBytes };
  const { bytes, othersAlive } = await ask(pair.client, command, slowMs + 15_000);
  const serverMax = (await ask(pair.server, { cmd: 'rssget' })).max;
  const clientMax = (await ask(pair.client, { cmd: 'rssget' })).max;
  return {
    accepted: bytes,
    bounded: bytes < slowCapBytes,
    othersAlive,
    rssClient: clientMax - client.rss,
    rssServer: serverMax - server.rss,
  };
}

async function ask(child, command, timeoutMs) {
  const answer = await child.ask(command, timeoutMs);
  if (answer.error) throw new Error(answer.error);
  return answer;
}
