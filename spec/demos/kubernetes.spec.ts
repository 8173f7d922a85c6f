import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { WebSocket } from 'ws';
import { exec, portForward, textOf } from '../../demos/kubernetes/client.js';
import type { PodOptions } from '../../demos/kubernetes/pods.js';
import { Cluster } from '../../demos/kubernetes/server.js';
import { exitCodeOf, exitStatus } from '../../demos/kubernetes/status.js';
import { showAll } from '../../demos/kubernetes/tour.js';

const MiB = 1024 * 1024;

// A machine that is busy elsewhere takes its time to start processes.
jest.setTimeout(30_000);

async function tour(kubectl: string | undefined): Promise<{ exitCode: number; text: string }> {
  let text = '';
  const write = (more: string): void => {
    text += more;
  };
  return { exitCode: await showAll({ write, kubectl }), text };
}

describe('the tour', () => {
  it('shows our own client where there is no kubectl, and says so', async () => {
    const { exitCode, text } = await tour(undefined);
    expect(text.match(/^ {2}ok {6}/gm)).toHaveLength(4);
    expect(text).toContain('kubectl is not in PATH, so this is all');
    expect(text).toMatch(/All of it went well\.\n$/);
    expect(exitCode).toBe(0);
  });

  it('exits with 1 if anything goes wrong, and says what', async () => {
    const { exitCode, text } = await tour('/bin/false');
    expect(text.match(/^ {2}ok {6}/gm)).toHaveLength(4);
    expect(text.match(/^ {2}FAILED {2}/gm)).toHaveLength(5);
    expect(text).toMatch(/5 of it went wrong: see above\.\n$/);
    expect(exitCode).toBe(1);
  });
});

