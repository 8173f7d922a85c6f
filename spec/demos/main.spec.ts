import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { exec } from '../../demos/kubernetes/client.js';
import { until } from '../conformance/wait.js';
import { keygen, openssh, sshd } from '../interop/openssh.js';
import { describeWithPeer } from '../support/interop.js';

const root = join(__dirname, '../..');
let folder: string;

jest.setTimeout(30_000);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rxmux-stopping-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

/** A demo as it is built, whose temporary files are below `folder`. */
function start(demo: string, ...args: readonly string[]): ChildProcessByStdio<null, Readable, Readable> {
  const script = join(root, `dist/demos/${demo}/main.js`);
  const env = { ...process.env, TMPDIR: folder };
  return spawn(process.execPath, [script, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** What runs with `text` in its command line; what has ended, and waits to be looked at, has none. */
function running(text: string): string[] {
  const lines = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).split('\n');
  return lines.filter((line) => line.includes(text));
}

it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  'the cluster that serves ends what it has started, with %s',
  async (signal) => {
    const child = start('kubernetes', '--serve');
    const exited = once(child, 'exit');
    const url = /http:\S+/.exec(String(await once(child.stdout, 'data')))?.[0] ?? '';
    // Nobody else sleeps for as long.
    const seconds = String(100_000 + child.pid!);
    const command = await exec(url, 'web', ['sleep', seconds]);
    await until(() => running(`sleep ${seconds}`).length === 1, 'the command');
    child.kill(signal);
    expect(await exited).toEqual([0, null]);
    await until(() => running(`sleep ${seconds}`).length === 0, 'its end');
    await command.close();
  },
);

it.each(['abc', '', '0x10', '65536'])('the cluster serves on no port "%s", and says so', async (port) => {
  const child = start('kubernetes', '--serve', port);
  const exited = once(child, 'exit');
  expect(String(await once(child.stderr, 'data'))).toMatch(/^Usage: .*\n$/);
  expect(await exited).toEqual([2, null]);
});

it('the cluster says in a sentence that its port is taken', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const child = start('kubernetes', '--serve', String(port));
  const closed = once(child, 'close');
  let said = '';
  child.stderr.on('data', (text) => {
    said += text;
  });
  expect(await closed).toEqual([1, null]);
  expect(said).toBe(`listen EADDRINUSE: address already in use 127.0.0.1:${port}\n`);
  taken.close();
});

it('the tour tidies up when nobody reads it any more', async () => {
  const child = start('kubernetes');
  child.stderr.resume();
  const exited = once(child, 'exit');
  await once(child.stdout, 'data');
  expect(readdirSync(folder)).toHaveLength(1);
  child.stdout.destroy();
  expect(await exited).toEqual([1, null]);
  expect(readdirSync(folder)).toEqual([]);
});

describeWithPeer('the bastion', [sshd, openssh, keygen], () => {
  it.each([
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('takes its daemon and its keys along, with %s', async (signal, code) => {
    const child = start('bastion');
    child.stderr.resume();
    const exited = once(child, 'exit');
    await once(child.stdout, 'data');
    expect(running(folder).length).toBeGreaterThan(0);
    child.kill(signal);
    expect(await exited).toEqual([code, null]);
    expect(readdirSync(folder)).toEqual([]);
    await until(() => running(folder).length === 0, 'the daemon to go');
  });
});
