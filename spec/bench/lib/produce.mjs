/**
 * Writes `job.left` chunks out of `job.list`, over and over, as fast as backpressure allows, then half-closes. Setting
 * `job.left` to 0 ends it early. `job.first` goes ahead of them. `job.yieldEvery`: let timers and sockets have a turn
 * after that many chunks, for contenders that never say "full".
 *
 * Protocols that pull give `io.pump`; all others are written to until `io.write` says no.
 */
export function produce(adapter, stream, job) {
  if (adapter.io.pump) adapter.io.pump(stream, pulled(job));
  else pushed(adapter, stream, job);
}

function* pulled(job) {
  if (job.first) yield job.first;
  const { list } = job;
  const mask = list.length - 1;
  for (let i = 0; job.left > 0; i++) {
    job.left--;
    yield list[i & mask];
  }
}

function pushed(adapter, stream, job) {
  const { io } = adapter;
  const { list, yieldEvery = 0 } = job;
  const mask = list.length - 1;
  let i = 0;
  const more = () => {
    while (job.left > 0) {
      job.left--;
      const room = io.write(stream, list[i++ & mask]);
      if (room === false) return io.onDrain(stream, more);
      if (yieldEvery > 0 && i % yieldEvery === 0) return setImmediate(more);
    }
    if (adapter.halfClose !== false) io.end(stream);
  };
  if (job.first) io.write(stream, job.first);
  more();
}
