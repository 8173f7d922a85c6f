/** Small frames that follow from what we sent are no fault; those that follow from nothing are. */
import type { Provider, Stream } from 'rxmux';
import { type Http2Options, http2 } from 'rxmux/http2';
import { errorCode, frameFlag, frameType } from '../../lib/http2/frames.js';
import { trackProvider } from '../support/leaks.js';
import { ManualClock } from '../support/manual-clock.js';
import { ScriptedTransport } from '../support/scripted-transport.js';
import { frame, hex, join, parseChunks, post, preface, settings, settled } from './support.js';

const { DATA, HEADERS, PING, SETTINGS, WINDOW_UPDATE } = frameType;
const MiB = 1024 * 1024;

const open = (id: number): Uint8Array => frame(HEADERS, frameFlag.END_HEADERS, id, post);
const ping = frame(PING, 0, 0, new Uint8Array(8));

function credit(id: number, bytes: number): Uint8Array {
  return frame(WINDOW_UPDATE, 0, id, hex(bytes.toString(16).padStart(8, '0')));
}

/** Time stands still: no bucket is refilled. */
const options = { role: 'server', clock: new ManualClock() } as Http2Options;

describe('a server', () => {
  let transport: ScriptedTransport;
  let server: Provider;

  beforeEach(async () => {
    transport = new ScriptedTransport();
    server = trackProvider(http2(transport, options));
    await says(preface, settings);
  });

  afterEach(async () => {
    server.abort();
    await settled();
  });

  async function says(...frames: readonly Uint8Array[]): Promise<void> {
    transport.feed(join(...frames));
    await settled();
  }

  async function opens(id: number): Promise<Stream> {
    const accepted = server.accept();
    await says(open(id));
    return (await accepted) as Stream;
  }

  /** The codes of its GOAWAYs. */
  function goAways(): unknown[] {
    const events = parseChunks([transport.written]).events as { goAway?: number; code?: number }[];
    return events.filter(({ goAway }) => goAway !== undefined).map(({ code }) => code);
  }

  it('answers a ping for each DATA that it sends, as grpc-go measures', async () => {
    const stream = await opens(1);
    for (let count = 0; count < 100; count++) {
      await stream.write('x');
      await says(ping);
    }
    expect(goAways()).toEqual([]);
  });

  it('throws out who goes on with pings after that', async () => {
    const stream = await opens(1);
    for (let count = 0; count < 10; count++) await stream.write('x');
    for (let count = 0; count < 100; count++) await says(ping);
    expect(goAways()).toEqual([errorCode.ENHANCE_YOUR_CALM]);
  });

  it('takes wide windows at the start, and as much credit as it has sent', async () => {
    await says(credit(0, 2 ** 30));
    for (let id = 1; id < 200; id += 2) {
      const stream = await opens(id);
      await says(credit(id, 4 * MiB));
      await stream.write(new Uint8Array(1024));
      // In small pieces, as they are read.
      for (let count = 0; count < 8; count++) await says(credit(id, 128), credit(0, 128));
    }
    expect(goAways()).toEqual([]);
  });

  it('takes credit that comes behind the end of a long answer, in pieces', async () => {
    await says(credit(0, 2 ** 30));
    const stream = await opens(1);
    await says(credit(1, 4 * MiB), frame(DATA, frameFlag.END_STREAM, 1));
    await stream.send(new Uint8Array(4 * MiB));
    const pieces = Array.from({ length: 32 }, () => credit(1, 4096));
    for (let count = 0; count < 1024; count += pieces.length) await says(...pieces);
    expect(goAways()).toEqual([]);
  });

  it.each([
    ['of a stream that was sent nothing', 1, 64],
    ['of a stream that was sent nothing, by the window', 1, 65_536],
    ['of the connection', 0, 64],
  ])('throws out who goes on giving credit %s', async (_whose, id, bytes) => {
    await opens(1);
    for (let count = 0; count < 200; count++) await says(credit(id, bytes));
    expect(goAways()).toEqual([errorCode.ENHANCE_YOUR_CALM]);
  });

  it('throws out who goes on giving credit to a stream that has ended', async () => {
    const stream = await opens(1);
    await stream.send(new Uint8Array(60_000));
    for (let count = 0; count < 400; count++) await says(credit(1, 64));
    expect(goAways()).toEqual([errorCode.ENHANCE_YOUR_CALM]);
  });

  it('throws out who gives credit by the byte, whatever its windows are', async () => {
    await says(frame(SETTINGS, 0, 0, hex('0004 00000001')));
    for (let count = 0; count < 200; count++) await says(credit(0, 1));
    expect(goAways()).toEqual([errorCode.ENHANCE_YOUR_CALM]);
  });

  it('takes a DATA without bytes for each request', async () => {
    for (let id = 1; id < 600; id += 2) {
      const stream = await opens(id);
      await says(frame(DATA, 0, id), frame(DATA, frameFlag.END_STREAM, id));
      await stream.end();
    }
    expect(goAways()).toEqual([]);
  });

  it.each([
    ['is empty', frame(DATA, 0, 1)],
    ['is only padded', frame(DATA, frameFlag.PADDED, 1, new Uint8Array(1))],
    ['is nothing but padding', frame(DATA, frameFlag.PADDED, 1, hex(`ff${'00'.repeat(255)}`))],
  ])('throws out who goes on with DATA that %s', async (_what, empty) => {
    await opens(1);
    for (let count = 0; count < 200; count++) await says(empty);
    expect(goAways()).toEqual([errorCode.ENHANCE_YOUR_CALM]);
  });
});

describe('a client', () => {
  it('takes a DATA without bytes before the trailers of each answer, as Apache sends them', async () => {
    const transport = new ScriptedTransport();
    const client = trackProvider(http2(transport, { clock: new ManualClock() } as Http2Options));
    const says = async (...frames: readonly Uint8Array[]): Promise<void> => {
      transport.feed(join(...frames));
      await settled();
    };
    await says(settings);
    const trailers = hex('40 0b 67 72 70 63 2d 73 74 61 74 75 73 01 30');
    for (let count = 0; count < 300; count++) {
      const stream = client.newStream();
      void stream.end();
      const read = stream.read();
      await settled();
      const { id } = stream;
      await says(
        frame(HEADERS, frameFlag.END_HEADERS, id, hex('88')),
        frame(DATA, 0, id, hex('61')),
        frame(DATA, 0, id),
        frame(HEADERS, frameFlag.END_HEADERS | frameFlag.END_STREAM, id, trailers),
      );
      expect(await read).toEqual(hex('61'));
      expect((await stream.trailers)?.get('grpc-status')).toBe('0');
    }
    client.abort();
    await settled();
  });
});
