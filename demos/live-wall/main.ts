import { setTimeout as after } from 'node:timers/promises';
import type { Protocol, Provider, Stream } from 'rxmux';
import { dashboard } from 'rxmux/dashboard';
import { connect, framer, listen } from 'rxmux/node';
import { spdy } from 'rxmux/spdy';

/**
 * A wall of streams to look at: several connections with uploads, downloads, conversations, slow readers, peers that give
 * no credit and transfers that are broken off. `node dist/demos/live-wall/main.js [port] [streams]`
 */
const [port = '0', streams = '36'] = process.argv.slice(2);
const board = dashboard({ port: Number(port) });
const stopping = new AbortController();
process.once('SIGINT', () => stopping.abort());
const { signal } = stopping;

await Promise.all([
  linked('object storage', framer, Math.ceil(Number(streams) / 2)),
  linked('build agents', spdy, Math.ceil(Number(streams) / 3)),
  linked('chat', framer, Math.ceil(Number(streams) / 6)),
]);
console.log(`The dashboard: ${await board.address}`);
console.log('Ctrl-C ends it.');
const keepAlive = setInterval(() => {}, 1 << 30);
signal.addEventListener('abort', () => {
  clearInterval(keepAlive);
  void board.close().then(() => process.exit());
});

/** A connection on which always so many streams are at work. */
async function linked(name: string, protocol: Protocol, count: number): Promise<void> {
  const limits = { maxStreams: 4096, backlog: 4096 };
  const listener = await listen('tcp://127.0.0.1:0', protocol, { limits, signal });
  listener.accept$.subscribe({
    next: (provider) => {
      provider.accept$.subscribe({ next: (stream) => void serve(stream).catch(() => {}), error: () => {} });
    },
    error: () => {},
  });
  const provider = (await connect(listener.address, protocol, { limits, signal })).pipe(board.named(name));
  for (let i = 0; i < count; i++) void work(provider, i);
}

const jobs = [
  'upload',
  'download',
  'talk',
  'stuck',
  'unread',
  'broken',
  'upload',
  'talk',
  'download',
] as const;

async function work(provider: Provider, worker: number): Promise<void> {
  await after(Math.random() * 3000);
  for (let turn = worker; !signal.aborted; turn++) {
    const job = jobs[turn % jobs.length] as (typeof jobs)[number];
    const stream = provider.newStream(
      {
        ':path': `/${job}/${worker}`,
        'x-request-id': crypto.randomUUID().slice(0, 8),
        ...(turn % 3 === 0 ? { authorization: 'Bearer of-no-use-to-anybody' } : {}),
      },
      { label: `${job} ${turn}` },
    );
    await perform(job, stream).catch(() => {});
    await after(200 + Math.random() * 2500);
  }
}

async function perform(job: (typeof jobs)[number], stream: Stream): Promise<void> {
  const seconds = 2 + Math.random() * 8;
  if (job === 'unread') {
    void stream.end();
    await after(seconds * 1000);
    for await (const _chunk of stream);
    return;
  }
  const reading = (async () => {
    for await (const _chunk of stream);
  })();
  if (job === 'broken') {
    await Promise.race([stream.send(paced(seconds, 40_000)), after(seconds * 400)]);
    stream.reset('cancel');
  } else if (job === 'download') await stream.end();
  else await stream.send(paced(seconds, job === 'talk' ? 900 : 60_000));
  await reading;
}

/** Bytes for so long, a chunk every now and then. */
async function* paced(seconds: number, size: number): AsyncGenerator<Uint8Array> {
  const end = Date.now() + seconds * 1000;
  while (Date.now() < end) {
    yield new Uint8Array(Math.ceil(size * (0.3 + Math.random() * 1.4)));
    await after(20 + Math.random() * 120);
  }
}

/** The other side: reads as fast, as slowly or as little as the path says. */
async function serve(stream: Stream): Promise<void> {
  const path = stream.headers.get(':path') ?? '';
  stream.accept({ ':status': '200' });
  if (path.startsWith('/stuck')) {
    // Reads nothing for a while, so that the sender runs out of window.
    await after(2500 + Math.random() * 4000);
    await stream.end();
    for await (const _chunk of stream);
  } else if (path.startsWith('/talk')) await stream.send(stream.data$);
  else if (path.startsWith('/download') || path.startsWith('/unread')) {
    await stream.send(paced(2 + Math.random() * 5, 50_000));
    for await (const _chunk of stream);
  } else {
    for await (const _chunk of stream);
    await stream.end({ ok: 'true' });
  }
}
