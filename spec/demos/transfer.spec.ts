import { execFile, execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Provider } from 'rxmux';
import { framer } from 'rxmux/framer';
import { connect } from 'rxmux/node';
import { moveAll, newTally } from '../../demos/transfer/client.js';
import { cut, findFiles, read } from '../../demos/transfer/files.js';
import { runJob, type Surroundings } from '../../demos/transfer/job.js';
import { readOptions } from '../../demos/transfer/options.js';
import { type Output, progressOn, renderBar, renderLine } from '../../demos/transfer/progress.js';
import { scenarios } from '../../demos/transfer/scenarios.js';
import { type RunningServer, type ServerFaults, serve } from '../../demos/transfer/server.js';
import { type Result, renderTable, verdictOn } from '../../demos/transfer/table.js';
import { formatBytes } from '../../demos/transfer/text.js';
import { selfSigned } from '../../demos/transfer/tls.js';

const root = join(__dirname, '../..');
let folder: string;

// A machine that is busy elsewhere takes its time for three connections.
jest.setTimeout(30_000);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rxmux-spec-'));
  await mkdir(join(folder, 'moved/inner'), { recursive: true });
  await writeFile(join(folder, 'moved/large'), pattern(600_000));
  await writeFile(join(folder, 'moved/inner/small'), 'small');
  await writeFile(join(folder, 'moved/inner/sp ace, 100 % für x'), 'a name for headers');
  await writeFile(join(folder, 'moved/empty'), '');
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

