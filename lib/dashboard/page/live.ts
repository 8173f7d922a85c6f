import type { Tick } from '../messages.js';

export type Link = 'connecting' | 'live' | 'lost';

/** Listens to the server, and again after it was away; the first message of each time is a whole one. */
export function listen(onTick: (tick: Tick) => void, onLink: (link: Link) => void): () => void {
  const source = new EventSource('/events');
  source.onmessage = ({ data }) => {
    onLink('live');
    onTick(JSON.parse(data) as Tick);
  };
  let again: ReturnType<typeof setTimeout> | undefined;
  let stopAgain = (): void => {};
  source.onerror = () => {
    onLink('lost');
    // A refusal (a server that was started anew, say) ends an EventSource for good.
    if (source.readyState !== EventSource.CLOSED) return;
    clearTimeout(again);
    again = setTimeout(() => {
      stopAgain = listen(onTick, onLink);
    }, 2000);
  };
  return () => {
    clearTimeout(again);
    source.close();
    stopAgain();
  };
}
