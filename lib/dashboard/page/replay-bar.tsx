import type { VNode } from 'preact';
import { counted, duration } from './format.js';
import type { Replay } from './replay.js';
import type { Session } from './session.js';

const speeds = [0.01, 0.1, 1, 4, 16, 100];

/** Where a replay is, and what to do with it. */
export function ReplayBar({ session, replay }: { session: Session; replay: Replay }): VNode {
  const { from, to, at, name, broken, events, isPlaying, speed } = replay;
  return (
    <section class="replay-bar" aria-label="Replay">
      <button
        type="button"
        class="icon"
        aria-label={isPlaying ? 'Hold' : 'Play'}
        onClick={() => session.play(!isPlaying)}
      >
        {isPlaying ? '❚❚' : '▶'}
      </button>
      <input
        type="range"
        aria-label="Moment"
        min={0}
        max={1000}
        value={Math.round(((at - from) / (to - from)) * 1000)}
        onInput={(event) => session.seek(from + (Number(event.currentTarget.value) / 1000) * (to - from))}
      />
      <span class="moment">
        {duration(at - from)} of {duration(to - from)}
      </span>
      <select
        aria-label="Speed"
        value={speeds.includes(speed) ? speed : 0}
        onChange={(event) => session.setSpeed(Number(event.currentTarget.value))}
      >
        {!speeds.includes(speed) && <option value={0}>in 10 s</option>}
        {speeds.map((each) => (
          <option key={each} value={each}>
            {each} ×
          </option>
        ))}
      </select>
      <span class="replay-name" title={name}>
        {name} · {counted(events.length, 'event')}
        {broken > 0 && ` · ${counted(broken, 'broken record')} skipped`}
      </span>
      <button type="button" onClick={() => session.stopReplay()}>
        Back to live
      </button>
    </section>
  );
}
