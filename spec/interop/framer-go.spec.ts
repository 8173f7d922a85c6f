import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import {
  connect,
  framer,
  type Limits,
  type Listener,
  listen,
  type Provider,
  type Stream,
  type StreamError,
} from 'rxmux/node';
import { vectorsFile } from '../framer/vectors.js';
import { describeWithPeer, peers } from '../support/interop.js';
import { trackProvider } from '../support/leaks.js';
import { echoOnce, pattern, patternBytes, patternHash, readPattern, serveOps } from './framer-ops.js';

const run = promisify(execFile);
const sources = join(import.meta.dirname, 'go/framer');
const MiB = 1024 * 1024;

/** A thousand streams at a time, for those tests that want them. */
const manyStreams: Partial<Limits> = { maxStreams: 1024, backlog: 1024 };

let folder: string;
let framerpeer: string;

/** The line of JSON that `framerpeer dial` ends with. */
interface Report {
  readonly ok: boolean;
  readonly scenario: string;
  readonly error?: string;
  readonly [figure: string]: unknown;
}

describeWithPeer('the Simple Framer and an independent implementation in Go', peers.go, () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rxmux-framer-'));
    framerpeer = join(folder, 'framerpeer');
    await run('go', ['build', '-o', framerpeer, '.'], { cwd: sources });
  }, 180_000);

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('agree on every vector', async () => {
    const { stdout } = await run(framerpeer, ['vectors', vectorsFile]);
    expect(stdout).toMatch(/^\d+ vectors passed\n$/);
  }, 30_000);

  describe('our server, and its client', () => {
    let listener: Listener | undefined;
    let served: Provider[] = [];

    afterEach(async () => {
      await listener?.close();
      listener = undefined;
      served = [];
    });

    /** Runs a scenario of the Go client's against a server of ours. */
    async function dialed(
      scenario: string,
      limits: Partial<Limits> = {},
      at = 'tcp://127.0.0.1:0',
    ): Promise<Report> {
      listener = await listen(at, framer, { limits });
      listener.accept$.subscribe((provider) => {
        served.push(trackProvider(provider));
        serveOps(provider);
      });
      const address = listener.address.replace('tcp://', '');
      const args = ['dial', '-addr', address, '-do', scenario, '-timeout', '60s'];
      const { stdout } = await run(framerpeer, args).catch((error: { stdout: string }) => error);
      return JSON.parse(stdout) as Report;
    }

    it.each([
      ['ping'],
      ['echo'],
      ['headers'],
      ['half-close'],
      ['reset'],
      ['stop'],
      ['slow'],
      ['accept'],
      ['goaway'],
    ])(
      'do %s',
      async (scenario) => {
        const { ok, error } = await dialed(scenario);
        expect({ ok, error }).toEqual({ ok: true });
        // The Go client ends with a GOAWAY: nothing failed, so that is a clean end.
        await expect(served[0]?.closed).resolves.toBeUndefined();
      },
      30_000,
    );

    it('move 64 MiB each way, unchanged', async () => {
      const { ok, error, bytes } = await dialed('bulk');
      expect({ ok, error, bytes }).toEqual({ ok: true, bytes: 64 * MiB });
    }, 90_000);

    it('have 1,000 streams at a time', async () => {
      expect(await dialed('concurrent', manyStreams)).toMatchObject({
        ok: true,
        streams: 1000,
        refused: 0,
        failed: 0,
      });
    }, 60_000);

    it('have 1,000 streams although fewer are taken at a time: the others are refused, and tried again', async () => {
      const limits = { maxStreams: 200, refusalBurst: 1_000_000 };
      const { ok, refused, error } = await dialed('concurrent', limits);
      expect({ ok, error }).toEqual({ ok: true });
      expect(refused).toBeGreaterThan(0);
    }, 60_000);

    it('agree on a refusal’s code and headers; we give no reason, which that client would like', async () => {
      const { ok, error } = await dialed('refuse');
      expect({ ok, error }).toEqual({
        ok: false,
        error: 'refuse: [{op refuse}]: refused: refused  [x-why=test]',
      });
    }, 30_000);

    it('talk over a unix socket', async () => {
      expect(await dialed('echo', {}, `unix:${join(folder, 'ours.sock')}`)).toMatchObject({ ok: true });
    }, 30_000);
  });

  describe('our client, and its server', () => {
    let server: ChildProcess;
    let address: string;
    const log: string[] = [];

    /** Starts a server, and gives its address. */
    async function start(at: string): Promise<[ChildProcess, string]> {
      const child = spawn(framerpeer, ['serve', '-v', '-listen', at], { stdio: ['ignore', 'pipe', 'pipe'] });
      createInterface(child.stderr).on('line', (line) => log.push(line));
      const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
      return [child, line.replace('listening ', '').replace(/^(?!unix:)/, 'tcp://')];
    }

    async function finish(child: ChildProcess): Promise<void> {
      const exited = once(child, 'close');
      child.kill();
      await exited;
    }

    beforeAll(async () => {
      [server, address] = await start('127.0.0.1:0');
    });

    afterAll(() => finish(server));

    let client: Provider;

    beforeEach(async () => {
      client = trackProvider(await connect(address, framer, { limits: manyStreams }));
    });

    afterEach(async () => {
      await client.close().catch(() => {});
    });

    function open(op: string, headers: Record<string, string> = {}): Stream {
      return client.newStream({ op, ...headers });
    }

    async function failureOf(promise: Promise<unknown>): Promise<StreamError> {
      try {
        await promise;
      } catch (error) {
        return error as StreamError;
      }
      throw new Error('this should have failed');
    }

    it('ping', async () => {
      const rtt = await client.ping();
      expect(rtt).toBeGreaterThan(0);
      expect(rtt).toBeLessThan(5000);
    });

    it('echo bytes and headers, repeated ones in their order', async () => {
      const headers = [
        ['x-a', '1'],
        ['x-b', 'Grüße €'],
        ['x-a', '2'],
        ['x-empty', ''],
        ['y', 'not echoed'],
      ] as const;
      await echoOnce(client, headers, 300_000);
      for (let size = 0; size < 12; size++) await echoOnce(client, [['x-n', String(size)]], size);
    });

    it('move 64 MiB each way, unchanged', async () => {
      const size = 64 * MiB;
      const wanted = patternHash(size);
      const up = open('sink');
      await up.send(pattern(size));
      expect(Buffer.from((await up.read()) ?? []).toString()).toBe(wanted);
      expect(await up.read()).toBeNull();

      const down = open('source', { size: String(size) });
      void down.end();
      expect(await readPattern(down)).toEqual({ bytes: size, isPattern: true, sha256: wanted });
    }, 90_000);

    it('have 1,000 streams at a time', async () => {
      const echoes = Array.from({ length: 1000 }, (_, n) => echoOnce(client, [['x-n', String(n)]], 1024));
      expect(client.streams.size).toBe(1000);
      await Promise.all(echoes);
    }, 60_000);

    it.each([5, 300, 2 ** 32 - 1])('reset a stream with the code %d, exactly', async (code) => {
      const stream = open('reset', { after: '1000', code: String(code) });
      await stream.write(patternBytes(1000));
      const error = await failureOf(stream.closed);
      expect(error).toMatchObject({
        code: 'reset',
        remote: true,
        wireCode: code,
        reset: code === 5 ? 'cancel' : code,
      });
      expect(error.message).toContain('as asked');
      expect(await failureOf(stream.write('more'))).toBe(error);
      await expect(client.ping()).resolves.toBeGreaterThan(0);
    });

    it('survive streams that we reset in full flight', async () => {
      for (let count = 0; count < 20; count++) {
        const stream = open('source', { size: '10000000' });
        expect(await stream.read()).not.toBeNull();
        stream.reset(300);
        expect(await failureOf(stream.closed)).toMatchObject({ code: 'reset', remote: false });
      }
      await echoOnce(client, [], 300_000);
    }, 30_000);

    it.each([
      [4, true],
      [1234, false],
    ])(
      'refuse a stream with the code %d, a reason and headers; to be tried elsewhere: %s',
      async (code, retryable) => {
        const stream = open('refuse', { code: String(code) });
        const error = await failureOf(stream.reply);
        expect(error).toMatchObject({ code: 'refused', remote: true, wireCode: code, retryable });
        expect(error.message).toContain('no thanks');
        expect(error.headers?.get('x-why')).toBe('test');
        expect(await failureOf(stream.closed)).toBe(error);
      },
    );

    it('refuse what they do not know', async () => {
      const error = await failureOf(open('no-such-op').reply);
      expect(error).toMatchObject({ code: 'refused', retryable: true });
      expect(error.message).toContain('unknown op no-such-op');
    });

    it('stop us: what we send fails, what they send goes on', async () => {
      const stream = open('stop', { after: '5000' });
      const error = await failureOf(stream.send(pattern(100 * MiB)));
      expect(error).toMatchObject({ code: 'stopped', remote: true, wireCode: 5, reset: 'cancel' });
      expect(Buffer.from((await stream.read()) ?? []).toString()).toBe('stopped');
      expect(await stream.read()).toBeNull();
      await expect(stream.closed).resolves.toBeUndefined();
    });

    it('are stopped by us: their half ends, and the stream with it', async () => {
      const stream = open('source', { size: '100000000' });
      await stream.end();
      expect(await stream.read()).not.toBeNull();
      stream.stop();
      await stream.closed;
      expect(stream.stats.bytesIn).toBeLessThan(10_000_000);
    });

    it('hold us back while they do not read, and other streams not', async () => {
      const stream = open('slow', { ms: '200' });
      const sent = stream.send(pattern(4 * MiB));
      let isSent = false;
      void sent.then(() => {
        isSent = true;
      });
      await stream.reply;
      await echoOnce(client, [], 1000);
      expect(isSent).toBe(false);
      // Its window, of 256 KiB, and not more.
      expect(stream.stats.bytesOut).toBeLessThanOrEqual(256 * 1024);
      await sent;
      expect(Buffer.from((await stream.read()) ?? []).toString()).toBe(patternHash(4 * MiB));
    }, 30_000);

    it('end with trailers, after our half and before it', async () => {
      const stream = client.newStream({ op: 'echo', trailers: 'yes' });
      await stream.send(pattern(900));
      expect(await readPattern(stream)).toMatchObject({ bytes: 900, isPattern: true });
      expect([...((await stream.trailers) ?? [])]).toEqual([['x-count', '900']]);

      const other = open('source', { size: '3000' });
      expect(await readPattern(other)).toMatchObject({ bytes: 3000, isPattern: true });
      expect(await other.trailers).toBeUndefined();
      await other.write(patternBytes(500));
      await other.end({ 'x-late': 'yes' });
      await expect(other.closed).resolves.toBeUndefined();
    });

    it('open streams too, which we answer', async () => {
      serveOps(client);
      const stream = open('dial-back', { count: '50' });
      expect(Buffer.from((await stream.read()) ?? []).toString()).toBe('50');
      await stream.end();
      await stream.closed;
    });

    it('close gracefully: what is open goes on, and nothing has failed', async () => {
      log.length = 0;
      const stream = open('echo');
      await stream.write(patternBytes(1000));
      await stream.reply;
      const closed = client.close();
      expect(await failureOf(open('echo').reply)).toMatchObject({ code: 'closed', retryable: true });
      await stream.send(pattern(400_000, 1000));
      expect(await readPattern(stream)).toMatchObject({ bytes: 401_000, isPattern: true });
      await closed;
      await expect(client.closed).resolves.toBeUndefined();
      for (let look = 0; look < 100 && log.length === 0; look++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      expect(log).toEqual(['connection ended: <nil>']);
    });

    it('tell each other when it ends in anger', async () => {
      log.length = 0;
      const stream = open('echo');
      await stream.reply;
      client.abort();
      expect(await failureOf(stream.closed)).toMatchObject({ code: 'closed' });
      for (let look = 0; look < 100 && log.length === 0; look++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      expect(log[0]).toMatch(/^connection ended: peer: connection error cancel/);
    });

    it('talk over a unix socket', async () => {
      const [other, at] = await start(`unix:${join(folder, 'theirs.sock')}`);
      try {
        const local = trackProvider(await connect(at, framer));
        await echoOnce(local, [['x-a', 'b']], 100_000);
        await local.close();
      } finally {
        await finish(other);
      }
    });
  });
});
