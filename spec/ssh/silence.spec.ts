/** Whoever sends anything is not silent: what does nothing, and exchanges of keys, show a peer that is there. */
import type { StreamError } from 'rxmux';
import * as wire from '../../lib/ssh/frames.js';
import { SshLink } from '../../lib/ssh/link.js';
import { ManualClock } from '../support/manual-clock.js';
import { RawPeer } from './raw-peer.js';

const lessThanDeadMs = 20_000;

describe('a peer that answers no keepalive', () => {
  let clock: ManualClock;
  let peer: RawPeer;
  let error: StreamError | null;

  beforeEach(async () => {
    clock = new ManualClock();
    peer = await new RawPeer({}, {}, {}, clock).begin();
    await peer.open();
    error = null;
    peer.server.closed.catch((reason: StreamError) => {
      error = reason;
    });
  });

  afterEach(() => {
    jest.restoreAllMocks();
    peer.end();
  });

  /** What happened is told. */
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  /** Acts, until the links have been told something so often. */
  const heard = (told: 'idleMessage' | 'keyed', count: number, act: () => void): Promise<void> =>
    new Promise((resolve) => {
      const before = SshLink.prototype[told] as (...told: unknown[]) => void;
      let left = count;
      jest.spyOn(SshLink.prototype, told).mockImplementation(function (this: SshLink, ...args: unknown[]) {
        before.apply(this, args);
        if (--left === 0) resolve();
      });
      act();
    });

  const messages: readonly (readonly [string, () => void])[] = [
    ['IGNORE', () => peer.send(wire.MSG_IGNORE, 'nothing')],
    ['DEBUG', () => peer.send(wire.MSG_DEBUG, false, 'nothing', '')],
    ['UNIMPLEMENTED', () => peer.send(wire.MSG_UNIMPLEMENTED, 4711)],
    ['a message of an unknown number', () => peer.send(192, 'what')],
  ];
  it.each(messages)('is not silent: it sends %s', async (_name, act) => {
    clock.pass(lessThanDeadMs);
    await heard('idleMessage', 1, act);
    clock.pass(lessThanDeadMs);
    await turn();
    expect(error).toBeNull();
    clock.pass(lessThanDeadMs);
    await turn();
    expect(error).toMatchObject({ code: 'timeout', remote: true });
  });

  it('is not silent: it asks for new keys', async () => {
    clock.pass(lessThanDeadMs);
    await heard('keyed', 2, () => peer.link.rekey());
    clock.pass(lessThanDeadMs);
    await turn();
    expect(error).toBeNull();
  });
});
