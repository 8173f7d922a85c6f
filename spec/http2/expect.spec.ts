/** Requests whose body is kept back until the server says 100 (RFC 9110 §10.1.1), from node:http2. */
import { once } from 'node:events';
import client, { type ClientHttp2Stream } from 'node:http2';
import { firstValueFrom } from 'rxjs';
import type { Stream } from 'rxmux';
import { http2 } from 'rxmux/http2';
import { type Listener, listen } from 'rxmux/node';
import { trackProvider } from '../support/leaks.js';

describe('a server whose client expects 100-continue', () => {
  let listener: Listener;
  let connection: client.ClientHttp2Session;

  beforeEach(async () => {
    listener = await listen('tcp://127.0.0.1:0', http2);
    connection = client.connect(`http://${new URL(listener.address).host}`);
  });

  afterEach(async () => {
    connection.destroy();
    await listener.close();
  });

  /** A request that sends its body once it may, and the stream of it. */
  async function request(
    headers: Record<string, string> = {},
  ): Promise<{ outer: ClientHttp2Stream; stream: Stream; heard: string[] }> {
    const accepted = firstValueFrom(listener.accept$);
    const outer = connection.request({ ':method': 'POST', expect: '100-Continue', ...headers });
    const heard: string[] = [];
    outer.on('error', () => {});
    outer.on('continue', () => {
      heard.push('100');
      outer.end('the body');
    });
    outer.on('response', (fields) => heard.push(String(fields[':status'])));
    const provider = trackProvider(await accepted);
    return { outer, heard, stream: (await provider.accept()) as Stream };
  }

  it.each<[string, (stream: Stream) => Promise<unknown>]>([
    ['the first read', async () => {}],
    ['accept()', async (stream) => stream.accept({ by: 'us' })],
    ['the first write', (stream) => stream.write('')],
  ])('says it at %s, once', async (_what, begin) => {
    const { outer, stream, heard } = await request();
    await begin(stream);
    let body = '';
    for await (const chunk of stream) body += new TextDecoder().decode(chunk);
    expect(body).toBe('the body');
    await stream.send('thanks');
    const answer = await outer.setEncoding('utf8').toArray();
    expect(answer.join('')).toBe('thanks');
    expect(heard).toEqual(['100', '200']);
  });

  it('says it where the answer comes once the body is read', async () => {
    const { outer, stream, heard } = await request();
    let answer: (headers: Record<string, string>) => void = () => {};
    stream.accept(new Promise((resolve) => (answer = resolve)));
    let body = '';
    for await (const chunk of stream) body += new TextDecoder().decode(chunk);
    expect(body).toBe('the body');
    expect(heard).toEqual(['100']);
    answer({ ':status': '201' });
    await stream.end();
    await once(outer.resume(), 'end');
    expect(heard).toEqual(['100', '201']);
  });

  it.each<[string, (stream: Stream) => void, string]>([
    ['refuses it', (stream) => stream.reject('refused', { ':status': '403' }), '403'],
    [
      'wants none of it',
      (stream) => {
        stream.stop();
        stream.accept({ ':status': '200' });
        void stream.send('later');
      },
      '200',
    ],
    ['explains at length', (stream) => void stream.accept({ ':status': '413' }).send('too long'), '413'],
    ['has its whole answer at once', (stream) => void stream.accept({ ':status': '303' }).end(), '303'],
  ])('says nothing of it when it %s', async (_what, answer, status) => {
    const { outer, stream, heard } = await request();
    answer(stream);
    stream.stop();
    await once(outer.resume(), 'close');
    expect(heard).toEqual([status]);
    await stream.closed.catch(() => {});
  });

  it.each([{ expect: 'something-else' }, { expect: '' }])('says nothing of it to %p', async (headers) => {
    const { outer, stream, heard } = await request(headers);
    stream.accept();
    await once(outer, 'response');
    void outer.end('the body');
    await stream.send('thanks');
    await once(outer.resume(), 'end');
    expect(heard).toEqual(['200']);
    stream.stop();
    await stream.closed;
  });
});
