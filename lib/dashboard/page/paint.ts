import { blocks } from '../messages.js';
import type { Row } from './store.js';

/** The colours of the current theme, read once per frame. */
export interface Palette {
  readonly in: string;
  readonly out: string;
  readonly line: string;
  readonly faint: string;
  readonly text: string;
  readonly reset: string;
  readonly blocks: readonly string[];
}

export function paletteOf(element: Element): Palette {
  const style = getComputedStyle(element);
  const read = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    in: read('in'),
    out: read('out'),
    line: read('lane-line'),
    faint: read('grid'),
    text: read('text'),
    reset: read('reset'),
    blocks: blocks.map((block) => (block === '' ? '' : read(block))),
  };
}

/** Where a lane is on its canvas, and what time it shows. */
export interface LaneBox {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly from: number;
  readonly to: number;
  readonly now: number;
  readonly bucketMs: number;
}

/** A mebibyte in one bucket is as high as a bar can be. */
const highest = 20;

/** Draws one stream's lane: its life, what went in above and out below, what it waited for, and what happened to it. */
export function paintLane(context: CanvasRenderingContext2D, row: Row, box: LaneBox, palette: Palette): void {
  const { x, y, width, height, from, to } = box;
  const scale = width / (to - from);
  const middle = Math.round(y + height / 2);
  const xOf = (at: number): number => x + (at - from) * scale;
  const start = Math.max(x, xOf(row.openedAt));
  const end = Math.min(x + width, xOf(row.endedAt ?? box.now));
  if (end < x || start > x + width) return;

  context.globalAlpha = 1;
  context.fillStyle = palette.line;
  context.fillRect(start, middle - 0.5, Math.max(1, end - start), 1);
  if (row.lane !== null) paintBytes(context, row, box, palette, middle, scale);
  for (const { at, type } of row.marks) {
    if (at < from) continue;
    paintMark(context, type, xOf(at), middle, Math.min(4, height / 5), palette);
  }
}

function paintBytes(
  context: CanvasRenderingContext2D,
  row: Row,
  box: LaneBox,
  palette: Palette,
  middle: number,
  scale: number,
): void {
  const { lane } = row;
  if (lane === null) return;
  const { x, y, width, height, from, to, bucketMs } = box;
  const first = Math.max(Math.floor(from / bucketMs), lane.first);
  const last = Math.min(Math.floor(Math.min(to, box.now) / bucketMs), lane.end - 1);
  const barWidth = Math.max(1, bucketMs * scale);
  const half = height / 2 - 3;
  for (let bucket = first; bucket <= last; bucket++) {
    // A message tells what has happened before it.
    const begin = x + (bucket * bucketMs - from) * scale;
    // Whole pixels, or there would be seams between the bars.
    const left = Math.round(Math.max(x, begin));
    const w = Math.round(Math.min(begin + barWidth, x + width)) - left;
    if (w <= 0) continue;
    const block = lane.block(bucket);
    if (block !== 0) {
      context.fillStyle = palette.blocks[block] as string;
      context.fillRect(left, y + height - 3, w, 3);
    }
    const up = heightOf(lane.bytesIn(bucket)) * half;
    if (up > 0) {
      context.fillStyle = palette.in;
      context.fillRect(left, middle - up, w, up);
    }
    const down = heightOf(lane.bytesOut(bucket)) * half;
    if (down > 0) {
      context.fillStyle = palette.out;
      context.fillRect(left, middle, w, down);
    }
  }
}

function heightOf(bytes: number): number {
  return bytes <= 0 ? 0 : Math.min(1, 0.1 + (Math.log2(1 + bytes) / highest) * 0.9);
}

/** Opens are rings, half-closes are half discs, resets are crosses, closes are bars: shapes, not only colours. */
function paintMark(
  context: CanvasRenderingContext2D,
  type: string,
  x: number,
  y: number,
  size: number,
  palette: Palette,
): void {
  context.beginPath();
  context.lineWidth = 1.5;
  switch (type) {
    case 'open':
    case 'accept':
      context.arc(x, y, size - 0.5, 0, Math.PI * 2);
      context.strokeStyle = palette.text;
      context.stroke();
      break;
    case 'end-out':
    case 'end-in':
      context.arc(x, y, size, type === 'end-in' ? Math.PI : 0, type === 'end-in' ? 0 : Math.PI);
      context.fillStyle = palette.text;
      context.fill();
      break;
    case 'reset':
      context.moveTo(x - size, y - size);
      context.lineTo(x + size, y + size);
      context.moveTo(x + size, y - size);
      context.lineTo(x - size, y + size);
      context.lineWidth = 2;
      context.strokeStyle = palette.reset;
      context.stroke();
      break;
    case 'close':
      context.fillStyle = palette.text;
      context.fillRect(x - 0.75, y - size - 1, 1.5, size * 2 + 2);
      break;
  }
}
