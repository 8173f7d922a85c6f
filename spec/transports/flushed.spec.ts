import { once } from 'node:events';
import { type AddressInfo, createServer, connect as dial, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { fromDuplex } from 'rxmux/node';

const MiB = 1024 * 1024;

async function socketPair(): Promise<{ near: Socket; far: Socket; end(): void }> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const near = dial((server.address() as AddressInfo).port, '127.0.0.1');
  const [far] = (await accepted) as [Socket];
  if (near.connecting) await once(near, 'connect');
  for (const socket of [near, far]) socket.on('error', () => {});
  const end = (): void => {
    near.destroy();
    far.destroy();
    server.close();
  };
  return { near, far, end };
}

describe('isFlushed', () => {
  it('is true of a socket once the system has all, and only then', async () => {
    const { near, far, end } = await socketPair();
    const transport = fromDuplex(near);
    expect(transport.isFlushed).toBe(true);
    // Nobody reads: the system takes some of it, and the rest is the socket's.
    while (transport.write([new Uint8Array(MiB)]));
    expect(transport.isFlushed).toBe(false);
    far.resume();
    await once(near, 'drain');
    expect(transport.isFlushed).toBe(true);
    end();
  });

  it('is not true of a socket that was closed with memory on its way', async () => {
    const { near, end } = await socketPair();
    const transport = fromDuplex(near);
    while (transport.write([new Uint8Array(MiB)]));
    transport.destroy();
    expect(transport.isFlushed).toBe(false);
    end();
  });

  it('is not said of what may hand on the memory that it was given', () => {
    expect(fromDuplex(new PassThrough()).isFlushed).toBeUndefined();
  });
});
