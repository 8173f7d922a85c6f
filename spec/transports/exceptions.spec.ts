import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

/**
 * A process that logs what nobody catches, and lives on. One stream's chunks arrive one by one over TCP and are kept; an
 * exception is thrown behind the delivery of one of them.
 */
const program = `
  import { connect, framer, http2, listen, spdy } from 'rxmux/node';

  const { PROTOCOL: name, THROWS: throws, HANDLER: handler } = process.env;
  let caught = 0;
  const count = () => { caught++; };
  if (handler === 'capture') process.setUncaughtExceptionCaptureCallback(count);
  else process.on('uncaughtException', count);
  const fail = () => { throw new Error('a bug of the application'); };
  const ways = { nextTick: () => process.nextTick(fail), microtask: () => queueMicrotask(fail), never: () => {} };

  const chunkOf = (index) => new Uint8Array(3000).fill(index + 1);
  const kept = [];
  let wrong = 0;
  const protocol = { framer, http2, spdy }[name];
  const listener = await listen('tcp://127.0.0.1:0', protocol);
  listener.accept$.subscribe((connection) => connection.accept$.subscribe({
    next: (stream) => stream.data$.subscribe({
      next: (chunk) => {
        if (!chunk.every((byte) => byte === kept.length + 1)) wrong++;
        kept.push(chunk);
        if (kept.length % 10 === 5) ways[throws]();
        stream.write(Uint8Array.of(1)).catch(() => {});
      },
      complete: () => void stream.end(),
      error: () => {},
    }),
    error: () => {},
  }));
  const connection = await connect(listener.address, protocol);
  const stream = connection.newStream({ ':path': '/' });
  const answers = stream[Symbol.asyncIterator]();
  for (let index = 0; index < 60; index++) {
    await stream.write(chunkOf(index));
    await answers.next();
  }
  await stream.end();
  await stream.closed;
  const changed = kept.filter((chunk, index) => !chunk.every((byte) => byte === index + 1)).length;
  console.log(JSON.stringify({ caught, chunks: kept.length, wrong, changed }));
  process.exit();
`;

const root = join(import.meta.dirname, '../..');

async function run(env: Readonly<Record<string, string>>): Promise<unknown> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
    cwd: root,
    env: { ...process.env, ...env },
    timeout: 10_000,
  });
  return JSON.parse(stdout);
}

describe('an exception behind the delivery of a read, in a process that lives on', () => {
  it.each([
    ['framer', 'nextTick', 'listener'],
    ['spdy', 'nextTick', 'listener'],
    ['http2', 'nextTick', 'listener'],
    ['framer', 'nextTick', 'capture'],
    ['framer', 'microtask', 'listener'],
  ])(
    'changes no bytes: %s, %s, %s',
    async (PROTOCOL, THROWS, HANDLER) => {
      expect(await run({ PROTOCOL, THROWS, HANDLER })).toEqual({
        caught: 6,
        chunks: 60,
        wrong: 0,
        changed: 0,
      });
    },
    15_000,
  );
});
