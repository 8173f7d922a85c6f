import { hold } from 'rxmux';
import { Inbox } from '../../lib/core/inbox.js';

const owner = {
  id: 1,
  inboxReleased: () => {},
  inboxDropped: () => {},
  inboxAbandoned: () => {},
  inboxAttached: () => {},
  halfBroke: () => {},
  inboxWaits: () => {},
};

it('a chunk that its reader holds is not written to by those that come after it', async () => {
  const inbox = new Inbox(owner, 1 << 20);
  const expected: number[] = [];
  const receive = (value: number, length: number): void => {
    for (let at = 0; at < length; at++) expected.push(value);
    inbox.window.unread += length;
    inbox.receive(new Uint8Array(length).fill(value));
  };
  receive(1, 100);
  receive(2, 50);
  const got: Uint8Array[] = [];
  const releases: (() => void)[] = [];
  inbox.values$.subscribe((chunk) => {
    got.push(chunk);
    releases.push(hold());
  });
  await Promise.resolve();
  expect(got.length).toBe(1);
  receive(3, 20);
  receive(4, 10);
  for (let release = releases.shift(); release !== undefined; release = releases.shift()) release();
  expect(got.flatMap((chunk) => [...chunk])).toEqual(expected);
});

it('a chunk whose memory somebody else has transferred is a failure, and never nothing', async () => {
  const spoilt: string[] = [];
  const [mine, other] = ['mine', 'other'].map(
    (name) => new Inbox({ ...owner, halfBroke: () => spoilt.push(name) }, 1 << 20),
  ) as [Inbox, Inbox];
  const memory = new ArrayBuffer(6000);
  for (const [inbox, from] of [
    [mine, 0],
    [other, 3000],
  ] as const) {
    inbox.window.unread += 3000;
    inbox.receive(new Uint8Array(memory, from, 3000));
  }
  const chunk = (await mine.read()) as Uint8Array;
  expect(structuredClone(chunk, { transfer: [memory] }).byteLength).toBe(3000);
  await expect(other.read()).rejects.toMatchObject({ reset: 'internal-error' });
  expect([mine.window.unread, spoilt]).toEqual([0, ['other']]);
});
