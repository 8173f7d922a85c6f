import type { Provider, StreamHeaders } from '../api.js';

/** Chooses one of the live connections; there is always one at least. */
export type Picker = (live: readonly Provider[], headers: StreamHeaders) => Provider;

/** The picker of that name, with a turn of its own. */
export function pickerOf(pick: 'round-robin' | 'least-streams' | 'primary' | Picker): Picker {
  switch (pick) {
    case 'primary':
      return (live) => live[0] as Provider;
    case 'least-streams':
      return (live) => live.reduce((best, one) => (one.streams.size < best.streams.size ? one : best));
    case 'round-robin':
      return roundRobin();
    default:
      if (typeof pick === 'function') return pick;
      throw new TypeError(
        `"${pick}" is no way to pick: use round-robin, least-streams, primary or a function`,
      );
  }
}

/** Goes on behind the one that was picked last, whatever has come and gone meanwhile. */
function roundRobin(): Picker {
  let last: Provider | undefined;
  let at = -1;
  return (live) => {
    const before = last === undefined ? -1 : live.indexOf(last);
    at = (before >= 0 ? before + 1 : Math.max(at, 0)) % live.length;
    last = live[at];
    return last as Provider;
  };
}
