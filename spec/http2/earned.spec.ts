/** Small frames that follow from what we sent are no fault; those that follow from nothing are. */
import type { Provider, Stream } from 'rxmux';
import { type Http2Options, http2 } from 'rxmux/http2';
import { errorCode, frameFlag, frameType } from '../../lib/http2/frames.js';
import { HpackEncoder } from '../../lib/http2/hpack.js';
import { trackProvider } from '../support/leaks.js';
import { ManualClock } from '../support/manual-clock.js';
import { ScriptedTransport } from '../support/scripted-transport.js';
import { frame, join, parseChunks, preface, settings } from './support.js';

const { HEADERS, PING } = frameType;

const block = new HpackEncoder({ tableBytes: 0 }).encode([
  ':method',
  'POST',
  ':scheme',
  'http',
  ':authority',
  'a',
  ':path',
  '/',
]);
const open = (id: number): Uint8Array => frame(HEADERS, frameFlag.END_HEADERS, id, block);
const ping = frame(PING, 0, 0, new Uint8Array(8));

/** Promises and turns of the event loop have had their chance. */
async function settled(): Promise<void> {
  for (let turns = 0; turns < 4; turns++) await new Promise((resolve) => setImmediate(resolve));
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
});
