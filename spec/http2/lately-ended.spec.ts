import { LatelyEnded } from '../../lib/http2/lately-ended.js';

it('ids that the peer has passed over are its own, and not those between', () => {
  const ended = new LatelyEnded();
  ended.opened(7, 1);
  expect([0, 1, 2, 3, 4, 5, 6, 7].filter((id) => ended.wasSkipped(id))).toEqual([1, 3, 5]);
});

it('streams that the peer has ended are remembered for a while', () => {
  const ended = new LatelyEnded();
  for (let id = 1; id < 1025; id += 2) ended.add(id);
  expect([1, 511, 513, 1023].map((id) => ended.has(id))).toEqual([false, false, true, true]);
});
