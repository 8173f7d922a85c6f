import { hold } from 'rxmux';
import { Inbox } from '../../lib/core/inbox.js';

const owner = {
  id: 1,
  inboxReleased: () => {},
  inboxDropped: () => {},
  inboxAbandoned: () => {},
  inboxAttached: () => {},
  inboxWaits: () => {},
};

it('a chunk that its reader holds is not written to by those that come after it', async () => {
  const inbox = new Inbox(owner, 1 << 20);
  const expected: number[] = [];
  const receive = (value: number, length: number): void => {
    for (let at = 0; at < length; at++) expected.push(value);
    inbox.window.received(length);
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
