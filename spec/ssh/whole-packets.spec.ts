import { createHash } from 'node:crypto';
import { memoryPair, type Stream, type Transport } from 'rxmux';
import { ssh } from 'rxmux/ssh';
import { SshLink } from '../../lib/ssh/link.js';
import { WholePackets } from '../../lib/ssh/whole-packets.js';
import { trackPair } from '../support/leaks.js';
import { type Random, seededRandom } from '../support/random.js';
import { trusting } from '../support/ssh.js';

/** A packet as it is on the wire: length, that many bytes, tag. */
function packet(length: number, fill: number): Uint8Array {
  const bytes = new Uint8Array(4 + length + 16).fill(fill);
  new DataView(bytes.buffer).setUint32(0, length);
  return bytes;
}

const packets = [packet(16, 1), packet(48, 2), packet(16, 3)];
const stream = Uint8Array.from(packets.flatMap((one) => [...one]));
const ends = [0, 36, 104, 140];

function collect(): { readonly whole: WholePackets; readonly pieces: Uint8Array[] } {
  const pieces: Uint8Array[] = [];
  return { whole: new WholePackets((bytes) => pieces.push(bytes)), pieces };
}

const joined = (pieces: readonly Uint8Array[]): Buffer => Buffer.concat(pieces);

/** How much of the stream has been given after each piece. */
function reached(pieces: readonly Uint8Array[]): number[] {
  let at = 0;
  return pieces.map(({ byteLength }) => {
    at += byteLength;
    return at;
  });
}

function cuts(): [number, number][] {
  const all: [number, number][] = [];
  for (let a = 1; a < stream.length; a++) for (let b = a + 1; b < stream.length; b++) all.push([a, b]);
  return all;
}

describe('packets whose lengths can be read', () => {
  it('are given whole and where they lie, wherever reads that lie one behind the other are cut', () => {
    for (const [first, second] of cuts()) {
      const { whole, pieces } = collect();
      whole.push(stream.subarray(0, first));
      whole.push(stream.subarray(first, second));
      whole.push(stream.subarray(second));
      expect(Buffer.compare(joined(pieces), stream)).toBe(0);
      expect(reached(pieces).every((at) => ends.includes(at))).toBe(true);
      expect(pieces.every(({ buffer }) => buffer === stream.buffer)).toBe(true);
    }
  });

  it('lose no byte, and are given as soon as they are there, where reads do not', () => {
    for (const [first, second] of cuts()) {
      const { whole, pieces } = collect();
      for (const [from, to] of [
        [0, first],
        [first, second],
        [second, stream.length],
      ] as const) {
        whole.push(stream.slice(from, to));
        expect(joined(pieces).length).toBeGreaterThanOrEqual(Math.max(...ends.filter((end) => end <= to)));
      }
      expect(Buffer.compare(joined(pieces), stream)).toBe(0);
    }
  });

  it('may come a byte at a time', () => {
    const { whole, pieces } = collect();
    for (const byte of stream) whole.push(Uint8Array.of(byte));
    expect([...joined(pieces)]).toEqual([...stream]);
  });

  it('of a length that nobody takes are not waited for', () => {
    const { whole, pieces } = collect();
    const lie = packet(16, 4);
    new DataView(lie.buffer).setUint32(0, 0x7fffffff);
    whole.push(lie);
    whole.push(Uint8Array.of(1, 2, 3));
    expect([...joined(pieces)]).toEqual([...lie, 1, 2, 3]);
  });

  it('are given in part once the lengths cannot be read any more', () => {
    const { whole, pieces } = collect();
    whole.push(stream.slice(0, 40));
    whole.flush();
    expect([...joined(pieces)]).toEqual([...stream.subarray(0, 40)]);
    whole.push(packets[0] as Uint8Array);
    expect(pieces.at(-1)).toBe(packets[0]);
  });
});

/** A transport whose reads lie one behind the other in large pieces of memory, as a socket's do, and end anywhere. */
function cutting(inner: Transport, random: Random): Transport {
  let slab = new Uint8Array(0);
  let used = 0;
  const give = (bytes: Uint8Array, onData: (chunk: Uint8Array) => void): void => {
    for (let at = 0; at < bytes.byteLength; ) {
      if (used === slab.byteLength) {
        slab = new Uint8Array(100_000);
        used = 0;
      }
      const most = random.oneIn(4) ? 100 : 60_000;
      const piece = bytes.subarray(at, at + Math.min(random.integer(1, most), slab.byteLength - used));
      slab.set(piece, used);
      onData(slab.subarray(used, used + piece.byteLength));
      used += piece.byteLength;
      at += piece.byteLength;
    }
  };
  return {
    start: (handlers) =>
      inner.start({ ...handlers, onData: (chunk) => give(chunk, (piece) => handlers.onData(piece)) }),
    write: (chunks) => inner.write(chunks),
    pause: () => inner.pause(),
    resume: () => inner.resume(),
    end: () => inner.end(),
    destroy: (error) => inner.destroy(error),
  };
}

const hashOf = (chunks: Iterable<Uint8Array>): string => {
  const hash = createHash('sha256');
  for (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
};

it.each([1, 2, 3])('keys may change while a packet has come in part (seed %i)', async (seed) => {
  const random = seededRandom(seed);
  const [near, far] = memoryPair();
  const limits = { rekeyBytes: 300_000 };
  const client = ssh(trusting())(cutting(near, random), { role: 'client', limits });
  const server = ssh(trusting())(cutting(far, random), { role: 'server', limits });
  trackPair([client, server]);
  const keyed = jest.spyOn(SshLink.prototype, 'keyed');
  const chunks = Array.from({ length: 150 }, (_, at) =>
    new Uint8Array(random.integer(1, 60_000)).fill(at + seed),
  );
  const stream = client.newStream();
  const accepted = (await server.accept()) as Stream;
  void stream.send(chunks);
  void accepted.send(accepted.data$);
  const back: Uint8Array[] = [];
  for await (const chunk of stream) back.push(chunk);
  expect(hashOf(back)).toBe(hashOf(chunks));
  expect(keyed.mock.calls.length).toBeGreaterThan(20);
  keyed.mockRestore();
  await Promise.all([client.close(), server.closed]);
});