describe('the job', () => {
  it('moves a folder by every protocol and transport, and ends with a table', async () => {
    const { exitCode, text } = await run(['--once', join(folder, 'moved')]);
    expect(exitCode).toBe(0);
    const rows = text.split('\n').filter((line) => /^\w+\s+\w+\s+\d+\s+600,023\s+[\d.]+\s+yes$/.test(line));
    expect(rows.map((row) => row.split(/\s+/).slice(0, 2).join(' '))).toEqual(
      scenarios.map(({ protocol, transport }) => `${protocol} ${transport}`),
    );
    expect(rows.length).toBeGreaterThanOrEqual(9);
    expect(text).toMatch(/All \d+ streams verified by sha256, 128 at once on each connection\.\n$/);
  });

  it('moves one small file over more than a hundred streams at once', async () => {
    const small = join(folder, 'moved/inner/sp ace, 100 % für x');
    await writeFile(join(folder, 'hundred'), pattern(300));
    const { exitCode, text } = await run(['--only', 'unix', join(folder, 'hundred'), small]);
    expect(exitCode).toBe(0);
    expect(text).toContain('128 at once on each connection');
  });

  it('exits with 1 if a byte came back changed', async () => {
    const tamper = (chunk: Uint8Array, path: string): Uint8Array => {
      if (path !== '/echo/moved/inner/small') return chunk;
      const changed = chunk.slice();
      changed[0] = (changed[0] as number) ^ 1;
      return changed;
    };
    const { exitCode, text } = await run(['--once', '--only', 'tcp', join(folder, 'moved')], { tamper });
    expect(exitCode).toBe(1);
    expect(text).toMatch(/^framer\s+tcp\s.*\sNO$/m);
    expect(text).toMatch(/moved\/inner\/small, bytes 0 to 4: sent sha256 \w{12}…, got back sha256 \w{12}…/);
    expect(text).toMatch(/Not everything was verified: see framer over tcp(, | and )spdy over tcp/);
  });

  it('exits with 1 if bytes are missing', async () => {
    const tamper = (chunk: Uint8Array): Uint8Array => chunk.subarray(1);
    const { exitCode, text } = await run(['--only', 'tls', join(folder, 'moved')], { tamper });
    expect(exitCode).toBe(1);
    expect(text).toContain('framer over tls: 1 of ');
    expect(text).toMatch(/ {2}and \d+ more reasons\n/);
  });

  it('exits with 1 if the server got something else than was sent', async () => {
    const misreport = (): string => 'f'.repeat(64);
    const { exitCode, text } = await run(['--only', 'unix', join(folder, 'moved')], { misreport });
    expect(exitCode).toBe(1);
    expect(text).toMatch(/sent sha256 \w{12}…, the server got sha256 ffffffffffff…/);
  });

  it('exits with 1 if the server cannot start, and still tries the other transports', async () => {
    const { exitCode, text } = await run(
      [join(folder, 'moved')],
      {},
      {
        startServer: async (request) => {
          if (request.address.startsWith('tls')) throw new Error('no server today');
          return serve(request);
        },
      },
    );
    expect(exitCode).toBe(1);
    expect(text).toContain('framer over tls: 0 of 0 streams verified\n  the connection: no server today\n');
    expect(text.match(/yes$/gm)).toHaveLength(
      scenarios.filter(({ transport }) => transport !== 'tls').length,
    );
  });

  it('exits with 1 if the server breaks off its streams', async () => {
    const tamper = (): Uint8Array => {
      throw new Error('the server broke');
    };
    const { exitCode, text } = await run(['--only', 'tcp', join(folder, 'moved')], { tamper });
    expect(exitCode).toBe(1);
    expect(text).toMatch(/ {2}moved\/.* was reset by the peer/);
  });

  it('exits with 1 if a file goes away meanwhile, and names it', async () => {
    const [first, second] = ['first', 'second'].map((name) => join(folder, name)) as [string, string];
    await writeFile(first, 'first');
    await writeFile(second, 'second');
    const tamper = (chunk: Uint8Array): Uint8Array => {
      rmSync(second, { force: true });
      return chunk;
    };
    const { exitCode, text } = await run(['--only', 'tcp', '--streams', '1', first, second], { tamper });
    expect(exitCode).toBe(1);
    expect(text).toContain('framer over tcp: 1 of 2 streams verified\n  second, bytes 0 to 5: ENOENT');
  });

  it('moves the others where one has a name that no headers have room for', async () => {
    const tls = selfSigned('localhost');
    const server = await serve({ protocol: 'framer', address: 'tcp://127.0.0.1:0', streams: 3, tls });
    const path = join(folder, 'moved/inner/small');
    const provider = await connect(server.address, framer);
    const parts = ['a', 'b'.repeat(100_000), 'c'].map((name) => ({ path, name, offset: 0, length: 5 }));
    const tally = newTally(() => {});
    await moveAll(provider, parts, 1, tally);
    expect([tally.streams, tally.verified]).toEqual([3, 2]);
    expect(tally.failures).toEqual([{ what: expect.stringMatching(/^b+, bytes/), why: expect.any(String) }]);
    await provider.close();
    await server.close();
  });

  it('leaves out what cannot be found in a folder, and says so', async () => {
    await mkdir(join(folder, 'odd'));
    await writeFile(join(folder, 'odd/good'), 'good');
    // As text, this name is another one.
    await writeFile(Buffer.concat([Buffer.from(join(folder, 'odd/bad')), Buffer.of(0xff)]), 'bad');
    const { exitCode, text, errors } = await run(['--only', 'unix', join(folder, 'odd')]);
    expect(errors).toBe('Left out: 1 entry of folders, gone by now or with names that are not UTF-8\n');
    expect(text).toContain('Moving 4 bytes in 1 file ');
    expect(exitCode).toBe(0);
  });

  it('stops when told to, and says that it is not complete', async () => {
    const stopping = new AbortController();
    const tamper = (chunk: Uint8Array): Uint8Array => {
      stopping.abort(new Error('interrupted'));
      return chunk;
    };
    const { exitCode, text } = await run([join(folder, 'moved')], { tamper }, { signal: stopping.signal });
    expect(exitCode).toBe(1);
    expect(text).toMatch(/^framer\s+tcp\s.*\sNO$/m);
    expect(text).not.toMatch(/^framer\s+tls\s/m);
    expect(text).toMatch(/Not everything was verified: interrupted\.\n$/);
  });

  it('explains itself', async () => {
    const { exitCode, text } = await run(['--help']);
    expect(exitCode).toBe(0);
    for (const word of ['--once', '--streams', '--only', 'NO_COLOR', 'Exit code'])
      expect(text).toContain(word);
  });

  it.each([
    [['--nope'], "Unknown option '--nope'"],
    [['--streams', '0'], '--streams is a whole number from 1 to 500, not "0"'],
    [['--only', 'pigeon'], 'not "pigeon"'],
    [['--streams', '0x10'], '--streams is a whole number from 1 to 500, not "0x10"'],
    [['--streams', '1e2'], '--streams is a whole number from 1 to 500, not "1e2"'],
    [['--port', ''], '--port is a whole number from 0 to 65535, not ""'],
    [['--port', '65536'], '--port is a whole number from 0 to 65535, not "65536"'],
    [['/no/such/file'], '/no/such/file does not exist'],
    [['/dev/null'], '/dev/null is neither a file nor a folder'],
  ])('exits with 2 for %j', async (args, sentence) => {
    const { exitCode, text, errors } = await run(args);
    expect(exitCode).toBe(2);
    expect(text).toBe('');
    expect(errors).toContain(sentence);
  });

  it('exits with 2 for a folder without files', async () => {
    await mkdir(join(folder, 'nothing'), { recursive: true });
    const { exitCode, errors } = await run([join(folder, 'nothing')]);
    expect(exitCode).toBe(2);
    expect(errors).toBe('There are no files to move\n');
  });
});

