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
  readonly renderRow: (index: number) => VNode;
  readonly children?: ComponentChildren;
  readonly label: string;
  /** Changes when figures have: rows may follow some frames later. Without it, and for any other reason, all are drawn at once. */
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
  const { count, rowHeight, scroller, renderRow, children, label, beat = 0 } = props;
  const drawn = useRef<Map<number, VNode>>(new Map());
  const stale = useRef<Set<number>>(new Set());
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
  const [begin, end] = [Math.max(0, first - spare), Math.min(count, last + spare)];
  const isBeat = beat !== lastBeat.current;
  const before = isBeat || isNextPortion.current ? drawn.current : null;
  lastBeat.current = beat;
  isNextPortion.current = false;
  if (isBeat) for (let i = begin; i < end; i++) stale.current.add(i);
  const now = before === null ? null : take(stale.current, portion);
  if (before === null) stale.current.clear();
  const rows: Map<number, VNode> = new Map();
  for (let i = begin; i < end; i++) {
    const row = before === null || now?.has(i) ? renderRow(i) : before.get(i);
    // What is not there yet has its turn in one of the next frames.
    if (row !== undefined) rows.set(i, row);
  }
  drawn.current = rows;
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
          {[...rows.values()]}
        </div>
      </div>
      {children}
    </div>
  );
}

/** The first of them, which are then no longer in it. */
function take(set: Set<number>, most: number): Set<number> {
  const taken = new Set([...set].slice(0, most));
  for (const each of taken) set.delete(each);
  return taken;
}
