import { countWrong, headerBytes, Operation, readUint32 } from './payload.mjs';

/** What this process has accepted and seen, told on request. */
export const stats = { streams: 0, bad: 0, errors: 0, bytes: 0 };

const countError = () => {
  stats.errors++;
};

/** What the server does with each accepted stream; `io` is the adapter's (see README.md). */
export function serverOperations(io) {
  return function serve(stream) {
    stats.streams++;
    const receiver = new Receiver(io, stream);
    io.onError?.(stream, countError);
    io.onData(stream, (bytes) => receiver.next(bytes));
    io.onEnd(stream, () => receiver.ended());
  };
}

/** One stream. Small, for 10,000 of them are weighed. */
class Receiver {
  #io;
  #stream;
  #operation = 0;
  #expected = 0;
  #received = 0;
  #wrong = 0;
  #answered = false;
  #start = null;

  constructor(io, stream) {
    this.#io = io;
    this.#stream = stream;
  }

  next(bytes) {
    const body = this.#operation === 0 ? this.#begin(bytes) : bytes;
    if (body === null) return;
    if (this.#operation === Operation.sink) this.#sink(body);
    else if (this.#operation === Operation.ping) this.#io.write(this.#stream, body);
    else if (this.#operation === Operation.echo) this.#echo(body);
  }

  ended() {
    if (!this.#answered) this.#io.end(this.#stream);
  }

  /** Reads the header. Returns what is left for the operation, or null. */
  #begin(bytes) {
    const all = this.#start === null ? bytes : Buffer.concat([this.#start, bytes]);
    if (all.length < headerBytes) {
      this.#start = Buffer.from(all);
      return null;
    }
    this.#start = null;
    this.#operation = all[0];
    this.#expected = readUint32(all, 4);
    if (this.#operation === Operation.ignore) {
      this.#io.pause(this.#stream);
      return null;
    }
    if (this.#operation === Operation.echo || this.#operation === Operation.ping) return all; // goes back too
    return all.length === headerBytes ? null : all.subarray(headerBytes);
  }

  #sink(bytes) {
    this.#wrong += countWrong(bytes, this.#received);
    this.#received += bytes.length;
    stats.bytes += bytes.length;
    if (this.#received < this.#expected || this.#answered) return;
    if (this.#received > this.#expected) this.#wrong++;
    stats.bad += this.#wrong;
    this.#answered = true;
    const reply = Buffer.alloc(8);
    reply.writeUInt32BE(this.#received, 0);
    reply.writeUInt32BE(this.#wrong, 4);
    this.#io.write(this.#stream, reply);
    this.#io.end(this.#stream);
  }

  #echo(bytes) {
    this.#received += bytes.length;
    this.#io.write(this.#stream, bytes);
    if (this.#received < this.#expected) return;
    this.#answered = true;
    this.#io.end(this.#stream);
  }
}
