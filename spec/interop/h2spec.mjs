import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { http2 } from 'rxmux/http2';
import { connect, listen } from 'rxmux/node';

/**
 * Runs h2spec's tools, which check implementations of HTTP/2, against a server and clients of ours: `npm run h2spec --
 * [further arguments for both]`. Neither tool is packaged: `go install github.com/summerwind/h2spec/cmd/h2spec@latest`
 * (and `h2specd`) makes them. Exit code 2 if they are not there. What they check is in spec/http2/h2spec.spec.ts as well.
 */

const root = fileURLToPath(new URL('../..', import.meta.url));
const [first, ...more] = process.argv.slice(2);

if (first?.startsWith('http://')) await request(new URL(first));
else await check(first === undefined ? [] : [first, ...more]);

async function check(args) {
  const listener = await listen('tcp://127.0.0.1:0', http2);
  listener.accept$.subscribe((provider) => {
    provider.accept$.subscribe({ next: answer, error: () => {} });
  });
  const port = new URL(listener.address).port;
  const server = await run('h2spec', ['--strict', '-h', '127.0.0.1', '-p', port, ...args]);
  await listener.close();
  const client = await run('h2specd', ['--strict', '-e', 'node spec/interop/h2spec.mjs', ...args]);
  process.exitCode = Math.max(server, client);
}

function answer(stream) {
  stream.data$.subscribe({ error: () => {} });
  stream.send('hello').catch(() => {});
}

/** The client that h2specd starts for each of its cases, and breaks the rules of HTTP/2 to. */
async function request({ hostname, port }) {
  const provider = await connect(`tcp://${hostname}:${port}`, http2);
  const stream = provider.newStream();
  stream.data$.subscribe({ error: () => {} });
  stream.end().catch(() => {});
  setTimeout(() => process.exit(), 900).unref();
  await provider.closed.catch(() => {});
}

/** 0 if the tool says that nothing failed. */
async function run(tool, args) {
  const child = spawn(tool, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += chunk;
    process.stdout.write(chunk);
  });
  try {
    await once(child, 'close');
  } catch (error) {
    console.error(`${tool} is not there (${error.message}): see ${fileURLToPath(import.meta.url)}`);
    return 2;
  }
  return / passed, .* 0 failed/.test(said) ? 0 : 1;
}
