import { trace } from 'rxmux';
import { type Dashboard, dashboard } from 'rxmux/dashboard';
import { spdy } from 'rxmux/spdy';
import { describeWithPeer, peers } from '../support/interop.js';
import { type Browser, startBrowser, type Watched } from './browser.js';
import { drain, echoAll, type Linked, linked } from './connections.js';

jest.setTimeout(60_000);

describeWithPeer('the dashboard in Chromium', peers.chromium, () => {
  let browser: Browser;
  let board: Dashboard;
  let connections: Linked[];

  beforeAll(async () => {
    browser = await startBrowser();
  });

  afterAll(async () => {
    await browser.close();
  });

  beforeEach(() => {
    board = dashboard();
    connections = [];
  });

  afterEach(async () => {
    for (const connection of connections) await connection.close();
    await board.close();
  });

  function connect(protocol?: Parameters<typeof linked>[0]): Linked {
    const connection = linked(protocol);
    connections.push(connection);
    connection.client.pipe(board);
    return connection;
  }

  /** A page that is live; afterwards it must have been quiet, and have asked nobody else. */
  async function withPage(run: (watched: Watched) => Promise<void>): Promise<void> {
    const address = await board.address;
    const watched = await browser.open(address);
    try {
      await watched.page.waitForSelector('.status.live');
      await run(watched);
      expect(watched.complaints).toEqual([]);
      const others = watched.requests.filter((url) => !url.startsWith(address) && !url.startsWith('data:'));
      expect(others).toEqual([]);
    } finally {
      await watched.page.close();
    }
  }

  it('shows a row within 500 ms of an open', async () => {
    const { client, server } = connect();
    echoAll(server);
    await withPage(async ({ page }) => {
      const seen = (id: number): Promise<number> =>
        page.evaluate(
          (wanted) =>
            new Promise<number>((resolve) => {
              const look = (): void => {
                if (document.querySelector(`.row[data-id="${wanted}"]`) === null) requestAnimationFrame(look);
                else resolve(Date.now());
              };
              look();
            }),
          id,
        );
      const delays: number[] = [];
      for (const id of [1, 3, 5]) {
        const first = seen(id);
        const openedAt = Date.now();
        const stream = client.newStream({});
        delays.push((await first) - openedAt);
        await stream.end();
      }
      // The median, since a machine may be busy with something else for a moment.
      expect(delays.sort((a, b) => a - b)[1]).toBeLessThan(500);
      const stream = client.newStream({ ':path': '/soon' }, { label: 'the fourth one' });
      const row = page.locator('.row[data-id="7"]');
      await row.getByText('the fourth one').waitFor();
      expect(await row.textContent()).toContain(':path: /soon');
      await stream.end();
      await drain(stream);
      await page.locator('.row[data-id="7"] .state-tag.closed').waitFor();
    });
  });

  it('counts what was sent, to the byte', async () => {
    const { client, server } = connect();
    const other = connect(spdy);
    echoAll(server);
    echoAll(other.server);
    await withPage(async ({ page }) => {
      for (const provider of [client, other.client]) {
        for (let i = 1; i <= 20; i++) {
          const stream = provider.newStream({});
          void stream.send(new Uint8Array(i * 1000));
          expect(await drain(stream)).toBe(i * 1000);
          await stream.closed;
        }
      }
      await page.locator('[data-total="opened"] dd', { hasText: /^40$/ }).waitFor();
      await page.locator('[data-total="live"] dd', { hasText: /^0$/ }).waitFor();
      // Each connection's streams, the last ones first: 20,000 bytes both ways, 19,000, and so on.
      const figuresOf = (): Promise<string[]> =>
        page
          .locator('.scroller .row')
          .evaluateAll((rows) =>
            rows.map((row) =>
              [
                row.getAttribute('data-id'),
                ...['in', 'out'].map((way) => row.querySelector(`.${way} span`)?.getAttribute('title')),
              ].join(' '),
            ),
          );
      const isRight = (figure: string): boolean => {
        const id = Number.parseInt(figure, 10);
        const bytes = `${(((id + 1) / 2) * 1000).toLocaleString('en-US')} bytes`;
        return figure === `${id} ${bytes} ${bytes}`;
      };
      // The page works in pieces: the rows come a little after the totals.
      const until = performance.now() + 2000;
      let figures = await figuresOf();
      while (!(figures.length > 10 && figures.every(isRight)) && performance.now() < until)
        figures = await figuresOf();
      expect(figures.length).toBeGreaterThan(10);
      expect(figures.filter((figure) => !isRight(figure))).toEqual([]);
      const cards = await page.locator('.card').count();
      expect(cards).toBe(2);
    });
  });

  it('says what a stream is blocked on: its window, the transport, its reader', async () => {
    const { client, server, jam } = connect();
    await withPage(async ({ page }) => {
      // Nobody reads at the other end: the window runs out.
      const first = client.newStream({}, { label: 'no window' });
      void first.send(new Uint8Array(1 << 20)).catch(() => {});
      await page.locator('.row[data-id="1"] .badge.window').waitFor();

      // Bytes arrive here, and nobody reads them.
      const second = client.newStream({}, { label: 'no reader' });
      await server.accept();
      const far = await server.accept();
      void far?.send(new Uint8Array(50_000));
      await page.locator('.row[data-id="3"] .badge.reader').waitFor();

      // There is window, and the socket takes nothing.
      jam(true);
      const third = client.newStream({}, { label: 'no room' });
      void third.send(endless()).catch(() => {});
      await page.locator('.row[data-id="5"] .badge.transport').waitFor();
      expect(await page.locator('.chip.blocked b').textContent()).toBe('3');

      await page.locator('.filter input').fill('blocked:reader');
      await page.locator('.row[data-id="1"]').waitFor({ state: 'detached' });
      expect(await page.locator('.scroller .row').count()).toBe(1);
      jam(false);
      for (const stream of [first, second, third]) stream.reset();
      await page.locator('.filter input').fill('');
      await page.locator('.row[data-id="5"] .state-tag.reset').waitFor();
    });
  });

  it('marks a reset, and who did it', async () => {
    const { client, server } = connect();
    await withPage(async ({ page }) => {
      const ours = client.newStream({});
      const theirs = client.newStream({});
      await server.accept();
      (await server.accept())?.accept().reset('internal-error');
      ours.reset('cancel');
      const row = (id: number) => page.locator(`.row[data-id="${id}"] .state-tag.reset`);
      await row(theirs.id).waitFor();
      expect(await row(ours.id).getAttribute('title')).toBe('cancel by us');
      expect(await row(theirs.id).getAttribute('title')).toBe('internal-error by the peer');
      await page.locator('[data-total="resets"] dd', { hasText: /^2$/ }).waitFor();
      await page.keyboard.press('3');
      await page.locator('.log .event.reset').first().waitFor();
    });
  });

  it('lists frames, and filters them', async () => {
    const { client, server } = connect();
    echoAll(server);
    await withPage(async ({ page }) => {
      const stream = client.newStream({});
      // More than travels with the opening.
      void stream.send(new Uint8Array(5000));
      await drain(stream);
      await page.keyboard.press('3');
      await page.locator('.log .event.close').waitFor();
      const names = async (): Promise<string[]> => page.locator('.log .scroller .name').allTextContents();
      expect(await names()).toEqual(expect.arrayContaining(['OPEN', 'DATA', 'open', 'close']));
      await page.keyboard.press('/');
      await page.keyboard.type('is:frame #1 -name:data');
      await page.waitForFunction(() => !document.querySelector('.log .event'));
      const filtered = await names();
      expect(filtered).toContain('OPEN');
      expect(filtered).not.toContain('DATA');
    });
  });

  it('works after a reload in mid-traffic', async () => {
    const { client, server } = connect();
    echoAll(server);
    await withPage(async ({ page }) => {
      const stream = client.newStream({}, { label: 'long' });
      const stopping = new AbortController();
      const sending = stream.send(endless(), { signal: stopping.signal }).catch(() => {});
      const reading = drain(stream).catch(() => {});
      const bytesIn = page.locator('.row[data-id="1"] .in span');
      await bytesIn.filter({ hasText: 'KiB' }).waitFor();
      await page.reload();
      await page.waitForSelector('.status.live');
      await page.locator('.row[data-id="1"] .rate-in').filter({ hasText: '/s' }).waitFor();
      stopping.abort();
      await Promise.all([sending, reading]);
      await page.locator('.row[data-id="1"] .state-tag.reset').waitFor();
      expect(await page.locator('[data-total="opened"] dd').textContent()).toBe('1');
    });
  });

  it('replays a trace that is dropped on it, to the same table', async () => {
    const { client, server } = connect();
    let text = '';
    client.pipe(
      trace(
        (records) => {
          text += records;
        },
        { frames: true },
      ),
    );
    echoAll(server);
    await withPage(async ({ page }) => {
      for (let i = 1; i <= 5; i++) {
        const stream = client.newStream({ ':path': `/${i}` }, { label: `stream ${i}` });
        void stream.send(new Uint8Array(i * 3000));
        await drain(stream);
      }
      client.newStream({}, { label: 'broken' }).reset('cancel');
      await page.locator('.state-tag.reset').waitFor();
      await page.waitForFunction(() => document.querySelectorAll('.scroller .state-tag.closed').length === 5);
      const live = await tableOf(page);
      await replay(page, text);
      await page.waitForFunction(() => document.querySelectorAll('.scroller .state-tag.closed').length === 5);
      expect(await tableOf(page)).toEqual(live);
      await page.getByText('Back to live').click();
      await page.waitForSelector('.status.live');
      expect(await tableOf(page)).toEqual(live);
    });
  });

  it('replays two connections that were traced into one file at once', async () => {
    let text = '';
    const traced = trace((records) => {
      text += records;
    });
    const clients = [connect(), connect(spdy)].map(({ client, server }) => {
      echoAll(server);
      return client.pipe(traced);
    });
    await withPage(async ({ page }) => {
      for (let i = 1; i <= 4; i++) {
        await Promise.all(
          clients.map(async (client, index) => {
            const stream = client.newStream({ ':path': `/${i}` }, { label: `${i} of ${index}` });
            void stream.send(new Uint8Array(i * 1000 + index * 77));
            await drain(stream);
          }),
        );
      }
      await page.waitForFunction(() => document.querySelectorAll('.scroller .state-tag.closed').length === 8);
      const live = await tablesOf(page);
      expect(live.map((table) => table.length)).toEqual([4, 4]);
      expect(live[0]).not.toEqual(live[1]);
      await replay(page, text);
      await page.waitForFunction(() => document.querySelectorAll('.scroller .state-tag.closed').length === 8);
      expect(await tablesOf(page)).toEqual(live);
    });
  });

  it('is told by its keys', async () => {
    const { client } = connect();
    await withPage(async ({ page }) => {
      const streams = [client.newStream({}), client.newStream({})];
      await page.locator('.row[data-id="3"]').waitFor();
      await page.keyboard.press('j');
      await page.keyboard.press('j');
      await page.locator('.row.selected[data-id="3"]').waitFor();
      await page.keyboard.press('Enter');
      await page.locator('.detail h2', { hasText: '#3' }).waitFor();
      await page.keyboard.press('Escape');
      await page.locator('.detail').waitFor({ state: 'detached' });
      await page.keyboard.press('Space');
      await page.waitForSelector('.status.paused');
      await page.keyboard.press('Space');
      await page.waitForSelector('.status.live');
      const before = await page.locator('html').getAttribute('data-theme');
      await page.keyboard.press('t');
      await page.waitForFunction((theme) => document.documentElement.dataset.theme !== theme, before);
      await page.keyboard.press('?');
      await page.locator('dialog.help[open]').waitFor();
      for (const stream of streams) stream.reset();
    });
  });
});