describe('the dashboard of the job', () => {
  it('has a page while it works and afterwards', async () => {
    const stopping = new AbortController();
    const [stdout, stderr] = [recorder(), recorder()];
    const pages: Promise<string>[] = [];
    const startServer = (request: Parameters<typeof serve>[0]): Promise<RunningServer> => {
      const [address = ''] = /http:\S+/.exec(stdout.text) ?? [];
      pages.push(fetch(address).then((response) => response.text()));
      return serve(request);
    };
    const codes: number[] = [];
    const onVerdict = (exitCode: number): void => {
      codes.push(exitCode);
      pages.push(fetch(/http:\S+/.exec(stdout.text)?.[0] ?? '').then((response) => response.text()));
      void Promise.all(pages).finally(() => stopping.abort());
    };
    const { signal } = stopping;
    const args = ['--only', 'tcp', '--only', 'framer', join(folder, 'moved')];
    const exitCode = await runJob(args, { stdout, stderr, env: {}, startServer, signal, onVerdict });
    expect([exitCode, ...codes]).toEqual([0, 0]);
    expect(stderr.text).toBe('');
    expect(pages).toHaveLength(2);
    for (const page of await Promise.all(pages)) expect(page).toMatch(/^<!doctype html>/);
  });

  it('is an error if its port is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const [stdout, stderr] = [recorder(), recorder()];
    expect(await runJob(['--port', String(port), folder], { stdout, stderr, env: {} })).toBe(1);
    expect(stderr.text).toContain('EADDRINUSE');
    taken.close();
  });
});

