import { request } from 'node:http';
import { connect } from 'node:net';
import os from 'node:os';
import type { Protocol } from 'rxmux';
import { type Dashboard, type DashboardOptions, dashboard } from 'rxmux/dashboard';
import { http2 } from 'rxmux/http2';
import type { Tick } from '../../lib/dashboard/messages.js';
import { WatchedConnection } from '../../lib/dashboard/watched-connection.js';
import { redactor } from '../../lib/wrappers/redact.js';
import { until, within } from '../conformance/wait.js';
import { drain, echoAll, type Linked, linked } from './connections.js';

let boards: Dashboard[] = [];
let connections: Linked[] = [];

afterEach(async () => {
  for (const connection of connections) await connection.close();
  for (const board of boards) await board.close();
  boards = [];
  connections = [];
});

function serve(options?: DashboardOptions): Dashboard {
  const board = dashboard(options);
  boards.push(board);
  return board;
}

function link(board: Dashboard, protocol?: Protocol): Linked {
  const connection = linked(protocol);
  connections.push(connection);
  connection.client.pipe(board);
  return connection;
}

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly text: string;
}

function ask(address: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(address, { headers, method, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
      );
    });
    asked.on('error', reject);
    asked.end();
  });
}

/** Asks for a target that no client would make. */
function askRaw(address: string, target: string): Promise<string> {
  const { host, hostname, port } = new URL(address);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (part: string) => {
      text += part;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(text.split('\r\n')[0] as string));
    socket.end(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  });
}