/** What the table says of each stream once it is over; ages and lanes go on by themselves. */
async function tableOf(page: Watched['page']): Promise<string[]> {
  const rows = page.locator('.scroller .row');
  const texts = await rows.evaluateAll((elements) =>
    elements.map((element) =>
      ['.stream', '.state', '.in span', '.out span']
        .map((part) => element.querySelector(part)?.textContent)
        .join(' | '),
    ),
  );
  return texts.sort();
}

/** The table of each connection, as its card shows it. */
async function tablesOf(page: Watched['page']): Promise<string[][]> {
  const tables: string[][] = [];
  for (const card of await page.locator('.card').all()) {
    await card.click();
    await page.locator('.card[aria-pressed="true"]').waitFor();
    tables.push(await tableOf(page));
    await card.click();
    await page.locator('.card[aria-pressed="true"]').waitFor({ state: 'detached' });
  }
  return tables;
}

/** Drops a trace on the page, and goes to its end. */
async function replay(page: Watched['page'], text: string): Promise<void> {
  await page.evaluate((file) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([file], 'session.qlog'));
    dispatchEvent(new DragEvent('drop', { dataTransfer: transfer }));
  }, text);
  await page.waitForSelector('.status.replay');
  await page.locator('.replay-bar input').evaluate((input: HTMLInputElement) => {
    input.value = '1000';
    input.dispatchEvent(new Event('input'));
  });
}

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) {
    yield new Uint8Array(8192);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