describe('the program', () => {
  let program: string;

  beforeAll(async () => {
    program = join(folder, 'program');
    const entries = ['main', 'server-main'].map((name) => join(root, `demos/transfer/${name}.ts`));
    const options = ['--bundle', '--splitting', '--format=esm', '--platform=node', '--target=node20'];
    // Its JavaScript API would leave a process or a worker behind.
    execFileSync(join(root, 'node_modules/.bin/esbuild'), [
      ...entries,
      ...options,
      `--outdir=${program}`,
      '--log-level=warning',
    ]);
    await writeFile(join(program, 'package.json'), '{ "type": "module" }');
    // ssh2 is not bundled: it is looked for where the program is.
    await symlink(join(root, 'node_modules'), join(program, 'node_modules'));
  });

  it('has its server in another process, and ends by itself', async () => {
    const { exitCode, stdout, stderr } = await start(['--once', join(folder, 'moved')]);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^framer tcp: \d+%, .* verified$/m);
    expect(stdout).toMatch(/^framer\s+unix\s.*\syes$/m);
    expect(exitCode).toBe(0);
  });

  it('stays with its dashboard until Ctrl-C, which is no failure then', async () => {
    const { exitCode, stdout } = await start(['--only', 'unix', join(folder, 'moved')], 'stays open at');
    expect(stdout).toMatch(/^Watch it live: http:\/\/127\.0\.0\.1:\d+\/$/m);
    expect(stdout).toMatch(/^spdy\s+unix\s.*\syes$/m);
    expect(exitCode).toBe(0);
  });

  it('exits with 130 after Ctrl-C', async () => {
    await writeFile(join(folder, 'long'), pattern(50_000_000));
    const { exitCode, stdout } = await start(['--once', join(folder, 'long')], 'framer tcp: 25%');
    expect(stdout).toMatch(/Not everything was verified: interrupted\.\n$/);
    expect(exitCode).toBe(130);
  });

  /** Runs it, and interrupts it once it has written `interruptAt`. */
  function start(
    args: readonly string[],
    interruptAt?: string,
  ): Promise<{ exitCode: number | null; stdout: string; stderr: string }> {
    return new Promise((resolve) => {
      const child = execFile(
        process.execPath,
        [join(program, 'main.js'), ...args],
        (_error, stdout, stderr) => {
          resolve({ exitCode: child.exitCode, stdout, stderr });
        },
      );
      let seen = '';
      let isInterrupted = interruptAt === undefined;
      child.stdout?.on('data', (text: string) => {
        seen += text;
        if (isInterrupted || !seen.includes(interruptAt as string)) return;
        isInterrupted = child.kill('SIGINT');
      });
    });
  }
});

describe('the files', () => {
  it('are the node executable and the repository without what tools have made, by default', async () => {
    const files = await findFiles([]);
    const names = files.map(({ name }) => name);
    expect(files[0]?.path).toBe(process.execPath);
    expect(names).toEqual(expect.arrayContaining(['package.json', 'lib/api.ts', 'demos/transfer/main.ts']));
    expect(names.filter((name) => /(^|\/)(node_modules|dist|\.)/.test(name))).toEqual([]);
  });

  it('are cut so that there are streams enough, and every byte is in one part', async () => {
    const files = await findFiles([join(folder, 'moved')]);
    for (const streams of [1, 100, 128]) {
      const parts = cut(files, streams);
      expect(parts.length).toBeGreaterThanOrEqual(streams);
      for (const { path, size } of files) {
        const own = parts.filter((part) => part.path === path);
        expect(own.reduce((end, { offset, length }) => (offset === end ? end + length : -1), 0)).toBe(size);
      }
    }
    expect(cut([{ path: '', name: '', size: 0 }], 100)).toHaveLength(1);
    expect(cut([{ path: '', name: '', size: 10 * 1024 ** 3 }], 100)).toHaveLength(640);
  });

  it('are read by parts, and must not become shorter meanwhile', async () => {
    const path = join(folder, 'shrinking');
    await writeFile(path, pattern(1000));
    const part = { path, name: 'shrinking', offset: 100, length: 900 };
    const chunks: Uint8Array[] = [];
    for await (const chunk of read(part)) chunks.push(chunk);
    expect(Buffer.concat(chunks).equals(pattern(1000).subarray(100))).toBe(true);
    await truncate(path, 950);
    await expect(drain(read(part))).rejects.toThrow('shrinking became shorter by 50 bytes while it was read');
  });
});

