import { once } from 'node:events';
import { Duplex, PassThrough, Readable, Writable } from 'node:stream';
import { framer } from 'rxmux/framer';
import { fromDuplex } from 'rxmux/node';

it('streams that go one way are no transport, and the message says what is', () => {
  for (const stream of [new Readable({ read() {} }), new Writable()]) {
    expect(() => fromDuplex(stream)).toThrow(/goes one way.*Duplex\.from\(\{ readable: child\.stdout/);
  }
});

it('a stream that reads text is no transport', () => {
  expect(() => fromDuplex(new PassThrough({ encoding: 'utf8' }))).toThrow(/text and not bytes/);
});

it('two of them joined are one', async () => {
  const [there, back] = [new PassThrough(), new PassThrough()];
  const client = framer(fromDuplex(Duplex.from({ readable: back, writable: there })));
  const server = framer(fromDuplex(Duplex.from({ readable: there, writable: back })), { role: 'server' });
  expect(await client.ping()).toBeGreaterThan(0);
  await Promise.all([client.close(), server.close()]);
});

it('one that has ended already is taken, and the connection says so', async () => {
  const ended = new PassThrough();
  ended.resume().end();
  await once(ended, 'close');
  await expect(framer(fromDuplex(ended)).closed).rejects.toMatchObject({ code: 'closed' });
});
