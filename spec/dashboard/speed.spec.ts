import type { Provider } from 'rxmux';
import { type Dashboard, dashboard } from 'rxmux/dashboard';
import { framer } from 'rxmux/framer';
import { connect, type Listener, listen } from 'rxmux/node';
import { until } from '../conformance/wait.js';
import { describeWithPeer, peers } from '../support/interop.js';
import { type Browser, startBrowser } from './browser.js';

/**
 * Times are judged on a quiet machine only: `RXMUX_LATENCY=1 npm test -- spec/dashboard/speed -i`. They are always
 * printed. Traffic is measured as processor time per byte, since the browser beside it needs processors too.
 */
const isJudged = process.env.RXMUX_LATENCY !== undefined;
const streams = 2000;
const rounds = isJudged ? 5 : 1;
const roundMs = isJudged ? 4000 : 1000;
const limits = { maxStreams: 4096, backlog: 4096 };

jest.setTimeout(120_000);

/** What a page notes about itself while it runs. */
interface Noted {
  tasks: number[];
  frames: number;
}

describeWithPeer('2,000 streams in Chromium', peers.chromium, () => {
  let browser: Browser;
  let board: Dashboard;
  let listener: Listener;

  beforeAll(async () => {
    browser = await startBrowser();
    board = dashboard();
    listener = await listen('tcp://127.0.0.1:0', framer, { limits });
    listener.accept$.subscribe((server) => {
      server.accept$.subscribe({ next: (stream) => void stream.send(stream.data$), error: () => {} });
    });
  });

  afterAll(async () => {
    await browser.close();
    await board.close();
    await listener.close();
  });

  it('keep the page and the traffic going', async () => {
    const { page, complaints } = await browser.open(await board.address);
    await page.evaluate(() => {
      const noted: Noted = { tasks: [], frames: 0 };
      Object.assign(window, { noted });
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) noted.tasks.push(Math.round(duration));
      }).observe({ type: 'longtask' });
      const count = (): void => {
        noted.frames++;
        requestAnimationFrame(count);
      };
      requestAnimationFrame(count);
    });
    const ratios: number[] = [];
    const rates: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const without = await traffic();
      const before = await page.evaluate(() => (window as unknown as { noted: Noted }).noted.frames);
      const since = performance.now();
      const watched = await traffic(async (provider) => {
        board.named(`round ${round}`)(provider);
        await page.locator('[data-total="live"] dd', { hasText: '2,000' }).waitFor();
      });
      const after = await page.evaluate(() => (window as unknown as { noted: Noted }).noted.frames);
      rates.push(((after - before) * 1000) / (performance.now() - since));
      ratios.push(watched / without);
    }
    const tasks = await page.evaluate(() => (window as unknown as { noted: Noted }).noted.tasks);
    const longest = Math.max(0, ...tasks);
    const ratio = ratios.sort((a, b) => a - b)[Math.floor(ratios.length / 2)] as number;
    const fps = Math.min(...rates);
    process.stdout.write(
      `2,000 streams: longest task ${longest} ms (target < 100), ${fps.toFixed(0)} frames a second, ` +
        `${((ratio - 1) * 100).toFixed(1)} % more processor time per byte (target < 10)\n`,
    );
    expect(complaints).toEqual([]);
    if (isJudged) {
      expect(longest).toBeLessThan(100);
      expect(ratio).toBeLessThan(1.1);
    }
    await page.close();
  });

  /** Milliseconds of processor time per MiB that 2,000 streams have brought back. */
  async function traffic(look: (provider: Provider) => Promise<void> = async () => {}): Promise<number> {
    const provider = await connect(listener.address, framer, { limits });
    let bytes = 0;
    let isOver = false;
    const work = async (id: number): Promise<void> => {
      while (!isOver) {
        const stream = provider.newStream({ ':path': `/load/${id}` }, { label: `worker ${id}` });
        const reading = stream.data$.forEach((chunk) => {
          bytes += chunk.byteLength;
        });
        const chunk = new Uint8Array(4096);
        const sending = stream.send(
          (function* () {
            for (let i = 0; i < 200 && !isOver; i++) yield chunk;
          })(),
        );
        await Promise.allSettled([sending, reading]);
      }
    };
    const workers = Array.from({ length: streams }, (_, id) => work(id));
    await look(provider);
    await until(() => bytes > 4 << 20, 'the traffic to be under way', 20_000);
    const [usedBefore, bytesBefore] = [process.cpuUsage(), bytes];
    await new Promise((resolve) => setTimeout(resolve, roundMs));
    const { user, system } = process.cpuUsage(usedBefore);
    const moved = bytes - bytesBefore;
    isOver = true;
    provider.abort();
    await Promise.all(workers);
    return (user + system) / 1000 / (moved / 2 ** 20);
  }
});
