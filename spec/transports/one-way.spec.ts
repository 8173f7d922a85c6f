import { once } from 'node:events';
import { PassThrough, Readable, Writable } from 'node:stream';
import { framer } from 'rxmux/framer';
import { fromDuplex } from 'rxmux/node';
import { listenTo } from '../support/listen-to.js';

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

it('streams that go one way are no transport, and the message says what is', () => {
  for (const stream of [new Readable({ read() {} }), new Writable()]) {
    expect(() => fromDuplex(stream)).toThrow(/goes one way.*fromDuplex\(\{ readable: child\.stdout/);
  }
});

it('a stream that reads text is no transport', () => {
  expect(() => fromDuplex(new PassThrough({ encoding: 'utf8' }))).toThrow(/text and not bytes/);
});

it.each<[string, unknown]>([
  ['nothing', undefined],
  ['one half', { readable: new PassThrough() }],
  ['streams of the web', { readable: new ReadableStream(), writable: new WritableStream() }],
])('%s is no transport either', (_what, value) => {
  expect(() => fromDuplex(value)).toThrow(/Node Duplex.*two streams: \{ readable, writable \}/);
});

it('two of them are one', async () => {
  const [there, back] = [new PassThrough(), new PassThrough()];
  const client = framer(fromDuplex({ readable: back, writable: there }));
  const server = framer(fromDuplex({ readable: there, writable: back }), { role: 'server' });
  expect(await client.ping()).toBeGreaterThan(0);
  await Promise.all([client.close(), server.close()]);
  expect([there.destroyed, back.destroyed]).toEqual([true, true]);
});

describe('two streams that go one way each', () => {
  const two = (): { readable: Readable; writable: Writable } => ({
    readable: new Readable({ read() {} }),
    writable: new Writable({ write: (_chunk, _encoding, taken) => taken() }),
  });

  it('are both destroyed, though one has ended before, and close once', async () => {
    const { readable, writable } = two();
    const transport = fromDuplex({ readable, writable });
    const told = listenTo(transport);
    transport.end();
    await once(writable, 'close');
    await turn();
    expect([readable.destroyed, told]).toEqual([false, []]);
    transport.destroy();
    await turn();
    expect([readable.destroyed, told]).toEqual([true, ['close']]);
  });

  it('close when both have ended, and one of them before it was taken', async () => {
    const { readable, writable } = two();
    readable.push(null);
    readable.resume();
    await once(readable, 'close');
    const transport = fromDuplex({ readable, writable });
    const told = listenTo(transport);
    await turn();
    expect(told).toEqual(['end']);
    transport.end();
    await turn();
    expect(told).toEqual(['end', 'close']);
  });

  it.each(['readable', 'writable'] as const)('fail with the error of either: %s', async (which) => {
    const pair = two();
    const told = listenTo(fromDuplex(pair));
    const error = new Error('it broke');
    pair[which].destroy(error);
    await turn();
    expect(told).toEqual([error]);
    expect([pair.readable.destroyed, pair.writable.destroyed]).toEqual([true, true]);
  });

  it('are over when what is read is gone without its end', async () => {
    const { readable, writable } = two();
    const told = listenTo(fromDuplex({ readable, writable }));
    readable.destroy();
    await turn();
    expect([writable.destroyed, told]).toEqual([true, ['close']]);
  });

  it('are read to the end when nothing can be written any more', async () => {
    const { readable, writable } = two();
    const transport = fromDuplex({ readable, writable });
    const told = listenTo(transport);
    writable.destroy();
    await turn();
    expect(transport.write([Uint8Array.of(1)])).toBe(false);
    readable.push(Uint8Array.of(2));
    readable.push(null);
    await turn();
    expect(told).toEqual([[2], 'end', 'close']);
  });
});

it('one that has ended already is taken, and the connection says so', async () => {
  const ended = new PassThrough();
  ended.resume().end();
  await once(ended, 'close');
  await expect(framer(fromDuplex(ended)).closed).rejects.toMatchObject({ code: 'closed' });
});
