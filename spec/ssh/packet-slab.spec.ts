import { createHash } from 'node:crypto';
import { memoryPair, type Stream, type Transport } from 'rxmux';
import { ssh } from 'rxmux/ssh';
import { PacketSlab } from '../../lib/ssh/packet-slab.js';
import { trackPair } from '../support/leaks.js';
import { trusting } from '../support/ssh.js';

const longest = 32 * 1024;

describe('memory of packets', () => {
  it('serves again once nobody has them', () => {
    const slab = new PacketSlab(true);
    const buffers = new Set<ArrayBufferLike>();
    for (let round = 0; round < 100; round++) {
      for (let count = 0; count < 10; count++) buffers.add(slab.packet(longest, 16).buffer);
      slab.reuse();
    }
    // Ten packets are five slabs.
    expect(buffers.size).toBeLessThanOrEqual(6);
  });

  it('is not touched before, and not shared by connections', () => {
    const slabs = [new PacketSlab(true), new PacketSlab(true)];
    for (const slab of slabs) for (let count = 0; count < 5; count++) slab.packet(longest, 16);
    for (const slab of slabs) slab.reuse();
    const packets = slabs.flatMap((slab) => Array.from({ length: 30 }, () => slab.packet(longest, 16)));
    for (const [at, packet] of packets.entries()) packet.fill(at);
    expect(packets.every((packet, at) => packet.every((byte) => byte === at))).toBe(true);
  });
});

/** A transport that is late to read the memory that it was given, and says when it has. */
function late(inner: Transport): Transport {
  let waiting: Uint8Array[] = [];
  const flush = (): void => {
    const chunks = waiting.map((chunk) => chunk.slice());
    waiting = [];
    inner.write(chunks);
  };
  return {
    get isFlushed() {
      return waiting.length === 0;
    },
    write(chunks) {
      if (waiting.length === 0) setImmediate(flush);
      waiting.push(...chunks);
      return true;
    },
    start: (handlers) => inner.start(handlers),
    pause: () => inner.pause(),
    resume: () => inner.resume(),
    end() {
      flush();
      inner.end();
    },
    destroy: (error) => inner.destroy(error),
  };
}

it('what a transport still has of a connection is not written over', async () => {
  const [near, far] = memoryPair();
  const client = ssh(trusting())(late(near), { role: 'client' });
  const server = ssh(trusting())(late(far), { role: 'server' });
  trackPair([client, server]);
  const sent = createHash('sha256');
  function* supply(): Generator<Uint8Array> {
    for (let at = 0; at < 400; at++) {
      const chunk = new Uint8Array(1 + ((at * 7919) % 50_000)).fill(at);
      sent.update(chunk);
      yield chunk;
    }
  }
  const stream = client.newStream();
  const accepted = (await server.accept()) as Stream;
  void stream.send(supply());
  void accepted.send(accepted.data$);
  const received = createHash('sha256');
  for await (const chunk of stream) received.update(chunk);
  expect(received.digest('hex')).toBe(sent.digest('hex'));
  await Promise.all([client.close(), server.closed]);
});
