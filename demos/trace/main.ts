/**
 * What operators on providers are for, shown by a small run: `npm run demo:trace`.
 *
 * The server decides on each stream by its headers; the client adds a header to each, writes what happens as readable
 * lines, and into a trace, from which the table at the end is made. Secrets are in neither.
 */
import {
  debug,
  handle,
  intercept,
  limit,
  type Provider,
  readTrace,
  type Stream,
  StreamError,
  TraceTable,
  trace,
} from 'rxmux';
import { connect, framer, listen } from 'rxmux/node';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const listener = await listen('tcp://127.0.0.1:0', framer);
listener.accept$.subscribe((connection) => serve(connection));
let text = '';
const client = (await connect(listener.address, framer)).pipe(
  debug({ name: 'client', frames: process.argv.includes('--frames'), log: say }),
  trace((more) => {
    text += more;
  }),
  intercept({ newStream: (headers, open) => open([...headers, ['x-request-id', String(++requests)]]) }),
  limit({ streams: 3 }),
);
let requests = 0;

say('Each line is an event of the connection, as debug() prints it.\n');
await ask('hello', { ':path': '/echo?access_token=never-shown', authorization: 'Bearer never-shown' });
await ask('nobody may see this', { ':path': '/private' });
const upload = client.newStream({ ':path': '/echo' }, { label: 'upload' });
await upload.write('half of an up');
upload.reset('cancel');
await Promise.all(['one', 'two', 'three', 'four'].map((word) => ask(word, { ':path': '/echo' })));
await client.ping();
await client.close();
await listener.close();

const table = new TraceTable();
const { events } = readTrace(text);
for (const event of events) table.apply(event);
say(`\nThe same from the trace of ${events.length} events:\n`);
say(line(['stream', 'state', 'in', 'out', 'headers']));
for (const { label, state, code, stats, headers } of table.rows.values()) {
  const why = code === undefined ? state : `${state} (${code})`;
  const list = headers.map(([name, value]) => `${name}: ${value}`).join(', ');
  say(line([label, why, String(stats?.bytes_in), String(stats?.bytes_out), list]));
}

function serve(connection: Provider): void {
  const policy = handle((headers) => ({
    accept: headers.get(':path')?.startsWith('/echo') === true,
    headers: { server: 'demo' },
  }));
  const echo = (stream: Stream): void => void stream.send(stream.data$);
  connection.pipe(policy).accept$.subscribe({ next: echo, error: () => {} });
}

async function ask(question: string, headers: Record<string, string>): Promise<void> {
  const stream = client.newStream(headers, { label: question });
  void stream.send(question);
  try {
    for await (const _ of stream);
  } catch (error) {
    say(`       "${question}" failed: ${StreamError.is(error) ? error.message : String(error)}`);
  }
}

function line([name = '', state = '', received = '', sent = '', headers = '']: readonly string[]): string {
  const numbers = `${received.padStart(4)} ${sent.padStart(4)}`;
  return `${name.padEnd(20)} ${state.padEnd(16)} ${numbers}  ${headers}`.trimEnd();
}
