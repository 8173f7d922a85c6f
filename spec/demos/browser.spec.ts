import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { startServer } from '../../demos/browser/server.js';
import { type Browser, startBrowser } from '../dashboard/browser.js';
import { describeWithPeer, peers } from '../support/interop.js';

jest.setTimeout(60_000);

it('the browser demo lets in no page but its own', async () => {
  const server = await startServer(0);
  try {
    const socket = new WebSocket(server.url.replace('http:', 'ws:'), { origin: 'http://example.com' });
    const [error] = (await once(socket, 'error')) as [Error];
    expect(error.message).toMatch('401');
  } finally {
    await server.close();
  }
});

describeWithPeer('the browser demo in Chromium', peers.chromium, () => {
  let server: Awaited<ReturnType<typeof startServer>>;
  let browser: Browser;

  beforeAll(async () => {
    server = await startServer(0);
    browser = await startBrowser();
  });

  afterAll(async () => {
    await browser.close();
    await server.close();
  });

  it('has streams both ways, and a server that stays one window ahead', async () => {
    const { page, complaints } = await browser.open(server.url);
    const bytes = async (id: string): Promise<number> =>
      1024 * Number((await page.textContent(`#${id}`))?.replace(/\D/g, ''));
    await page.waitForFunction(() =>
      /^\d\d:\d\d:\d\d$/.test(document.querySelector('#clock')?.textContent ?? ''),
    );
    await page.waitForFunction(() => /[1-9]/.test(document.querySelector('#read')?.textContent ?? ''));
    const [read, sent] = [await bytes('read'), await bytes('sent')];
    expect(sent).toBeGreaterThan(0);
    // The window, what is being read, and what was read between the two looks.
    expect(sent - read).toBeLessThanOrEqual(1024 * 1024 + 64 * 1024);

    const file = randomBytes(3_000_000);
    await page.setInputFiles('#files', [
      { name: 'large', mimeType: 'application/octet-stream', buffer: file },
      { name: 'empty', mimeType: 'application/octet-stream', buffer: Buffer.alloc(0) },
    ]);
    const hashes = [file, Buffer.alloc(0)].map((part) => createHash('sha256').update(part).digest('hex'));
    await page.waitForFunction(
      (wanted) => wanted.every((hash) => document.querySelector('#uploads')?.textContent?.includes(hash)),
      hashes,
    );
    expect(await page.textContent('#uploads')).toBe(`large: ${hashes[0]}empty: ${hashes[1]}`);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('goes on reading as fast as the slider says', async () => {
    const { page } = await browser.open(server.url);
    await page.fill('#pace', '100');
    await page.waitForFunction(
      () => Number(document.querySelector('#read')?.textContent?.replace(/\D/g, '')) > 4 * 1024,
    );
    await page.close();
  });
});
