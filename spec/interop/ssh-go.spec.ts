import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { connect, type Limits, listen, type Provider, type Stream } from 'rxmux/node';
import { ssh } from 'rxmux/ssh';
import { describeWithPeer, type Peer, peers } from '../support/interop.js';
import { trackProvider } from '../support/leaks.js';
import { keys } from '../support/ssh.js';
import { buildGo } from './go-program.js';

const crypto: Peer = {
  name: 'x/crypto/ssh',
  goPackage: 'golang.org/x/crypto/ssh',
  debianPackage: 'golang-golang-x-crypto-dev',
};

const MiB = 1024 * 1024;
const many: Partial<Limits> = { maxStreams: 2000, backlog: 2000 };

/** Go as a child process, at the other end of a connection. */
interface GoPeer {
  readonly provider: Provider;
  /** What it says of the stream that it opened right behind its login. */
  readonly early: Promise<string>;
  /** What it has read of a stream that it takes, and how that ended. */
  took(): Promise<string>;
  open(play: string, count?: number, size?: number): Promise<string>;
  end(): Promise<void>;
}

/** Lines of the child's output, each given to whoever waits for its first word. */
class Lines {
  readonly #lines: string[] = [];
  readonly #waiting: { word: string; resolve(line: string): void }[] = [];

  constructor(child: ChildProcessWithoutNullStreams) {
    createInterface(child.stdout).on('line', (line) => {
      this.#lines.push(line);
      this.#match();
    });
  }

  next(word: string): Promise<string> {
    return new Promise((resolve) => {
      this.#waiting.push({ word, resolve });
      this.#match();
    });
  }

  #match(): void {
    for (const waiting of [...this.#waiting]) {
      const at = this.#lines.findIndex((line) => line.startsWith(`${waiting.word} `));
      if (at < 0) continue;
      const [line] = this.#lines.splice(at, 1) as [string];
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      waiting.resolve(line.slice(waiting.word.length + 1));
    }
  }
}

async function meet(
  program: string,
  ours: 'client' | 'server',
  mode: string,
  limits: Partial<Limits>,
): Promise<GoPeer> {
  const protocol = ssh({
    username: 'alice',
    privateKey: keys().user.privateKey,
    verifyHost: () => true,
    hostKeys: [keys().host.privateKey],
    authenticate: ({ username, method }) => username === 'gopher' && method === 'publickey',
  });
  let child: ChildProcessWithoutNullStreams;
  let provider: Provider;
  let close = async (): Promise<void> => {};
  let lines: Lines;
  if (ours === 'client') {
    child = spawn(program, ['server', mode]);
    lines = new Lines(child);
    provider = await connect(`tcp://127.0.0.1:${await lines.next('port')}`, protocol, { limits });
  } else {
    const listener = await listen('tcp://127.0.0.1:0', protocol, { limits });
    close = () => listener.close();
    const accepted = new Promise<Provider>((resolve) => listener.accept$.subscribe(resolve));
    child = spawn(program, ['client', listener.address.split(':').at(-1) as string, mode]);
    lines = new Lines(child);
    provider = await accepted;
  }
  child.stderr.pipe(process.stderr);
  trackProvider(provider);
  provider.accept$.subscribe({ next: (stream) => void play(stream).catch(() => {}), error: () => {} });
  return {
    provider,
    early: lines.next('early'),
    took: () => lines.next('took'),
    open: (what, count = 1, size = 0) => {
      child.stdin.write(`open ${what} ${count} ${size}\n`);
      return lines.next('open');
    },
    end: async () => {
      provider.abort(new Error('the test is over'));
      const exited = once(child, 'exit');
      child.stdin.end();
      await exited;
      await close();
    },
  };
}

/** What we do with Go's streams. */
async function play(stream: Stream): Promise<void> {
  switch (stream.headers.get('play')) {
    case 'reject':
      stream.reject('refused', { 'x-why': 'test' });
      break;
    case 'reset':
      // Accepted for all to see, and not refused.
      await stream.write('x');
      stream.reset(1234);
      break;
    case 'headers':
      stream.accept([...stream.headers].filter(([name]) => name.startsWith('x-')));
      await stream.end({ 'x-last': 'one' });
      break;
    case 'echo':
      await stream.send(stream.data$);
      break;
    default:
      stream.accept();
  }
}

async function all(stream: Stream): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function filled(bytes: number): Buffer {
  return Buffer.alloc(bytes, 'the quick brown fox ');
}

