import type { ComponentChildren, RefObject, VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';

/** Rows drawn beyond either edge, so that a quick scroll shows no gap. */
const spare = 4;

interface Props {
  readonly count: number;
  readonly rowHeight: number;
  readonly scroller: RefObject<HTMLDivElement | null>;
  readonly renderRow: (index: number) => VNode;
  readonly children?: ComponentChildren;
  readonly label: string;
}

/** Which rows a scroller of a fixed row height shows. */
export function rangeOf(scroller: HTMLElement, rowHeight: number, count: number): [number, number] {
  const first = Math.max(0, Math.floor(scroller.scrollTop / rowHeight));
  const last = Math.min(count, Math.ceil((scroller.scrollTop + scroller.clientHeight) / rowHeight));
  return [first, last];
}

/** A list of which only the visible rows exist, however long it is. */
export function VirtualList(props: Props): VNode {
  const { count, rowHeight, scroller, renderRow, children, label } = props;
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
  const rows: VNode[] = [];
  for (let i = Math.max(0, first - spare); i < Math.min(count, last + spare); i++) rows.push(renderRow(i));
  return (
    <div class="viewport">
      <div class="scroller" ref={scroller} tabIndex={0} role="rowgroup" aria-label={label}>
        <div class="rows" style={{ height: `${count * rowHeight}px` }}>
          {rows}
        </div>
      </div>
      {children}
    </div>
  );
}
