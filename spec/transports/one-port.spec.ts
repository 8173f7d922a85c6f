import { once } from 'node:events';
import { connect as connectSocket } from 'node:net';
import type { Protocol, Provider } from 'rxmux';
import { framer, http2, spdy } from 'rxmux';
import { connect, type Listener, listen } from 'rxmux/node';
import { ssh } from 'rxmux/ssh';
import { keyPair } from '../support/ssh.js';

/** A listener for every protocol: those who come are told what they said, by the protocol that they said it in. */
async function everyProtocol(handshakeMs: number): Promise<{ listener: Listener; speaks: Protocol[] }> {
  const host = keyPair();
  const server = ssh({ hostKeys: [host.privateKey], authenticate: () => true });
  const client = ssh({ username: 'somebody', password: 'anything', verifyHost: () => true });
  const listener = await listen('tcp://127.0.0.1:0', [framer, spdy, http2, server], {
    limits: { handshakeMs },
  });
  listener.accept$.subscribe((provider: Provider) => {
    provider.accept$.subscribe({
      next: (stream) => {
        stream.accept({ protocol: provider.info.protocol });
        void stream.send(stream.data$);
      },
      error: () => {},
    });
  });
  return { listener, speaks: [framer, spdy, http2, client] };
}

/** What an echo of some bytes came back as, and by which protocol. */
async function asked(address: string, protocol: Protocol, words: string): Promise<[string, string]> {
  const provider = await connect(address, protocol);
  const stream = provider.newStream();
  void stream.send(words);
  let heard = '';
  for await (const chunk of stream) heard += new TextDecoder().decode(chunk);
  const by = (await stream.reply).get('protocol') ?? '';
  await provider.close();
  return [heard, by];
}

describe('one port for all', () => {
  it('serves one client of each protocol at once, and closes one that speaks none', async () => {
    const { listener, speaks } = await everyProtocol(10_000);
    const port = Number(new URL(listener.address).port);
    const stranger = connectSocket({ port, host: '127.0.0.1' });
    stranger.on('error', () => {});
    stranger.write('EHLO somebody.example\r\n'.repeat(20));
    const [, ...answers] = await Promise.all([
      once(stranger.resume(), 'close'),
      ...speaks.map((protocol, index) => asked(listener.address, protocol, `words ${index}`)),
    ]);
    expect(answers).toEqual([
      ['words 0', 'framer'],
      ['words 1', 'spdy/3.1'],
      ['words 2', 'http2'],
      ['words 3', 'ssh'],
    ]);
    await listener.close();
  });

  it('closes one that says nothing by its deadline, and serves the others meanwhile', async () => {
    const { listener, speaks } = await everyProtocol(100);
    const port = Number(new URL(listener.address).port);
    const began = performance.now();
    const silent = connectSocket({ port, host: '127.0.0.1' });
    silent.on('error', () => {});
    const gone = once(silent.resume(), 'close').then(() => performance.now() - began);
    const [heard] = await asked(listener.address, speaks[0] as Protocol, 'meanwhile');
    expect(heard).toBe('meanwhile');
    expect(await gone).toBeGreaterThanOrEqual(99);
    expect(listener.providers.size).toBe(0);
    await listener.close();
  });
});
