import { memoryPair } from 'rxmux';
import { type Http2Options, http2 } from 'rxmux/http2';

const wrong: [string, Http2Options, string][] = [
  ['a path with a line break', { path: '/a\r\nb: c' }, 'has a NUL or a line break'],
  ['a path that is none', { path: 'a' }, '"a" cannot be a :path'],
  ['no path', { path: '' }, '"" cannot be a :path'],
  ['a path that is no string', { path: 5 as never }, 'path is a string, not number'],
  ['a scheme that is none', { scheme: 'ht tp' }, '"ht tp" cannot be a :scheme'],
  ['an authority with a line break', { authority: 'a\r\nb' }, 'has a NUL or a line break'],
  [
    'a name of a secret header that is not in a list',
    { neverIndexed: 'x-token' as never },
    'neverIndexed is',
  ],
];

describe('what requests are to be made of', () => {
  it.each(wrong)('cannot be %s', (_name, options, message) => {
    const [transport] = memoryPair();
    expect(() => http2(transport, options)).toThrow(TypeError);
    expect(() => http2(transport, options)).toThrow(message);
    expect(() => http2.check?.(options as object)).toThrow(message);
  });

  it('reaches the acceptor', async () => {
    const [here, there] = memoryPair();
    await using client = http2(here, { scheme: 'https', authority: 'example.com:8443', path: '/a?b=%20' });
    await using server = http2(there, { role: 'server' });
    const stream = client.newStream();
    const accepted = await server.accept();
    expect(['scheme', 'authority', 'path'].map((name) => accepted?.headers.get(`:${name}`))).toEqual([
      'https',
      'example.com:8443',
      '/a?b=%20',
    ]);
    accepted?.accept();
    await Promise.all([stream.end(), accepted?.end()]);
  });
});