/** Listens as the page does; `text` is everything it was told. */
async function eavesdrop(board: Dashboard): Promise<{ text(): string; messages(): Tick[]; stop(): void }> {
  const { port } = new URL(await board.address);
  const socket = connect(Number(port), '127.0.0.1');
  let text = '';
  socket.setEncoding('utf8');
  socket.on('data', (part: string) => {
    text += part;
  });
  socket.on('error', () => {});
  socket.write(`GET /events HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
  await until(() => text.includes('data: '), 'a first message');
  return {
    text: () => text,
    messages: () =>
      Array.from(text.matchAll(/^data: (.*)\n/gm), ([, json]) => JSON.parse(json as string) as Tick),
    stop: () => socket.destroy(),
  };
}

function headersOf(count: number, length: number, text = 'a'): [name: string, value: string][] {
  return Array.from({ length: count }, (_, i) => [`x-${i}`, text.repeat(length)]);
}

describe('the dashboard as a server', () => {
  it('serves one page that names no other place', async () => {
    const { status, text, headers } = await ask(await serve().address);
    expect(status).toBe(200);
    expect(headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'sha256-/);
    expect(text).not.toMatch(/(src|href)="(?!data:)/);
    // Names of XML vocabularies are not places.
    const places = (text.match(/https?:\/\/[\w.]+/g) ?? []).filter(
      (place) => !place.endsWith('//www.w3.org'),
    );
    expect(places).toEqual([]);
  });

  it('listens on loopback unless told otherwise', async () => {
    expect(await serve().address).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
  });

  it('refuses whoever calls it by another name', async () => {
    const address = await serve().address;
    const { port } = new URL(address);
    for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1.evil.example']) {
      expect((await ask(address, { host })).status).toBe(403);
      expect((await ask(`${address}events`, { host })).status).toBe(403);
    }
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`]) {
      expect((await ask(address, { host })).status).toBe(200);
    }
  });

  it('refuses pages of other origins', async () => {
    const address = await serve().address;
    for (const origin of ['https://evil.example', 'null', 'http://localhost:1', `${address}x`]) {
      expect((await ask(`${address}events`, { origin })).status).toBe(403);
    }
    const headers = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' };
    expect((await ask(`${address}events`, headers)).status).toBe(403);
    expect((await ask(address, { origin: address.slice(0, -1) })).status).toBe(200);
  });

  it('answers nothing but GET', async () => {
    const address = await serve().address;
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      expect((await ask(address, {}, method)).status).toBe(405);
    }
  });

  it.each(['//', '///', '//[', '/\\\\', 'http://', '//a:b@c:99999/', '/%', '/?%', '/events/?token=%ff'])(
    'outlives a request for %s',
    async (target) => {
      const open = await serve().address;
      const guarded = new URL('/', await serve({ token: 'sesame' }).address).href;
      const isPage = target.startsWith('/?');
      expect(await within(askRaw(open, target), 1000, () => target)).toContain(isPage ? ' 200 ' : ' 404 ');
      expect(await within(askRaw(guarded, target), 1000, () => target)).toContain(' 401 ');
    },
  );

  it('takes targets in absolute form, whose host is the one that counts', async () => {
    const open = await serve().address;
    const { host } = new URL(open);
    for (const target of [`http://${host}/`, `HTTP://${host}`, `https://${host}?a=/b`]) {
      expect(await askRaw(open, target)).toContain(' 200 ');
    }
    expect(await askRaw(open, `http://${host}/x`)).toContain(' 404 ');
    expect(await askRaw(open, 'http://evil.example/')).toContain(' 403 ');
    const guarded = await serve({ token: 'sesame' }).address;
    expect(await askRaw(guarded, guarded)).toContain(' 303 ');
    expect(await askRaw(guarded, new URL('/', guarded).href)).toContain(' 401 ');
  });

  it('is guarded by a token off loopback', async () => {
    const board = serve({ host: '0.0.0.0', hosts: ['dash.example'] });
    const url = new URL(await board.address);
    const token = url.searchParams.get('token') ?? '';
    expect(token.length).toBeGreaterThanOrEqual(20);
    const place = `http://127.0.0.1:${url.port}/`;
    const host = 'dash.example';
    expect((await ask(place, { host: 'evil.example' })).status).toBe(403);
    expect(
      (await ask(place, { host: `127.0.0.1:${url.port}`, authorization: `Bearer ${token}` })).status,
    ).toBe(200);
    expect((await ask(place, { host })).status).toBe(401);
    expect((await ask(`${place}events`, { host })).status).toBe(401);
    expect((await ask(`${place}?token=${token}x`, { host })).status).toBe(401);

    const first = await ask(`${place}?token=${token}`, { host });
    expect([first.status, first.headers.location]).toEqual([303, '/']);
    const [cookie = ''] = first.headers['set-cookie'] ?? [];
    expect(cookie).toMatch(/HttpOnly; SameSite=Strict/);
    expect((await ask(place, { host, cookie: cookie.split(';')[0] ?? '' })).status).toBe(200);
    expect((await ask(place, { host, authorization: `Bearer ${token}` })).status).toBe(200);
  });

  it.each([
    '0.0.0.0',
    '0',
    '::',
    '',
    '::0',
    '0:0:0:0:0:0:0:0',
    '::1',
    '::ffff:127.0.0.1',
    'LOCALHOST',
    '127.1',
  ])('can be opened at the address that it gives for %s', async (host) => {
    const address = await serve({ host, token: 'sesame' }).address;
    expect((await ask(address)).status).toBe(303);
    expect((await ask(new URL(address).href)).status).toBe(303);
  });

  it('needs no IPv6 to be at every address', async () => {
    const [loopback] = (os.networkInterfaces().lo ?? []).filter(({ family }) => family === 'IPv4');
    const interfaces = jest
      .spyOn(os, 'networkInterfaces')
      .mockReturnValue({ lo: loopback === undefined ? [] : [loopback] });
    const address = await serve({ host: '', token: 'sesame' }).address;
    interfaces.mockRestore();
    expect(new URL(address).hostname).toBe('0.0.0.0');
    expect((await ask(address)).status).toBe(303);
  });

  it('takes nothing for a host that only has one in it', async () => {
    // A name of more than 63 letters is asked of no server of names.
    const name = 'a'.repeat(64);
    for (const host of [`${name}@localhost`, `localhost/${name}`]) {
      await expect(serve({ host }).address).rejects.toThrow('ENOTFOUND');
    }
  });

  it('takes a token of the caller’s choice on loopback too', async () => {
    const address = await serve({ token: 'open sesame' }).address;
    expect(new URL(address).searchParams.get('token')).toBe('open sesame');
    expect((await ask(address)).status).toBe(303);
    expect((await ask(new URL('/', address).href)).status).toBe(401);
  });

  it.each(['a+b/c==', 'a b', 'a&b', 'a;b', 'a#b', 'a%41', '"', 'пароль', 'ключ🔑'])(
    'takes %s for a token, in its address and from then on',
    async (token) => {
      const address = await serve({ token }).address;
      const first = await ask(address);
      expect(first.status).toBe(303);
      const cookie = (first.headers['set-cookie']?.[0] ?? '').split(';')[0] ?? '';
      expect((await ask(new URL('/', address).href, { cookie })).status).toBe(200);
      expect((await ask(new URL('/', address).href, { cookie: `${cookie}x` })).status).toBe(401);
    },
  );

  it('keeps a good cookie when an old address is opened', async () => {
    const address = await serve({ token: 'right' }).address;
    const [kept = ''] = (await ask(address)).headers['set-cookie'] ?? [];
    const cookie = kept.split(';')[0] ?? '';
    const again = await ask(new URL('/?token=old', address).href, { cookie });
    expect([again.status, again.headers['set-cookie']]).toEqual([303, [kept]]);
  });

  it.each([-1, Number.NaN, '7'])('takes no %p for how often it pings', (value) => {
    expect(() => dashboard({ pingMs: value as number })).toThrow(RangeError);
  });

  it('says at once that no address can have such a token', () => {
    expect(() => serve({ token: '\ud800' })).toThrow(TypeError);
  });

  it('rejects its address if the port is taken, and nobody need listen', async () => {
    const { port } = new URL(await serve().address);
    const second = serve({ port: Number(port) });
    await expect(second.address).rejects.toThrow('EADDRINUSE');
  });
});