describe('the choice of scenarios', () => {
  it('is narrowed by words', () => {
    const chosen = (...words: string[]): string[] =>
      readOptions(words.flatMap((word) => ['--only', word])).scenarios.map(
        ({ protocol, transport }) => `${protocol} ${transport}`,
      );
    const framer = ['framer tcp', 'framer tls', 'framer unix'];
    const every = ['framer', 'spdy', 'http2'].flatMap((name) =>
      ['tcp', 'tls', 'unix'].map((on) => `${name} ${on}`),
    );
    expect(chosen()).toEqual([...every, 'ssh tcp', 'ssh unix']);
    expect(chosen('framer')).toEqual(framer);
    expect(chosen('framer', 'unix', 'tcp')).toEqual(['framer tcp', 'framer unix']);
    expect(chosen('framer', 'tls')).toEqual(['framer tls']);
  });
});

describe('a throw-away certificate', () => {
  it('is vouched for by itself, for its name only, and for now', () => {
    const { cert } = selfSigned('localhost');
    const certificate = new X509Certificate(cert);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.checkIssued(certificate)).toBe(true);
    expect(certificate.checkHost('localhost')).toBe('localhost');
    expect(certificate.checkHost('example.org')).toBeUndefined();
    expect(Date.parse(certificate.validFrom)).toBeLessThan(Date.now());
    expect(Date.parse(certificate.validTo)).toBeGreaterThan(Date.now());
    expect(certificate.serialNumber).not.toBe(new X509Certificate(selfSigned('localhost').cert).serialNumber);
  });

  it('is all that the client trusts', async () => {
    const [own, other] = [selfSigned('localhost'), selfSigned('localhost')];
    const request = { protocol: 'framer', address: 'tls://127.0.0.1:0', streams: 1, tls: own };
    const server = await serve(request);
    const dial = (ca: string): Promise<Provider> =>
      connect(server.address, framer, { tls: { ca, servername: 'localhost' } });
    await expect(dial(other.cert)).rejects.toThrow('cannot be reached');
    await (await dial(own.cert)).close();
    await server.close();
  });
});

describe('progress', () => {
  const snapshot = { name: 'framer tcp', bytes: 30 * 1024 ** 2, totalBytes: 60 * 1024 ** 2, seconds: 0.5 };

  it('is a bar that says what the terminal has room for', () => {
    expect(renderBar(snapshot, 120)).toBe(
      `framer tcp   [${'#'.repeat(20)}${'.'.repeat(20)}]  50%   60 MiB/s      30.0 MiB of 60.0 MiB`,
    );
    expect(renderBar(snapshot, 50)).toBe('framer tcp   [#########.........]  50%   60 MiB/s');
    expect(renderBar(snapshot, 30)).toBe('framer tcp   [####.....]  50%');
    expect(renderBar(snapshot, 20)).toBe('framer tcp 50%');
    expect(renderBar(snapshot, 8)).toBe('50%');
  });

  it('never wraps, however narrow the terminal and however far it has come', () => {
    for (let columns = 1; columns <= 150; columns++) {
      for (const bytes of [0, 1, snapshot.totalBytes - 1, snapshot.totalBytes]) {
        expect(renderBar({ ...snapshot, bytes }, columns).length).toBeLessThan(columns);
      }
    }
  });

  it('has no bytes to divide by when all files are empty', () => {
    expect(renderLine({ name: 'x', bytes: 0, totalBytes: 0, seconds: 0 })).toBe(
      'x: 100%, 0 bytes of 0 bytes, 0.0 MiB/s',
    );
  });

  it('draws over its line on a terminal, in colours unless NO_COLOR is set', () => {
    const shown = show({ isTTY: true, columns: 50 }, {});
    expect(shown.split('\r\x1b[K').slice(1)).toEqual([
      `framer tcp   [${'.'.repeat(18)}]   0%    0 MiB/s`,
      expect.stringMatching(/100%.*\n$/),
    ]);
    expect(shown).toContain(`[\x1b[32m${'#'.repeat(18)}\x1b[0m] 100%`);
    expect(show({ isTTY: true, columns: 50 }, { NO_COLOR: '1' })).toContain(`[${'#'.repeat(18)}] 100%`);
    expect(show({ isTTY: true, columns: 50 }, {}, false)).toContain('\x1b[31m###');
  });

  it.each([
    [{}, {}],
    [{ isTTY: true }, { TERM: 'dumb' }],
  ])('is plain lines elsewhere', (output, env) => {
    const lines = show(output, env).split('\n');
    expect(lines[0]).toBe('framer tcp: 1000 bytes to move');
    expect(lines.slice(1, -1).map((line) => /\d+%/.exec(line)?.[0])).toEqual(['25%', '50%', '75%', '100%']);
    expect(lines.at(-2)).toMatch(/, verified$/);
    expect(lines.join('')).not.toContain('\r');
    expect(lines.join('')).not.toContain('\x1b');
  });

  function show(output: Partial<Output>, env: NodeJS.ProcessEnv, isVerified: boolean = true): string {
    const written = recorder(output);
    const progress = progressOn(written, env);
    progress.begin('framer tcp', 1000);
    for (let i = 0; i < 100; i++) progress.add(10);
    progress.end(isVerified);
    return written.text;
  }
});