describeWithPeer('SSH and Go’s x/crypto/ssh', [peers.go, crypto], () => {
  let program: string;
  let remove: () => Promise<void>;

  beforeAll(async () => {
    ({ program, remove } = await buildGo('ssh'));
  }, 180_000);

  afterAll(() => remove?.());

  describe.each(['client', 'server'] as const)('we are the %s', (ours) => {
    let go: GoPeer;
    let provider: Provider;

    const begin = async (mode = 'ours'): Promise<void> => {
      go = await meet(program, ours, mode, many);
      provider = go.provider;
    };

    afterEach(async () => {
      await go.end();
    });

    const works = async (): Promise<void> => {
      const stream = provider.newStream({ play: 'echo' });
      const [back] = await Promise.all([all(stream), stream.send('still here')]);
      expect(back.toString()).toBe('still here');
    };

    it('a stream that Go opens right behind its login is not lost', async () => {
      await begin();
      expect(await go.early).toBe('ok');
    });

    it('echoes of 4 MiB both ways, with headers of each kind', async () => {
      await begin();
      const bytes = filled(4 * MiB);
      const stream = provider.newStream({ play: 'echo', 'x-a': 'b' });
      const [back] = await Promise.all([all(stream), stream.send(bytes)]);
      expect(back.equals(bytes)).toBe(true);
      expect([...(await stream.reply)]).toEqual([
        ['x-answer', 'go'],
        ['play', 'echo'],
        ['x-a', 'b'],
      ]);
      expect((await stream.trailers)?.get('x-sum')).toBe('none');
      await stream.closed;
      expect(await go.open('echo', 1, 4 * MiB)).toBe('map[ok:1]');
      expect(await go.open('headers')).toBe('map[[{x-two a} {x-two b}] [{x-last one}]:1]');
    });

    it('a half-closed stream still has its answer', async () => {
      await begin();
      const stream = provider.newStream({ play: 'half' });
      await stream.send(filled(MiB));
      expect((await all(stream)).byteLength).toBe(64);
      await stream.closed;
    });

    it('refusals say whether it is worth trying again', async () => {
      await begin();
      const busy = provider.newStream({ play: 'reject' });
      await expect(busy.reply).rejects.toMatchObject({ code: 'refused', wireCode: 4, retryable: true });
      await expect(busy.reply).rejects.toThrow(/no room/);
      const forbidden = provider.newStream({ play: 'forbid' });
      await expect(forbidden.reply).rejects.toMatchObject({ code: 'refused', wireCode: 1, retryable: false });
      expect(await go.open('reject')).toContain('resource shortage');
      expect(await go.open('reject')).toContain('x-why: test');
      expect(await go.open('unknown')).toContain('unknown channel type');
      await works();
    });

    it('resets carry their code, and a close without an end is one', async () => {
      await begin();
      const reset = provider.newStream({ play: 'reset' });
      await expect(all(reset)).rejects.toMatchObject({ code: 'reset', wireCode: 1234, remote: true });
      const closed = provider.newStream({ play: 'close' });
      await expect(all(closed)).rejects.toMatchObject({ code: 'reset', remote: true });
      expect(await go.open('reset')).toBe('map[reset 1234:1]');
      expect(await go.open('leave')).toBe('map[left:1]');
      await works();
    });

    it('an upload that is cut is none that has ended', async () => {
      await begin();
      const whole = provider.newStream({ play: 'take' });
      await whole.send('all of it');
      expect(await go.took()).toBe('9 <nil>');
      await whole.closed;
      const cut = provider.newStream({ play: 'take' });
      await cut.reply;
      await cut.write('some of it');
      provider.abort(new Error('the program ends'));
      expect(await go.took()).toMatch(/^\d+ unexpected EOF$/);
    });

    it('a thousand channels at a time, from either side', async () => {
      await begin();
      const bytes = filled(2000);
      const echoes = Array.from({ length: 1000 }, async () => {
        const stream = provider.newStream({ play: 'echo' });
        const [back] = await Promise.all([all(stream), stream.send(bytes)]);
        await stream.closed;
        return back.equals(bytes);
      });
      expect((await Promise.all(echoes)).every((isRight) => isRight)).toBe(true);
      expect(await go.open('echo', 1000, 2000)).toBe('map[ok:1000]');
    }, 30_000);

    it('a peer that knows nothing of our headers is answered for, and its data waits for nothing', async () => {
      await begin('plain');
      const stream = provider.newStream({ play: 'bare' });
      const writing = stream.write('ping');
      expect(Buffer.from((await stream.read()) as Uint8Array).toString()).toBe('ping');
      await writing;
      expect([...(await stream.reply)]).toEqual([]);
      const silent = provider.newStream({ play: 'bare' });
      expect([...(await silent.reply)]).toEqual([]);
      const late = provider.newStream({ play: 'echo', 'x-a': 'b' });
      expect((await late.reply).get('x-answer')).toBe('go');
      for (const each of [stream, silent, late]) each.reset();
    });
  });
});
