import { debug, http2, memoryPair } from 'rxmux';
import { echo, finish, next, textOf, two } from './ends.js';

describe('debug', () => {
  it('writes a line for each event, with headers and sums, and the end', async () => {
    const { client, server } = two();
    const lines: string[] = [];
    echo(server);
    const logged = client.pipe(debug({ log: (line) => lines.push(line) }));
    const stream = logged.newStream({ ':path': '/a', authorization: 'Bearer planted' }, { label: 'first' });
    void stream.send('hello');
    await textOf(stream);
    await stream.closed;
    await client.ping();
    await client.close();
    await finish(client, server);
    expect(lines[0]).toBe('framer client first#1 open {:path: /a, authorization: [redacted]}');
    expect(lines.find((line) => line.includes(' close,'))).toMatch(
      /first#1 close, 5 bytes in, 5 out, [\d.]+ ms$/,
    );
    expect(lines.some((line) => /ping [\d.]+ ms$/.test(line))).toBe(true);
    expect(lines.some((line) => line.includes('goaway by us'))).toBe(true);
    expect(lines.at(-1)).toBe('framer client closed');
    expect(lines.join('')).not.toContain('planted');
    expect(lines.join('')).not.toContain('\x1b');
  });

  it('writes a line for every frame, both ways, if asked to', async () => {
    const { client, server } = two();
    const lines: string[] = [];
    client.pipe(debug({ name: 'wire', frames: true, log: (line) => lines.push(line) }));
    echo(server);
    const stream = client.newStream();
    void stream.send('hello');
    await textOf(stream);
    await finish(client, server);
    expect(lines.some((line) => /^wire → \w+ #1, \d+ bytes/.test(line))).toBe(true);
    expect(lines.some((line) => /^wire ← \w+ #1, \d+ bytes/.test(line))).toBe(true);
  });

  it('lets no peer write lines of its own', async () => {
    const { client, server } = two();
    const lines: string[] = [];
    server.pipe(debug({ log: (line) => lines.push(line) }));
    client.newStream({ name: 'a\x1b[31mred', other: 'tab\tbed' });
    await next(server);
    await finish(client, server);
    expect(lines[0]).toContain('name: "a\\u001b[31mred"');
  });

  it('lets no peer write lines of its own by the label that it is given', async () => {
    const { client, server } = two();
    const lines: string[] = [];
    server.pipe(debug({ log: (line) => lines.push(line) }));
    client.newStream({ name: 'x\x1b[2J\x9b31m' });
    const stream = await next(server);
    stream.label = `${stream.headers.get('name')}#${stream.id}`;
    stream.reset();
    await finish(client, server);
    expect(lines[1]).toMatch(/^framer server "x\\u001b\[2J\\u009b31m#1" reset by us/);
  });

  it('lets no peer write lines of its own by what it says at the end', async () => {
    const [near, far] = memoryPair();
    const client = http2(near, { role: 'client' });
    const lines: string[] = [];
    client.pipe(debug({ log: (line) => lines.push(line) }));
    far.start({ onData: () => {}, onEnd: () => {}, onDrain: () => {}, onClose: () => {} });
    const said = Buffer.from('bye\nhttp2 client accept#1\x1b[2J\x9b2J');
    // RFC 9113, sections 6.5 and 6.8: SETTINGS, and GOAWAY with an error and a text.
    far.write([Buffer.from('000000040000000000', 'hex')]);
    far.write([Buffer.from([0, 0, 8 + said.byteLength, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]), said]);
    await expect(client.closed).rejects.toMatchObject({ remote: true });
    await Promise.resolve();
    expect(lines.at(-1)).toMatch(
      /^http2 client lost: ".*bye\\nhttp2 client accept#1\\u001b\[2J\\u009b2J.*"$/,
    );
    far.destroy();
  });

  it.each([
    ['a terminal', { isTTY: true, env: {} }, true],
    ['a terminal with NO_COLOR', { isTTY: true, env: { NO_COLOR: '1' } }, false],
    ['a dumb terminal', { isTTY: true, env: { TERM: 'dumb' } }, false],
    ['a file', { isTTY: false, env: {} }, false],
  ])('colours names on %s: %j', async (_where, { isTTY, env }, isColored) => {
    const { client, server } = two();
    const lines: string[] = [];
    const before = { isTTY: process.stderr.isTTY, NO_COLOR: process.env.NO_COLOR, TERM: process.env.TERM };
    const log = jest.spyOn(console, 'error').mockImplementation((line: string) => void lines.push(line));
    try {
      process.stderr.isTTY = isTTY;
      delete process.env.NO_COLOR;
      Object.assign(process.env, { TERM: 'xterm', ...env });
      client.pipe(debug());
      client.newStream();
      await finish(client, server);
    } finally {
      log.mockRestore();
      process.stderr.isTTY = before.isTTY;
      for (const name of ['NO_COLOR', 'TERM'] as const) {
        if (before[name] === undefined) delete process.env[name];
        else process.env[name] = before[name];
      }
    }
    expect(lines.length).toBeGreaterThan(1);
    expect(lines.some((line) => line.includes('\x1b['))).toBe(isColored);
  });

  it('does nothing where it is switched off', () => {
    const { client, server } = two();
    const lines: string[] = [];
    expect(client.pipe(debug({ enabled: false, log: (line) => lines.push(line) }))).toBe(client);
    return finish(client, server).then(() => expect(lines).toEqual([]));
  });
});
