/**
 * One provider over three connections, of which one is cut in mid-traffic: `npm run demo:span`.
 *
 * Uploads are spread over the connections. One server is full, and refuses: what it refuses is sent elsewhere, and nobody
 * notices. Then one connection is cut: its streams fail with an error that says so, and the others go on. `redial` dials it
 * again, so that streams opened later have three connections once more.
 */
import { createHash } from 'node:crypto';
import { createServer, connect as dial, type Socket } from 'node:net';
import { type Provider, redial, type Stream, StreamError, span } from 'rxmux';
import { connect, framer, type Listener, listen } from 'rxmux/node';

const uploads = 12;
const later = 6;
const piece = new Uint8Array(16 * 1024).fill(0x61);
const pieces = 40;

interface Row {
  readonly name: string;
  readonly went: Set<string>;
  outcome: string;
}

const say = (line = ''): void => void process.stdout.write(`${line}\n`);
const listeners: Listener[] = [];
const addresses: string[] = [];
/** Where each stream was processed, as its server says. */
const rows = new Map<string, Row>();

for (const name of ['A', 'B', 'C']) {
  // B takes two streams at a time.
  const listener = await listen('tcp://127.0.0.1:0', framer, {
    limits: name === 'B' ? { maxStreams: 2 } : {},
  });
  listener.accept$.subscribe((connection) => serve(name, connection));
  listeners.push(listener);
  addresses.push(listener.address);
}

/** The connection to C goes through this, which can be cut as a cable is. */
const cable = await cableTo(new URL(addresses[2] as string).port);
addresses[2] = `tcp://127.0.0.1:${cable.port}`;

let turn = 0;
const whole = span(
  redial(() => connect(addresses[turn++ % 3] as string, framer), {
    connections: 3,
    minDelayMs: 50,
    onFailure: (_error, ms) => {
      // The next attempt goes where the lost one went: only C is ever cut.
      turn = 2;
      say(`A connection is lost; the next attempt is in ${ms.toFixed(0)} ms.`);
    },
  }),
);
while (whole.members.length < 3) await pause(1);

say(`${uploads} uploads over three connections: A, B, which takes two at a time, and C, which is cut.`);
const first = Array.from({ length: uploads }, (_, number) => upload(`upload ${number + 1}`));
while ([...rows.values()].filter(({ went }) => went.has('C')).length < 3) await pause(1);
const before = whole.members;
cable.cut();
await Promise.all(first);
while (whole.members.length < 3) await pause(1);
say(`Three connections again; ${later} more uploads.`);
await Promise.all(Array.from({ length: later }, (_, number) => upload(`later ${number + 1}`)));

say(`\n${'stream'.padEnd(12)} ${'processed by'.padEnd(13)} what happened`);
for (const { name, went, outcome } of rows.values()) {
  say(`${name.padEnd(12)} ${([...went].join(', ') || 'nobody').padEnd(13)} ${outcome}`);
}
const all = new Set([...before, ...whole.members]);
say(`\n${'connection'.padEnd(12)} state  opened  sent elsewhere  failed  bytes out`);
for (const [number, { state, opened, retried, failed, bytesOut }] of [...all].entries()) {
  const counts = `${String(opened).padStart(6)}  ${String(retried).padStart(14)}  ${String(failed).padStart(6)}`;
  say(
    `${String(number + 1).padEnd(12)} ${state.padEnd(6)} ${counts}  ${bytesOut.toLocaleString('en-US').padStart(9)}`,
  );
}
const verified = [...rows.values()].filter(({ outcome }) => outcome.startsWith('whole')).length;
const told = rows.size - verified;
say(
  `\n${verified} of ${rows.size} streams are whole, verified by sha256; ${told} failed with a typed error; none hangs.`,
);
await whole.close();
await Promise.all(listeners.map((listener) => listener.close()));
cable.close();

/** Takes an upload, slowly enough for something to happen meanwhile, and answers with its digest. */
function serve(server: string, connection: Provider): void {
  const take = async (stream: Stream): Promise<void> => {
    rows.get(stream.headers.get('name') ?? '')?.went.add(server);
    const hash = createHash('sha256');
    for await (const chunk of stream) {
      hash.update(chunk);
      await pause(1);
    }
    await stream.send(hash.digest('hex'));
  };
  connection.accept$.subscribe({ next: (stream) => void take(stream).catch(() => {}), error: () => {} });
}

async function upload(name: string): Promise<void> {
  const row: Row = { name, went: new Set(), outcome: 'hangs' };
  rows.set(name, row);
  const stream = whole.newStream({ name }, { label: name });
  const hash = createHash('sha256');
  const source = async function* (): AsyncGenerator<Uint8Array> {
    for (let count = 0; count < pieces; count++) {
      hash.update(piece);
      yield piece;
      await pause(1);
    }
  };
  try {
    void stream.send(source());
    let answer = '';
    for await (const chunk of stream) answer += new TextDecoder().decode(chunk);
    row.outcome = answer === hash.digest('hex') ? 'whole' : 'WRONG BYTES';
  } catch (error) {
    row.outcome = StreamError.is(error)
      ? `failed: ${error.code}, ${error.message}`
      : `FAILED UNTYPED: ${error}`;
  }
}

interface Cable {
  readonly port: number;
  /** Breaks what is connected now. */
  cut(): void;
  close(): void;
}

async function cableTo(port: string): Promise<Cable> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = dial(Number(port), '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address() as { port: number };
  return {
    port: address.port,
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
    close: () => void server.close(),
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
