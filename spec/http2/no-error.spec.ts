import { memoryPair, type Provider, type Stream } from 'rxmux';
import { http2 } from 'rxmux/http2';
import { errorCode } from '../../lib/http2/frames.js';
import { trackProvider } from '../support/leaks.js';

describe('a reset of the acceptor with no-error', () => {
  let client: Provider;
  let server: Provider;

  beforeEach(() => {
    const [near, far] = memoryPair();
    client = trackProvider(http2(near, { role: 'client' }));
    server = trackProvider(http2(far, { role: 'server' }));
  });

  afterEach(async () => {
    await Promise.all([client.close(), server.close()]);
  });

  /** A stream that is open at both ends. */
  async function pair(): Promise<[Stream, Stream]> {
    const stream = client.newStream();
    const there = (await server.accept()) as Stream;
    await there.write('begun');
    await stream.read();
    return [stream, there];
  }

  it('is said as CANCEL before its end, which browsers would take NO_ERROR for', async () => {
    const [stream, there] = await pair();
    there.reset('no-error');
    await expect(stream.read()).rejects.toMatchObject({ code: 'reset', wireCode: errorCode.CANCEL });
  });

  it('is NO_ERROR after its end: the rest of the request is not wanted', async () => {
    const [stream, there] = await pair();
    await there.end();
    expect(await stream.read()).toBeNull();
    there.reset('no-error');
    await stream.closed;
    await expect(stream.write('more')).rejects.toMatchObject({
      code: 'stopped',
      wireCode: errorCode.NO_ERROR,
    });
  });

  it('is NO_ERROR where its number is given', async () => {
    const [stream, there] = await pair();
    there.reset(errorCode.NO_ERROR);
    await expect(stream.read()).rejects.toMatchObject({ code: 'reset', wireCode: errorCode.NO_ERROR });
  });
});
