import type { VNode } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { time } from './format.js';

/** One line of a chart. Its colour is the name of a CSS variable, so that it follows the theme. */
export interface Line {
  readonly label: string;
  readonly color: string;
  readonly isFilled?: boolean;
  readonly isDashed?: boolean;
}

interface Props {
  readonly title: string;
  readonly lines: readonly Line[];
  /** Times in seconds, then a column for each line. */
  readonly columns: readonly (readonly (number | null)[])[];
  readonly from: number;
  readonly to: number;
  readonly format: (value: number) => string;
  readonly now: VNode;
  /** The axis reaches at least this far. */
  readonly atLeast: number;
}

const plotHeight = 104;

/** A chart over time, drawn by uPlot. */
export function Chart(props: Props): VNode {
  const { title, lines, columns, from, to, format, now, atLeast } = props;
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const range = useRef<[number, number]>([from, to]);
  range.current = [from / 1000, to / 1000];

  useEffect(() => {
    const element = holder.current as HTMLDivElement;
    const variable = (name: string) => (): string =>
      getComputedStyle(element).getPropertyValue(`--${name}`).trim();
    const font = '10px ui-monospace, monospace';
    const created = new uPlot(
      {
        width: Math.max(80, element.clientWidth),
        height: plotHeight,
        padding: [6, 26, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { setScale: false }, sync: { key: 'rxmux' }, points: { size: 5 } },
        scales: {
          x: { time: true, range: () => range.current },
          y: { range: (_plot, _min, max) => [0, Math.max(atLeast, (max ?? 0) * 1.15)] },
        },
        axes: [
          {
            stroke: variable('muted'),
            font,
            size: 18,
            gap: 4,
            space: 76,
            ticks: { show: false },
            grid: { show: false },
            values: (_plot, splits) => splits.map((seconds) => time(seconds * 1000).slice(0, 8)),
          },
          {
            stroke: variable('muted'),
            font,
            size: 70,
            gap: 4,
            space: 28,
            ticks: { show: false },
            grid: { stroke: variable('grid'), width: 1 },
            values: (_plot, splits) => splits.map((value) => format(value)),
          },
        ],
        series: [
          {},
          ...lines.map(({ label, color, isFilled = false, isDashed = false }) => ({
            label,
            stroke: variable(color),
            width: 1.5,
            spanGaps: true,
            points: { show: false },
            ...(isFilled ? { fill: variable(`${color}-fill`) } : {}),
            ...(isDashed ? { dash: [3, 3] } : {}),
          })),
        ],
      },
      [[], ...lines.map(() => [])],
      element,
    );
    plot.current = created;
    const observer = new ResizeObserver(() => {
      created.setSize({ width: Math.max(80, element.clientWidth), height: plotHeight });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      created.destroy();
    };
  }, []);

  useEffect(() => {
    plot.current?.setData(columns as unknown as uPlot.AlignedData);
  });

  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{title}</span>
        <span class="chart-now">{now}</span>
      </figcaption>
      <div class="plot" ref={holder} aria-hidden="true" />
    </figure>
  );
}
