import { useEffect, useRef } from 'preact/hooks';
import { type LaneBox, paintLane, paletteOf } from './paint.js';
import type { Row, Store } from './store.js';
import { rangeOf } from './virtual-list.js';

/** What part of time the lanes show. */
export interface TimeRange {
  readonly from: number;
  readonly to: number;
}

interface Shown {
  readonly store: Store;
  readonly rows: readonly Row[];
  readonly timeRange: () => TimeRange;
}

interface Current<T> {
  readonly current: T;
}

/** Draws the lanes of the rows in view, on one canvas over their column, whenever that changes a pixel. */
export function useLanes(
  canvas: Current<HTMLCanvasElement | null>,
  scroller: Current<HTMLDivElement | null>,
  shown: Current<Shown>,
  rowHeight: number,
): void {
  const ask = useRef(() => {});
  useEffect(() => ask.current());
  useEffect(() => {
    let frame = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let drawn = '';
    let drawnRows: readonly Row[] = [];
    ask.current = () => {
      clearTimeout(timer);
      if (frame === 0) frame = requestAnimationFrame(draw);
    };
    const draw = (): void => {
      frame = 0;
      const [element, list] = [canvas.current, scroller.current];
      const lane = list?.querySelector<HTMLElement>('.row .cell.lane');
      if (element === null || list === null) return;
      const { store, rows, timeRange } = shown.current;
      const { from, to } = timeRange();
      const { clientHeight: height, scrollTop } = list;
      const {
        offsetLeft: left = 0,
        offsetTop: top = 0,
        offsetWidth: width = 0,
        offsetHeight = 0,
      } = lane ?? {};
      const pixelMs = (to - from) / Math.max(1, width * devicePixelRatio);
      const step = Math.round(to / pixelMs);
      timer = setTimeout(ask.current, Math.max(8, pixelMs));
      const { theme } = document.documentElement.dataset;
      // Time that moves the picture by less than a pixel does not count.
      const key = [step, store.version, scrollTop, left, top, width, height, rows.length, theme].join();
      // The rows are a new list whenever the table was rendered anew, which may be after the frame it belongs to.
      if (key === drawn && rows === drawnRows) return;
      drawn = key;
      drawnRows = rows;
      const context = fitTo(element, left, width, height);
      if (width === 0) return;
      const palette = paletteOf(element);
      context.fillStyle = palette.faint;
      const isNarrow = offsetHeight < rowHeight / 2;
      if (!isNarrow) paintGrid(context, width, 0, height);
      const { bucketMs } = store;
      const now = store.now();
      const [first, last] = rangeOf(list, rowHeight, rows.length);
      for (let i = first; i < last; i++) {
        const y = i * rowHeight - scrollTop + top;
        if (isNarrow) {
          context.fillStyle = palette.faint;
          paintGrid(context, width, y, offsetHeight);
        }
        const box: LaneBox = { x: 0, y, width, height: offsetHeight, from, to, now, bucketMs };
        paintLane(context, rows[i] as Row, box, palette);
      }
    };
    const observer = new ResizeObserver(ask.current);
    const list = scroller.current;
    if (list !== null) observer.observe(list);
    list?.addEventListener('scroll', ask.current, { passive: true });
    ask.current();
    return () => {
      observer.disconnect();
      list?.removeEventListener('scroll', ask.current);
      cancelAnimationFrame(frame);
      clearTimeout(timer);
    };
  }, [canvas, scroller, shown, rowHeight]);
}

/** Quarters of the time shown: through all rows, or in each lane if text is above it. */
function paintGrid(context: CanvasRenderingContext2D, width: number, top: number, height: number): void {
  for (const part of [0.25, 0.5, 0.75]) context.fillRect(Math.round(width * part), top, 1, height);
}

/** Lays the canvas over the column, in the pixels of the screen, and empties it. */
function fitTo(
  canvas: HTMLCanvasElement,
  left: number,
  width: number,
  height: number,
): CanvasRenderingContext2D {
  const ratio = devicePixelRatio;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  }
  canvas.style.left = `${left}px`;
  const context = canvas.getContext('2d') as CanvasRenderingContext2D;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}
