/**
 * The operations, on the client's side. Every one checks what comes back: a result is a count of things that were
 * seen to work. The fields of commands and results are shared with `go/main.go`.
 */
import {
  chunkBytes,
  chunks,
  echoBytes,
  header,
  message,
  messageBytes,
  messages,
  Operation,
  pingBytes,
  readUint32,
  sequenceOffset,
} from './payload.mjs';
import { produce } from './produce.mjs';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const secondsSince = (start) => (performance.now() - start) / 1000;
const ignore = () => {};
/** The largest length the header can say; a sink of that length never answers. */
const endless = 0xffffffff;

export function clientOperations(adapter) {
  const { io } = adapter;
  const halfClose = adapter.halfClose !== false;
  /** Idle streams are referenced for as long as the process lives. */
  const kept = [];
  let echoes = 0;

  /** Sends `count` chunks of `list`, over and over; resolves when the server has confirmed length and content. */
  function sink(session, list, count) {
    const total = count * list[0].length;
    return new Promise((resolve, reject) => {
      adapter.open(session, (stream) => {
        let reply = Buffer.alloc(0);
        io.onError?.(stream, reject);
        io.onData(stream, (bytes) => {
          reply = Buffer.concat([reply, bytes]);
        });
        io.onEnd(stream, () => {
          if (!halfClose) io.end(stream);
          if (reply.length !== 8) return reject(new Error(`sink: an answer of ${reply.length} bytes, not 8`));
          const arrived = reply.readUInt32BE(0);
          const wrong = reply.readUInt32BE(4);
          if (arrived === total && wrong === 0) resolve();
          else reject(new Error(`sink: ${arrived} of ${total} bytes, ${wrong} samples wrong`));
        });
        produce(adapter, stream, { first: header(Operation.sink, total), list, left: count });
      });
    });
  }

  const echoMessage = message(Operation.echo, echoBytes);

  /** Opens a stream, sends 1 KiB and its end, gets the same back and the peer's end. */
  function echo(session, done, failed) {
    adapter.open(session, (stream) => {
      const sent = Buffer.from(echoMessage);
      const sequence = ++echoes;
      sent.writeUInt32BE(sequence, sequenceOffset);
      let received = 0;
      let right = true;
      io.onError?.(stream, failed);
      io.onData(stream, (bytes) => {
        if (received === 0 && bytes.length >= sequenceOffset + 4) {
          right = readUint32(bytes, sequenceOffset) === sequence;
        }
        received += bytes.length;
        if (received === echoBytes && bytes[bytes.length - 1] !== echoMessage[echoBytes - 1]) right = false;
      });
      io.onEnd(stream, () => {
        if (!halfClose) io.end(stream);
        if (received === echoBytes && right) done();
        else
          failed(
            new Error(`echo ${sequence}: ${received} of ${echoBytes} bytes, ${right ? 'right' : 'wrong'}`),
          );
      });
      io.write(stream, sent);
      if (halfClose) io.end(stream);
    });
  }

  const pingMessage = message(Operation.ping, pingBytes);

  /** Round trips on one stream, one after the other, for `ms`. */
  function pingPong(session, ms) {
    return new Promise((resolve, reject) => {
      adapter.open(session, (stream) => {
        const latencies = [];
        const start = performance.now();
        let sentAt = start;
        let received = 0;
        const send = () => {
          const bytes = Buffer.from(pingMessage);
          bytes.writeUInt32BE(latencies.length, sequenceOffset);
          sentAt = performance.now();
          io.write(stream, bytes);
        };
        io.onError?.(stream, reject);
        io.onData(stream, (bytes) => {
          if (received === 0 && bytes.length >= sequenceOffset + 4) {
            const sequence = readUint32(bytes, sequenceOffset);
            if (sequence !== latencies.length) reject(new Error(`ping ${latencies.length}: got ${sequence}`));
          }
          received += bytes.length;
          if (received < pingBytes) return;
          if (received > pingBytes) return reject(new Error(`ping ${latencies.length}: ${received} bytes`));
          received = 0;
          const now = performance.now();
          latencies.push(now - sentAt);
          if (now - start < ms) return send();
          io.end(stream);
          latencies.sort((a, b) => a - b);
          const at = (part) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * part))];
          resolve({ sec: (now - start) / 1000, count: latencies.length, p50: at(0.5), p99: at(0.99) });
        });
        io.onEnd(stream, ignore);
        send();
      });
    });
  }

  return {
    async bulk(session, { total }) {
      const start = performance.now();
      await sink(session, chunks, total / chunkBytes);
      return { sec: secondsSince(start), bytes: total };
    },

    async small(session, { count }) {
      const start = performance.now();
      await sink(session, messages, count);
      return { sec: secondsSince(start), count, bytes: count * messageBytes };
    },

    async fan(session, { streams, each }) {
      const start = performance.now();
      await Promise.all(Array.from({ length: streams }, () => sink(session, chunks, each / chunkBytes)));
      return { sec: secondsSince(start), bytes: streams * each };
    },

    churn(session, { ms, conc: concurrent }) {
      return new Promise((resolve, reject) => {
        const start = performance.now();
        let count = 0;
        let live = concurrent;
        const next = () => {
          count++;
          if (performance.now() - start < ms) echo(session, next, reject);
          else if (--live === 0) resolve({ sec: secondsSince(start), count });
        };
        for (let i = 0; i < concurrent; i++) echo(session, next, reject);
      });
    },

    ping(session, { ms }) {
      return pingPong(session, ms);
    },

    /** Round trips on one stream while another does bulk. What the other moved is counted by the server. */
    async fair(session, { ms }) {
      const job = { first: header(Operation.sink, endless), list: chunks, left: Number.POSITIVE_INFINITY };
      job.yieldEvery = adapter.yieldEvery;
      const ended = new Promise((resolve) => {
        adapter.open(session, (stream) => {
          io.onError?.(stream, resolve);
          io.onData(stream, ignore);
          io.onEnd(stream, resolve);
          produce(adapter, stream, job);
        });
      });
      await sleep(50);
      const result = await pingPong(session, ms);
      job.left = 0;
      // What is still in the windows must not be in the way of whoever is measured next.
      await Promise.race([ended, sleep(halfClose ? 1000 : 30)]);
      return result;
    },

    /** Opens `n` streams and keeps them; the server must have heard of each. */
    idle(session, { n }) {
      const start = performance.now();
      return new Promise((resolve) => {
        let asked = 0;
        let opened = 0;
        const keep = (stream) => {
          kept.push(stream);
          io.onError?.(stream, ignore);
          io.onData(stream, ignore);
          io.onEnd(stream, ignore);
          io.write(stream, header(Operation.idle, 0));
          if (++opened === n) resolve({ sec: secondsSince(start), count: n });
        };
        const more = () => {
          for (let i = 0; i < 100 && asked < n; i++, asked++) adapter.open(session, keep);
          if (asked < n) setImmediate(more);
        };
        more();
      });
    },

    /** The server never reads one stream; it is written for as long as backpressure allows. Does another one live? */
    async slow(session, { ms, cap }) {
      const start = performance.now();
      const offered = Math.floor(cap / chunkBytes);
      const job = { first: null, list: chunks, left: offered, yieldEvery: 16 };
      adapter.open(session, (stream) => {
        io.onError?.(stream, ignore);
        io.onData(stream, ignore);
        io.onEnd(stream, ignore);
        io.write(stream, header(Operation.ignore, 0));
        setTimeout(produce, 100, adapter, stream, job);
      });
      await sleep(Math.max(200, ms - 1200));
      const alive = pingPong(session, 0).then(
        () => true,
        () => false,
      );
      const othersAlive = await Promise.race([alive, sleep(1000)]);
      const bytes = (offered - job.left) * chunkBytes;
      job.left = 0;
      return { sec: secondsSince(start), bytes, othersAlive: othersAlive === true };
    },
  };
}