describe('the table', () => {
  const good: Result = {
    protocol: 'framer',
    transport: 'tcp',
    isVerified: true,
    streams: 128,
    atOnce: 128,
    verified: 128,
    bytes: 104_857_600,
    seconds: 0.5,
    failures: [],
  };
  const lost = { what: 'lib/api.ts', why: 'the connection was lost' };
  const bad: Result = {
    ...good,
    transport: 'unix',
    isVerified: false,
    verified: 126,
    bytes: 5,
    failures: [lost, lost],
  };

  it('has a line for each scenario, with the numbers below each other', () => {
    expect(renderTable([good, bad], false).split('\n')).toEqual([
      'protocol  transport  streams        bytes  MiB/s  verified',
      '--------  ---------  -------  -----------  -----  --------',
      'framer    tcp            128  104,857,600  200.0  yes',
      'framer    unix           128            5    0.0  NO',
    ]);
    expect(renderTable([good, bad], true)).toContain('\x1b[31mNO\x1b[0m');
  });

  it('is followed by a verdict, which groups what failed for the same reason', () => {
    expect(verdictOn([good])).toEqual({
      isGood: true,
      text: 'All 128 streams verified by sha256, 128 at once on each connection.',
    });
    expect(verdictOn([good, bad])).toEqual({
      isGood: false,
      text: [
        'framer over unix: 126 of 128 streams verified',
        '  lib/api.ts and 1 more: the connection was lost',
        '',
        'Not everything was verified: see framer over unix above.',
      ].join('\n'),
    });
    expect(verdictOn([good], 'interrupted').isGood).toBe(false);
  });

  it('counts bytes in the unit that suits them', () => {
    expect([0, 1, 1023, 1024, 1024 ** 2 * 97.3, 1024 ** 5].map(formatBytes)).toEqual([
      '0 bytes',
      '1 byte',
      '1023 bytes',
      '1.0 KiB',
      '97.3 MiB',
      '1024.0 TiB',
    ]);
  });
});

async function run(
  args: readonly string[],
  faults: ServerFaults = {},
  surroundings: Partial<Surroundings> = {},
): Promise<{ exitCode: number; text: string; errors: string }> {
  const stdout = recorder();
  const stderr = recorder();
  const startServer = (request: Parameters<typeof serve>[0]): Promise<RunningServer> =>
    serve(request, faults);
  // Without it the dashboard would stay; that has specs of its own.
  const exitCode = await runJob(['--once', ...args], {
    stdout,
    stderr,
    env: {},
    startServer,
    ...surroundings,
  });
  return { exitCode, text: stdout.text, errors: stderr.text };
}

function recorder(output: Partial<Output> = {}): Output & { text: string } {
  return {
    ...output,
    text: '',
    write(text: string): void {
      this.text += text;
    },
  };
}

async function drain(source: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of source);
}

/** Bytes of which no two parts are alike. */
function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8)) & 0xff;
  return bytes;
}
