import { type MonoTypeOperatorFunction, tap } from 'rxjs';
import { pullMap } from '../../lib/core/pull-map.js';
import type { StreamEnd } from './model-end.js';
import { otherSide } from './model-world.js';

/** Passes what one stream receives on to another of the same provider, to its end. */
export function proxy(source: StreamEnd, target: StreamEnd): void {
  const { world } = target;
  const { outgoing } = target;
  source.pair.joined.add(target.pair);
  target.pair.joined.add(source.pair);
  target.writer = 'busy';
  target.use();
  const way = world.random.integer(0, 3);
  const ends = way === 0 || world.random.oneIn(2);
  const passed$ = (asynchronous: boolean) => {
    const data$ = asynchronous ? source.stream.data$.pipe(later(source)) : source.stream.data$;
    return data$.pipe(checked(source, target, ends));
  };
  if (way === 0) {
    target.say(`observes ${source.name}`);
    passed$(false).subscribe(target.stream);
    return;
  }
  target.say(`sends what ${source.name} gets${ends ? '' : ', end: false'}${way === 3 ? ', pullMap' : ''}`);
  target.watch('send of a proxy', target.stream.send(passed$(way === 3), { end: ends })).then(
    () => {
      target.writer = ends ? 'over' : 'idle';
      if (!ends) outgoing.ownAgain();
    },
    () => {
      target.writer = 'over';
    },
  );
}

/** An asynchronous step on the way. */
function later(source: StreamEnd): MonoTypeOperatorFunction<Uint8Array> {
  const { world } = source;
  return pullMap(async (chunk) => {
    if (!world.isFinishing) await world.sim.pause(world.random.next() * 3);
    return chunk;
  });
}

function checked(source: StreamEnd, target: StreamEnd, ends: boolean): MonoTypeOperatorFunction<Uint8Array> {
  return tap({
    subscribe: () => {
      source.use();
      source.reader = 'busy';
      source.isSubscribed = true;
      target.outgoing.passOn(source.incoming);
    },
    next: (chunk) => {
      source.take(chunk, false);
      target.outgoing.produced += chunk.byteLength;
    },
    error: (error) => source.failed(error),
    complete: () => {
      source.completed();
      if (ends) {
        target.outgoing.ended = true;
        target.writer = 'over';
      }
    },
    unsubscribe: () => {
      source.pair.stopped[otherSide(source.side)] = true;
      if (source.readEnd === null) source.left();
    },
  });
}
