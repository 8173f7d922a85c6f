/**
 * The built library as a user has it: nothing but its public entry points.
 *
 * Writing. Large transfers are `stream.send(generator)`: the stream pulls while there is room. Where an operation
 * writes by hand, it does what the documentation tells: `write()` returns a promise that resolves when the chunk has
 * been taken; wait for it now and then. Here: for the last one, after each 256 KiB, the high-water mark that tcp-limit
 * has. Nothing in here depends on how the library answers.
 *
 * Reading. One `data$.subscribe({ next, complete, error })` a stream. The harness gives the three functions one by
 * one, always in the order `onError`, `onData`, `onEnd`, and in one go, so that the last of them subscribes.
 */
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { memoryDuplexPair } from './duplex-adapter.mjs';
import { chosenWindow } from './window.mjs';

const root = process.env.RXMUX_ROOT ?? path.resolve(import.meta.dirname, '../../..');
/** From inside a package its own name resolves through its `exports`: what `import 'rxmux/node'` would load. */
const { resolve } = createRequire(path.join(root, 'package.json'));
const load = (entry) => import(pathToFileURL(resolve(entry)));

const writeAheadBytes = 256 * 1024;
const commonLimits = {
  maxStreams: 1 << 20,
  backlog: 1 << 16,
  ...(chosenWindow && { windowBytes: chosenWindow, maxWindowBytes: chosenWindow }),
};

/**
 * `entry` is the protocol's entry point (`rxmux/framer`), `protocolFor(module, role)` takes the protocol out of it.
 * `pull: false` writes by hand instead of `send()`; `limits` are what makes it fast.
 */
export async function rxmuxAdapter({ name, entry, protocolFor, pull = true, limits: own = {} }) {
  const limits = { ...own, ...commonLimits };
  const { hold } = await load('rxmux');
  const { connect, fromDuplex, listen } = await load('rxmux/node');
  const module = await load(entry);
  const server = protocolFor(module, 'server');
  const client = protocolFor(module, 'client');
  const openAll = (provider, onStream) => provider.accept$.subscribe({ next: onStream, error: ignore });

  return {
    name,
    io: { ...streamIo(hold), ...(pull && { pump }) },
    async listen(onStream) {
      const listener = await listen('tcp://127.0.0.1:0', server, { limits });
      listener.accept$.subscribe((provider) => openAll(provider, onStream));
      return Number(new URL(listener.address).port);
    },
    connect: (port) => connect(`tcp://127.0.0.1:${port}`, client, { limits }),
    open: (provider, opened) => opened(provider.newStream()),
    async pair(onStream) {
      const [here, there] = memoryDuplexPair();
      openAll(server(fromDuplex(there), { role: 'server', limits }), onStream);
      return client(fromDuplex(here), { role: 'client', limits });
    },
  };
}

const ignore = () => {};

function pump(stream, chunks) {
  stream.send(chunks); // a failure is also told by data$
}

function streamIo(hold) {
  let error = ignore;
  let next = ignore;
  let lastWrite = Promise.resolve();
  /** Written since the last wait, whichever the stream: an operation that goes on writing is told to wait soon. */
  let ahead = 0;

  return {
    write(stream, bytes) {
      lastWrite = stream.write(bytes);
      ahead += bytes.length;
      if (ahead < writeAheadBytes) return true;
      ahead = 0;
      return false;
    },
    /** Called at once after a `write` that returned false. */
    onDrain(_stream, drained) {
      lastWrite.then(drained, ignore);
    },
    end(stream) {
      stream.end();
    },
    onError(_stream, failed) {
      error = failed;
    },
    onData(_stream, received) {
      next = received;
    },
    onEnd(stream, complete) {
      stream.data$.subscribe({ next, complete, error });
      error = ignore;
    },
    /** Only from within a delivery, as the operation does it: held and never released. */
    pause() {
      hold();
    },
    destroy(stream) {
      stream.reset('cancel');
    },
  };
}
