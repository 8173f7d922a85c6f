/** Answers to requests that come behind CLOSE: paramiko's commands run in threads of their own, which may be faster. */
import type { Limits } from 'rxmux';
import * as wire from '../../lib/ssh/frames.js';
import { RawPeer } from './raw-peer.js';

const KiB = 1024;

describe('an answer to a request', () => {
  let peer: RawPeer;

  const begin = async (limits: Partial<Limits> = {}): Promise<void> => {
    peer = await new RawPeer(limits).begin();
  };

  afterEach(() => {
    peer.end();
  });

  /** Has the server open a stream, and gives its number. */
  const opening = async (): Promise<number> => {
    peer.server.newStream().reply.catch(() => {});
    const open = await peer.next(wire.MSG_CHANNEL_OPEN);
    open.name();
    return open.uint32();
  };

  /** Has the server open a stream that the peer takes, and closes at once. */
  const closed = async (): Promise<number> => {
    const number = await opening();
    peer.send(wire.MSG_CHANNEL_OPEN_CONFIRMATION, number, 0, 64 * KiB, 32 * KiB);
    peer.send(wire.MSG_CHANNEL_CLOSE, number);
    await peer.next(wire.MSG_CHANNEL_CLOSE);
    return number;
  };

  const answers: readonly (readonly [string, number])[] = [
    ['SUCCESS', wire.MSG_CHANNEL_SUCCESS],
    ['FAILURE', wire.MSG_CHANNEL_FAILURE],
  ];
  describe.each(answers)('%s', (_name, type) => {
    it('may come when both ends have closed the channel', async () => {
      await begin();
      peer.send(type, await closed());
      await peer.settled();
      const { recipient } = await peer.open();
      peer.send(wire.MSG_CHANNEL_CLOSE, recipient);
      await peer.next(wire.MSG_CHANNEL_CLOSE);
      peer.send(type, recipient);
      await peer.settled();
    });

    it('may come when the next channel has the number, and is not accepted yet', async () => {
      await begin();
      const number = await closed();
      expect(await opening()).toBe(number);
      peer.send(type, number);
      peer.send(wire.MSG_CHANNEL_OPEN_CONFIRMATION, number, 0, 64 * KiB, 32 * KiB);
      await peer.settled();
      expect(peer.server.streams.size).toBe(1);
    });

    it('is useless then', async () => {
      await begin({ uselessBurst: 3, uselessPerSecond: 0 });
      const number = await closed();
      for (let times = 0; times < 3; times++) peer.send(type, number);
      await peer.settled();
      peer.send(type, number);
      expect(await peer.fate()).toMatchObject({ code: 'limit', remote: true });
    });

    it('ends the connection for a number that was never given', async () => {
      await begin();
      const number = await closed();
      peer.send(type, number + 1);
      const error = await peer.fate();
      expect(error).toMatchObject({ code: 'protocol', remote: true });
      expect(error.message).toContain(`channel ${number + 1}, which there is not`);
    });

    it('ends the connection for the first channel of its number that is not accepted yet', async () => {
      await begin();
      peer.send(type, await opening());
      const error = await peer.fate();
      expect(error).toMatchObject({ code: 'protocol', remote: true });
      expect(error.message).toContain('before it had accepted it');
    });
  });
});