describe('the server', () => {
  const pod: PodOptions = { name: 'web', command: ['cat'], folder: tmpdir() };
  let cluster: Cluster;

  beforeEach(async () => {
    cluster = await Cluster.start([pod]);
  });

  afterEach(() => cluster.close());

  /** What it answers to a request that is no SPDY. */
  async function answer(path: string, ...lines: readonly string[]): Promise<string> {
    const { host, hostname, port } = new URL(cluster.url);
    const socket = connect(Number(port), hostname);
    const hosts = lines.some((line) => line.startsWith('Host: ')) ? [] : [`Host: ${host}`];
    socket.end([`GET ${path} HTTP/1.1`, ...hosts, ...lines, '', ''].join('\r\n'));
    let text = '';
    for await (const chunk of socket) text += chunk;
    return text;
  }

  const webSocket = [
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${'A'.repeat(22)}==`,
  ];
  const named = 'Sec-WebSocket-Protocol: ';

  it.each([
    ['another protocol', 'web/exec', ['Upgrade: h2c'], 400],
    ['a WebSocket of another version', 'web/exec', [...webSocket, `${named}v1`], 403],
    ['a WebSocket for another purpose', 'web/portforward', [...webSocket, `${named}v5.channel.k8s.io`], 403],
    ['a WebSocket to a pod that is not there', 'none/exec', [...webSocket, `${named}v5.channel.k8s.io`], 404],
    ['a pod that is not there', 'none/exec', ['Upgrade: SPDY/3.1'], 404],
    ['something else to do with a pod', 'web/eviction', ['Upgrade: SPDY/3.1'], 404],
    ['a name of the prototype', 'web/constructor', ['Upgrade: SPDY/3.1'], 404],
    ['half an escape', '%/exec', ['Upgrade: SPDY/3.1'], 404],
    ['another version', 'web/exec', ['Upgrade: SPDY/3.1', 'X-Stream-Protocol-Version: v1'], 403],
  ])('refuses %s in HTTP, as a Status', async (_name, path, lines, code) => {
    const text = await answer(`/api/v1/namespaces/default/pods/${path}`, 'Connection: Upgrade', ...lines);
    expect(text).toMatch(new RegExp(`^HTTP/1.1 ${code} `));
    expect(JSON.parse(text.slice(text.indexOf('\r\n\r\n')))).toMatchObject({ kind: 'Status', code });
  });

  const requests: [name: string, path: string, lines: readonly string[]][] = [
    ['a document', '/api/v1/namespaces/default/pods', ['Connection: close']],
    [
      'a command over WebSocket',
      '/api/v1/namespaces/default/pods/web/exec?command=true',
      ['Connection: Upgrade', ...webSocket, `${named}v5.channel.k8s.io`],
    ],
    [
      'a command over SPDY',
      '/api/v1/namespaces/default/pods/web/exec?command=true',
      ['Connection: Upgrade', 'Upgrade: SPDY/3.1', 'X-Stream-Protocol-Version: v4.channel.k8s.io'],
    ],
  ];

  it.each(requests)('refuses %s to a page', async (_name, path, lines) => {
    const { host, port } = new URL(cluster.url);
    const foreign = [
      ['Origin: https://evil.example'],
      ['Origin: null'],
      [`Origin: http://${host}`],
      [`Host: evil.example:${port}`],
      [`Host: 127.0.0.1.evil.example:${port}`],
      ['Host: 127.0.0.1:1'],
      ['Host: '],
    ];
    for (const more of foreign) {
      const text = await answer(path, ...more, ...lines);
      expect(text).toMatch(/^HTTP\/1.1 403 /);
      expect(text).toContain('not for pages');
    }
    expect(cluster.connections.size).toBe(0);
  });

  it.each(requests)('takes %s by either name of its own', async (_name, path, lines) => {
    const { port } = new URL(cluster.url);
    for (const name of ['127.0.0.1', 'localhost', 'LOCALHOST']) {
      expect(await answer(path, `Host: ${name}:${port}`, ...lines)).toMatch(/^HTTP\/1.1 (101|200) /);
    }
  });

  it('tells our client too why it refuses', async () => {
    await expect(exec(cluster.url, 'none', ['true'])).rejects.toThrow('404: there is no /api/v1/');
    await expect(portForward(cluster.url, 'none')).rejects.toThrow('404: there is no /api/v1/');
  });

  it('ends a command whose client has gone', async () => {
    const command = await exec(cluster.url, 'web', ['sh', '-c', 'echo $$; exec sleep 1000']);
    const pid = Number(new TextDecoder().decode((await command.stdout.read()) ?? undefined));
    process.kill(pid, 0);
    await command.close();
    await until(() => cluster.connections.size === 0 && !isAlive(pid));
  });

  it('holds a command whose output nobody reads', async () => {
    const command = await exec(cluster.url, 'web', ['sh', '-c', 'yes | head -c 20000000; echo over >&2']);
    const stderr = textOf(command.stderr!);
    const [provider] = [...cluster.connections];
    await until(() => [...provider!.streams.values()].some(({ stats }) => stats.blockedOn === 'window'));
    let bytes = 0;
    for await (const chunk of command.stdout) bytes += chunk.byteLength;
    expect([bytes, await stderr, await command.exitCode]).toEqual([20_000_000, 'over\n', 0]);
    await command.close();
  });

  it.each([
    ['at once', 0],
    ['slowly', 10],
  ])('loses nothing of what a terminal shows to who reads %s', async (_name, ms) => {
    const script = "stty -opost; head -c 1000000 /dev/zero | tr '\\0' x; printf the-end; exit 7";
    const size = { columns: 80, rows: 24 };
    const command = await exec(cluster.url, 'web', ['sh', '-c', script], { size });
    const chunks: Uint8Array[] = [];
    for await (const chunk of command.stdout) {
      chunks.push(chunk);
      if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
    }
    const text = Buffer.concat(chunks).toString();
    expect([text.length, text.slice(-10), await command.exitCode]).toEqual([1_000_007, 'xxxthe-end', 7]);
    await command.close();
  });

  it('holds back nothing of what a terminal shows, and takes what is typed there', async () => {
    const size = { columns: 80, rows: 24 };
    const command = await exec(cluster.url, 'web', ['sh', '-i'], { size });
    let text = '';
    const shown = async (what: RegExp): Promise<void> => {
      while (!what.test(text)) text += new TextDecoder().decode((await command.stdout.read()) ?? undefined);
      text = '';
    };
    await command.stdin.write("PS1='> '; stty -echo\n");
    await shown(/> $/);
    await command.stdin.write("cat; printf '? '\n");
    await command.stdin.write('typed\n');
    await shown(/typed\r\n$/);
    await command.stdin.write('\x04');
    await shown(/\? > $/);
    await command.stdin.write('exit 7\n');
    expect(await command.exitCode).toBe(7);
    await command.close();
  });

  it('ends a command on a terminal whose client has gone, and its shell', async () => {
    const size = { columns: 80, rows: 24 };
    const command = await exec(cluster.url, 'web', ['sh', '-ic', 'echo =$$=; sleep 1000'], { size });
    let text = '';
    while (!/=\d+=/.test(text)) text += new TextDecoder().decode((await command.stdout.read()) ?? undefined);
    const pid = Number(/=(\d+)=/.exec(text)?.[1]);
    process.kill(pid, 0);
    await command.close();
    // Whoever inherits it may take a while to look.
    const isOver = (): boolean =>
      /^(Z|$)/.test(spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).stdout);
    await until(() => cluster.connections.size === 0 && isOver());
  });

  it('holds a client over WebSocket whose command reads slowly, and sees it go', async () => {
    const url = `${cluster.url.replace('http:', 'ws:')}/api/v1/namespaces/default/pods/web/exec`;
    const slowly = 'while :; do head -c 1000 >/dev/null; sleep 0.01; done';
    const query = new URLSearchParams(['sh', '-c', slowly].map((word) => ['command', word]));
    const socket = new WebSocket(`${url}?stdin=true&${query}`, 'v5.channel.k8s.io');
    await once(socket, 'open');
    // Channel 0 is stdin.
    for (let count = 0; count < 32 * 1024; count++) socket.send(new Uint8Array(1024));
    await until(() => socket.bufferedAmount < 31 * MiB);
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setTimeout(resolve, 10));
    // The rest is in the pipe, in windows, and on its way.
    expect(socket.bufferedAmount).toBeGreaterThan(16 * MiB);
    socket.terminate();
    await until(() => cluster.connections.size === 0);
  });

  it('tells who leaves an output how the command ended', async () => {
    const command = await exec(cluster.url, 'web', ['sh', '-c', 'read line; echo out; exit 7']);
    command.stdout.reset();
    void command.stdin.send('go\n');
    expect(await command.exitCode).toBe(7);
    await command.close();
  });

  it('tells which signal has ended a command', async () => {
    const command = await exec(cluster.url, 'web', ['sh', '-c', 'kill -TERM $$']);
    expect(await command.exitCode).toBe(128 + 15);
    await command.close();
  });
});

describe('a Status', () => {
  it.each([0, 1, 7, 255])('carries exit code %d', (code) => {
    expect(exitCodeOf(JSON.stringify(exitStatus(code)))).toBe(code);
  });

  it('of a command that was not run is an error', () => {
    expect(() => exitCodeOf('{"status":"Failure","message":"no such file"}')).toThrow('no such file');
  });
});

async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`not within 5 s: ${isSo}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
