/** Chromium's fetch over TLS, on a page that comes from the same listener of ours. */
import { createHash, X509Certificate } from 'node:crypto';
import type { Page } from 'playwright-core';
import type { Provider, Stream } from 'rxmux';
import { selfSigned } from '../../demos/transfer/tls.js';
import { until } from '../conformance/wait.js';
import { type Browser, startBrowser } from '../dashboard/browser.js';
import { describeWithPeer, peers } from '../support/interop.js';
import { digest, noise, noiseHash, type Serving, serving } from './http2-echo.js';

const MiB = 1024 * 1024;
const transferBytes = 16 * MiB;

jest.setTimeout(60_000);

async function textOf(stream: Stream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += new TextDecoder().decode(chunk);
  return text;
}

/** What the page's promise came to, in its own words. */
function outcome(promise: Promise<string>): Promise<string> {
  return promise.then(
    (value) => `resolved: ${value}`,
    () => 'rejected',
  );
}

describeWithPeer('Chromium and our listener', peers.chromium, () => {
  const { key, cert } = selfSigned('127.0.0.1');
  let browser: Browser;
  let server: Serving;
  let page: Page;
  /** Streams whose path is not the page's, in order. */
  let asked: Stream[];
  /** Those that streams came on: Chromium may dial one more than it needs. */
  let used: Set<Provider>;
  let serve: (stream: Stream) => void;

  beforeAll(async () => {
    const spki = new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' });
    const hash = createHash('sha256').update(spki).digest('base64');
    browser = await startBrowser(`--ignore-certificate-errors-spki-list=${hash}`);
  });

  afterAll(async () => {
    await browser.close();
  });

  beforeEach(async () => {
    asked = [];
    used = new Set();
    serve = (stream) => void stream.send('');
    const answer = (stream: Stream): void => {
      for (const provider of server.providers)
        if (provider.streams.get(stream.id) === stream) used.add(provider);
      const path = stream.headers.get(':path');
      if (path === '/favicon.ico') stream.reject('refused', { ':status': '404' });
      else if (path === '/') {
        stream.accept({ 'content-type': 'text/html' });
        void stream.send('<!doctype html><title>fetching</title>');
      } else {
        asked.push(stream);
        serve(stream);
      }
    };
    server = await serving(answer, {}, { address: 'tls://127.0.0.1:0', tls: { key, cert } });
    ({ page } = await browser.open(`https://127.0.0.1:${server.port}/`));
  });

  afterEach(async () => {
    await page.close();
    await server.close();
  });

  /** The next stream that the page opens. */
  async function next(): Promise<Stream> {
    const count = asked.length;
    await until(() => asked.length > count, 'a request');
    return asked[count] as Stream;
  }

  it('asks by GET, with its pseudo-headers and its own headers', async () => {
    serve = (stream) => void stream.send('got');
    const text = await page.evaluate(async () => {
      const response = await fetch('/things?of=mine', { headers: { 'x-mine': 'a' } });
      return `${response.status} ${await response.text()}`;
    });
    expect(text).toBe('200 got');
    const { headers } = asked[0] as Stream;
    const names = [':method', ':scheme', ':authority', ':path', 'x-mine'];
    expect(names.map((name) => headers.get(name))).toEqual([
      'GET',
      'https',
      `127.0.0.1:${server.port}`,
      '/things?of=mine',
      'a',
    ]);
    expect(used.size).toBe(1);
  });

  it('posts a body, which has its length before it', async () => {
    serve = async (stream) => void stream.send(`heard: ${await textOf(stream)}`);
    const text = await page.evaluate(async () => {
      const response = await fetch('/post', { method: 'POST', body: 'grüße' });
      return await response.text();
    });
    expect(text).toBe('heard: grüße');
    const { headers } = asked[0] as Stream;
    expect([headers.get(':method'), headers.get('content-length')]).toEqual(['POST', '7']);
  });

  it('reads the headers of a reply before its body, and a status that is no success', async () => {
    serve = (stream) => {
      stream.accept({ ':status': '418', 'content-type': 'text/plain', 'x-list': ['1', '2'] });
      void stream.send('short and stout');
    };
    const seen = await page.evaluate(async () => {
      const response = await fetch('/teapot');
      const { ok, status, headers } = response;
      return [ok, status, headers.get('content-type'), headers.get('x-list'), await response.text()];
    });
    expect(seen).toEqual([false, 418, 'text/plain', '1, 2', 'short and stout']);
  });

  it('gets a streamed reply piece by piece', async () => {
    serve = () => {};
    const arrived = next();
    const reading = page.evaluate(async () => {
      const pieces: string[] = [];
      Object.assign(globalThis, { pieces });
      const response = await fetch('/pieces');
      const decoder = new TextDecoder();
      for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>) {
        pieces.push(decoder.decode(piece));
      }
      return pieces;
    });
    const stream = await arrived;
    const all = ['one', 'two', 'three'];
    for (const [index, text] of all.entries()) {
      await stream.write(text);
      // The next is not written before the page has this one.
      await page.waitForFunction(
        (count) => (globalThis as unknown as { pieces: string[] }).pieces.length === count,
        index + 1,
      );
    }
    await stream.end();
    expect(await reading).toEqual(all);
  });

  it('sends a streamed body piece by piece', async () => {
    serve = () => {};
    const arrived = next();
    const told = page.evaluate(async () => {
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
      const writer = writable.getWriter();
      const say = (text: string): Promise<void> => writer.write(new TextEncoder().encode(text));
      Object.assign(globalThis, { say, finish: () => writer.close() });
      const response = await fetch('/up', { method: 'POST', body: readable, duplex: 'half' } as RequestInit);
      return await response.text();
    });
    const stream = await arrived;
    for (const text of ['one', 'two']) {
      await page.evaluate(
        (words) => (globalThis as unknown as { say(words: string): Promise<void> }).say(words),
        text,
      );
      expect(new TextDecoder().decode((await stream.read()) ?? undefined)).toBe(text);
    }
    await page.evaluate(() => (globalThis as unknown as { finish(): Promise<void> }).finish());
    expect(await stream.read()).toBeNull();
    await stream.send('heard');
    expect(await told).toBe('heard');
  });

  it('gets 16 MiB, and sends them, with their hash', async () => {
    const hashes: string[] = [];
    serve = async (stream) => {
      if (stream.headers.get(':path') === '/down') void stream.send(noise(transferBytes));
      else {
        const { bytes, hash } = await digest(stream);
        hashes.push(`${bytes} ${hash}`);
        void stream.send('taken');
      }
    };
    const [bytes, hash, answer] = await page.evaluate(async () => {
      const body = await (await fetch('/down')).arrayBuffer();
      const sum = new Uint8Array(await crypto.subtle.digest('SHA-256', body));
      const hex = Array.from(sum, (byte) => byte.toString(16).padStart(2, '0')).join('');
      const response = await fetch('/up', { method: 'POST', body });
      return [body.byteLength, hex, await response.text()];
    });
    const right = noiseHash(transferBytes);
    expect([bytes, hash, answer]).toEqual([transferBytes, right, 'taken']);
    expect(hashes).toEqual([`${transferBytes} ${right}`]);
  });

  it('aborts: that is a reset with CANCEL, before the reply and in the middle of it', async () => {
    for (const [path, begin] of [
      ['/early', (stream: Stream) => void stream.accept(new Promise(() => {}))],
      ['/late', (stream: Stream) => void stream.write('begun')],
    ] as const) {
      serve = begin;
      const arrived = next();
      const fetching = outcome(
        page.evaluate(async (url) => {
          const abort = new AbortController();
          Object.assign(globalThis, { abort: () => abort.abort() });
          const response = await fetch(url, { signal: abort.signal });
          document.title = `begun ${url}`;
          return await response.text();
        }, path),
      );
      const stream = await arrived;
      if (path === '/late') await page.waitForFunction((title) => document.title === title, `begun ${path}`);
      await page.evaluate(() => (globalThis as unknown as { abort(): void }).abort());
      await expect(stream.closed).rejects.toMatchObject({ code: 'reset', remote: true, wireCode: 8 });
      expect(await fetching).toBe('rejected');
    }
    // The connection goes on.
    serve = (stream) => void stream.send('still here');
    expect(await page.evaluate(async () => await (await fetch('/after')).text())).toBe('still here');
    expect(used.size).toBe(1);
  });

  it('rejects where we reset, before the reply and in the middle of it', async () => {
    const endings: Readonly<Record<string, (stream: Stream) => void>> = {
      '/refused': (stream) => stream.reject('internal-error'),
      '/reset': (stream) => void stream.write('begun').then(() => stream.reset('internal-error')),
      '/cancelled': (stream) => void stream.write('begun').then(() => stream.reset('cancel')),
    };
    for (const [path, end] of Object.entries(endings)) {
      serve = end;
      const fetching = page.evaluate(async (url) => await (await fetch(url)).text(), path);
      expect([path, await outcome(fetching)]).toEqual([path, 'rejected']);
    }
    expect(used.size).toBe(1);
  });

  it('asks again by itself for what was refused as not processed', async () => {
    serve = (stream) => {
      if (asked.length === 1) stream.reject('refused');
      else void stream.send('the second time');
    };
    expect(await page.evaluate(async () => await (await fetch('/again')).text())).toBe('the second time');
    expect(asked.map(({ headers }) => headers.get(':path'))).toEqual(['/again', '/again']);
  });

  it('takes no truncated reply for a whole one', async () => {
    const half = new Uint8Array(1000);
    const endings: Readonly<Record<string, (stream: Stream) => void>> = {
      'a reset for no reason': (stream) => {
        void stream.write(half).then(() => stream.reset('no-error'));
      },
      'a connection that is aborted': (stream) => {
        void stream.write(half).then(() => {
          for (const provider of server.providers) provider.abort();
        });
      },
    };
    for (const [how, end] of Object.entries(endings)) {
      serve = end;
      const fetching = page.evaluate(async () => {
        const body = await (await fetch('/half')).arrayBuffer();
        return `${body.byteLength} bytes`;
      });
      expect([how, await outcome(fetching)]).toEqual([how, 'rejected']);
    }
  });

  it('believes our end more than a content-length', async () => {
    serve = (stream) => {
      stream.accept({ 'content-length': '2000' });
      void stream.send(new Uint8Array(1000));
    };
    const bytes = await page.evaluate(async () => (await (await fetch('/short')).arrayBuffer()).byteLength);
    expect(bytes).toBe(1000);
  });

  it('has 50 fetches open at once on one connection', async () => {
    const count = 50;
    serve = (stream) => {
      stream.accept({ 'x-who': stream.headers.get('x-who') ?? '' });
      // Nobody is answered before all have asked.
      if (asked.length < count) return;
      for (const one of asked) void one.send(`for ${one.headers.get('x-who')}`);
    };
    const answers = await page.evaluate(async (most) => {
      const all = Array.from({ length: most }, async (_, index) => {
        const response = await fetch(`/many/${index}`, { headers: { 'x-who': String(index) } });
        return `${response.headers.get('x-who')} ${await response.text()}`;
      });
      return await Promise.all(all);
    }, count);
    expect(answers).toEqual(Array.from({ length: count }, (_, index) => `${index} for ${index}`));
    expect(used.size).toBe(1);
  });
});