describe('a dashboard that is closed', () => {
  it('rejects its address if that was before it listened', async () => {
    const board = serve();
    const closed = board.close();
    const told = expect(board.address).rejects.toThrow('the dashboard was closed');
    await within(Promise.all([closed, told]), 1000, () => 'the address is pending');
  });

  it('leaves its address as it is', async () => {
    const board = serve();
    const address = await board.address;
    await board.close();
    expect(await board.address).toBe(address);
  });
});

describe('what the page is told', () => {
  it('has no secrets in it', async () => {
    const board = serve();
    const { client, server } = link(board);
    echoAll(server);
    const early = client.newStream(
      { authorization: 'Bearer planted-1' },
      { label: 'https://u:planted-2@host/' },
    );
    const page = await eavesdrop(board);
    const late = client.newStream(
      [
        ['cookie', 'a=planted-3'],
        ['x-api-key', 'planted-4'],
        ['x-auth-token', 'planted-5'],
        [':path', '/x?access_token=planted-6&page=2'],
        ['referer', 'https://me:planted-7@host/'],
        ['x-note', 'Basic cGxhbnRlZC04'],
        ['x-visible', 'this may be seen'],
      ],
      { label: 'late' },
    );
    for (const stream of [early, late]) {
      await stream.end();
      await drain(stream);
    }
    client.abort(new Error('lost: https://me:planted-9@host/'));
    await until(() => page.text().includes('"failed"'), 'the end of the connection');
    expect(page.text()).toContain('this may be seen');
    expect(page.text()).toContain('page=2');
    expect(page.text()).not.toContain('planted');
    expect(page.text()).not.toContain('cGxhbnRlZC04');
    page.stop();
  });

  it('has the secrets if that is asked for', async () => {
    const board = serve({ redact: false });
    const { client } = link(board);
    const page = await eavesdrop(board);
    const stream = client.newStream({ authorization: 'Bearer seen' });
    await until(() => page.text().includes('Bearer seen'), 'the header');
    stream.reset();
    page.stop();
  });

  it('is all there for a page that comes later', async () => {
    const board = serve();
    const { client, server } = link(board);
    echoAll(server);
    const over = client.newStream({}, { label: 'over' });
    void over.send('x');
    await drain(over);
    await over.closed;
    const alive = client.newStream({}, { label: 'alive' });
    const page = await eavesdrop(board);
    const [first] = page.messages();
    expect(first?.isWhole).toBe(true);
    expect(first?.streams.map(({ label }) => label)).toEqual(['over', 'alive']);
    alive.reset();
    page.stop();
  });

  it('says what it leaves out of a flood', async () => {
    const board = serve({ pingMs: 0 });
    const { client, server } = link(board);
    echoAll(server);
    const page = await eavesdrop(board);
    const many = Array.from({ length: 1500 }, async () => {
      const stream = client.newStream({});
      void stream.send(new Uint8Array(10));
      await drain(stream);
    });
    await Promise.all(many);
    await until(
      () => page.messages().some(({ connections: [row] }) => row?.opened === 1500 && row.live === 0),
      'the end',
    );
    const sum = (read: (message: Tick) => number): number =>
      page.messages().reduce((total, message) => total + read(message), 0);
    // 1,500 opens, replies, four ends in all, closes: each is told or counted.
    const told = sum(({ events }) => events.length);
    const counted = sum(({ omitted }) => omitted.events);
    expect(told + counted).toBe(1500 * 5);
    const rows = new Set(page.messages().flatMap(({ streams }) => streams.map(({ id }) => id)));
    expect(rows.size + sum(({ omitted }) => omitted.streams)).toBe(1500);
    expect(sum(({ omitted }) => omitted.frames)).toBeGreaterThan(0);
    page.stop();
  });

  it('has so much of a stream’s headers, and no more', async () => {
    const board = serve();
    const { client } = link(board);
    const most = 256;
    const early = client.newStream({ 'x-long': 'l'.repeat(1000) }, { label: 'L'.repeat(300) });
    // What is hidden is hidden before it is cut.
    const secret = `https://me:${'planted'.repeat(50)}@host/`;
    const many = client.newStream([['x-url', secret], ...headersOf(30, 300)], { label: 'many' });
    const page = await eavesdrop(board);
    const late = client.newStream({ 'x-long': 'l'.repeat(1000) }, { label: 'late' });
    await until(() => page.text().includes('"late"'), 'the last row');
    const rows = new Map(page.messages().flatMap(({ streams }) => streams.map((row) => [row.id, row])));
    const long = [['x-long', `${'l'.repeat(most)}… 744 more`]];
    expect(rows.get(early.id)).toMatchObject({ label: `${'L'.repeat(most)}… 44 more`, headers: long });
    expect(rows.get(late.id)?.headers).toEqual(long);
    const shown = rows.get(many.id)?.headers ?? [];
    expect(shown.at(-1)).toEqual(['…', `${30 + 1 - (shown.length - 1)} more`]);
    expect(JSON.stringify(shown).length).toBeLessThan(6000);
    expect(page.text()).not.toContain('planted');
    for (const stream of [early, many, late]) stream.reset();
    page.stop();
  });

  it('comes in messages of a bounded size, all of what is alive in the end', async () => {
    const board = serve({ pingMs: 0 });
    const pairs = [link(board), link(board)];
    for (const { client, server } of pairs) {
      echoAll(server);
      for (let i = 0; i < 50; i++) {
        const over = client.newStream(headersOf(20, 200, '"'));
        await over.end();
        await drain(over);
      }
    }
    const alive = pairs.flatMap(({ client }) =>
      Array.from({ length: 300 }, () => client.newStream(headersOf(20, 200, '"'))),
    );
    await Promise.all(alive.map((stream) => stream.write('1234567')));
    const pages = [await eavesdrop(board)];
    // The second one's beginning takes nothing from the first one.
    pages.push(await eavesdrop(board));
    for (const page of pages) {
      const shown = (): [rows: Set<number>, figures: Set<number>] => {
        const messages = page.messages();
        const rows = messages.flatMap(({ streams }) => streams.map(({ key }) => key));
        const figures = messages.flatMap(({ figures: flat }) =>
          flat.filter((_, at) => at % 9 === 0 && flat[at + 3] === 7),
        );
        return [new Set(rows), new Set(figures)];
      };
      await until(() => shown()[0].size >= 600, 'all rows');
      const [rows, figures] = shown();
      expect(figures.size).toBe(600);
      expect([...figures].every((key) => rows.has(key))).toBe(true);
      const [first] = page.messages();
      expect(first?.streams.length).toBeGreaterThan(100);
      // Each has its share.
      expect(new Set(first?.streams.map(({ connection }) => connection)).size).toBe(2);
      expect(first?.omitted.streams).toBe(100);
      // Each quote is two characters there.
      for (const [line] of page.text().matchAll(/^data: .*/gm))
        expect(line.length).toBeLessThan(2.5 * 2 ** 20);
    }
    for (const stream of alive) stream.reset();
    for (const page of pages) page.stop();
  });

  it('is bounded while nobody looks, whatever peers put into headers', async () => {
    const { client, server } = linked(http2);
    const context = { nextKey: () => 1, redact: redactor() };
    const watched = new WatchedConnection(1, server, undefined, context);
    echoAll(server);
    for (let i = 0; i < 300; i++) {
      const stream = client.newStream(headersOf(14, 3900, `${i % 10}`), { label: 'x' });
      await stream.end();
      await drain(stream);
    }
    await until(() => watched.live.size === 0, 'the end of all streams');
    const kept = watched.ended.map(({ label, headers, shown }) => [label, [...headers], shown]);
    expect(kept.length).toBeGreaterThan(10);
    expect(JSON.stringify(kept).length).toBeLessThan(400_000);
    watched.stop();
    client.abort();
    server.abort();
    await Promise.allSettled([client.closed, server.closed]);
  });

  it.each([
    ['never pinged unless that is asked for', undefined, false],
    ['pinged if that is asked for', 1000, true],
  ])('has round trips of HTTP/2 servers, which are %s', async (_how, pingMs, isPinged) => {
    const board = serve(pingMs === undefined ? {} : { pingMs });
    const { client, server } = link(board, http2);
    let pings = 0;
    client.frames$.subscribe(({ name, direction, flags }) => {
      if (name === 'PING' && direction === 'out' && flags === 0) pings++;
    });
    board(server);
    const page = await eavesdrop(board);
    const measured = (): number[] =>
      page
        .messages()
        .flatMap(({ events }) => events)
        .flatMap(([, type, connection]) => (type === 'ping' ? [connection] : []));
    // Both have their turn in the same round.
    await until(() => measured().includes(2), 'a round trip of our client');
    expect(pings > 0).toBe(isPinged);
    await client.ping();
    await until(() => measured().includes(1), 'a round trip of our server');
    page.stop();
  });

  it('ends with the dashboard, and the connections go on', async () => {
    const board = serve();
    const { client, server } = link(board);
    echoAll(server);
    const page = await eavesdrop(board);
    await within(board.close(), 1000, () => 'the dashboard is closing');
    const stream = client.newStream({});
    void stream.send('still here');
    expect(await drain(stream)).toBe(10);
    page.stop();
  });
});
