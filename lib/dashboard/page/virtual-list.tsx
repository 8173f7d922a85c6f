import type { ComponentChildren, RefObject, VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

/** Rows drawn beyond either edge, so that a quick scroll shows no gap. */
const spare = 4;
/** Rows drawn in one frame when figures have changed, so that a frame costs the same on a high screen. */
const portion = 8;

interface Props {
  readonly count: number;
  readonly rowHeight: number;
  readonly scroller: RefObject<HTMLDivElement | null>;
  readonly keyOf: (index: number) => number;
  readonly renderRow: (index: number) => VNode;
  readonly children?: ComponentChildren;
  readonly label: string;
  /** Changes when figures have: what rows show may then follow some frames later. Else it is drawn at once. */
  readonly beat?: number;
}

/** Which rows a scroller of a fixed row height shows. */
export function rangeOf(scroller: HTMLElement, rowHeight: number, count: number): [number, number] {
  const first = Math.max(0, Math.floor(scroller.scrollTop / rowHeight));
  const last = Math.min(count, Math.ceil((scroller.scrollTop + scroller.clientHeight) / rowHeight));
  return [first, last];
}

/** A list of which only the visible rows exist, however long it is. */
export function VirtualList(props: Props): VNode {
  const { count, rowHeight, scroller, keyOf, renderRow, children, label, beat = 0 } = props;
  const drawn = useRef<Map<number, VNode>>(new Map());
  const stale = useRef<ReadonlySet<number>>(new Set());
  const lastBeat = useRef(beat);
  const isNextPortion = useRef(false);
  const [, redraw] = useState(0);
  useEffect(() => {
    const element = scroller.current;
    if (element === null) return undefined;
    let asked = false;
    const ask = (): void => {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => {
        asked = false;
        redraw((version) => version + 1);
      });
    };
    const observer = new ResizeObserver(ask);
    observer.observe(element);
    element.addEventListener('scroll', ask, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener('scroll', ask);
    };
  }, [scroller]);

  const [first, last] = scroller.current === null ? [0, 0] : rangeOf(scroller.current, rowHeight, count);
  const visible: number[] = [];
  const [begin, end] = [Math.max(0, first - spare), Math.min(count, last + spare)];
  for (let i = begin; i < end; i++) visible.push(keyOf(i));
  const isBeat = beat !== lastBeat.current;
  const before: ReadonlyMap<number, VNode> | null = isBeat || isNextPortion.current ? drawn.current : null;
  lastBeat.current = beat;
  isNextPortion.current = false;
  const missing = visible.filter((key) => before?.has(key) !== true);
  const late = visible.filter((key) => stale.current.has(key));
  // What is not there at all has the first turn, then what is late already.
  const waiting = new Set([...missing, ...(before === null ? [] : [...late, ...(isBeat ? visible : [])])]);
  const now = new Set(before === null ? visible : [...waiting].slice(0, portion));
  for (const key of now) waiting.delete(key);
  stale.current = waiting;
  drawn.current = new Map();
  const slots = visible.map((key, index) => {
    const row = now.has(key) ? renderRow(begin + index) : before?.get(key);
    if (row !== undefined) drawn.current.set(key, row);
    return (
      <div
        class="slot"
        role="presentation"
        key={key}
        style={{ top: `${(begin + index) * rowHeight}px`, height: `${rowHeight}px` }}
      >
        {row}
      </div>
    );
  });
  useEffect(() => {
    if (stale.current.size === 0) return undefined;
    const frame = requestAnimationFrame(() => {
      isNextPortion.current = true;
      redraw((version) => version + 1);
    });
    return () => cancelAnimationFrame(frame);
  });
  return (
    <div class="viewport">
      <div class="scroller" ref={scroller} tabIndex={0} role="rowgroup" aria-label={label}>
        <div class="rows" style={{ height: `${count * rowHeight}px` }}>
          {slots}
        </div>
      </div>
      {children}
    </div>
  );
}
