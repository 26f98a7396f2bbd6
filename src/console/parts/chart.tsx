/**
 * Lines over time. The colours are those of the theme; who cannot see it has the last values in words, and the keyboard moves
 * the same pointer as the mouse.
 */
import { type KeyboardEvent, type PointerEvent, useEffect, useId, useRef, useState } from 'react';
import { chartWords, words } from '../messages/words.ts';
import { linePath, shortNumber, ticksOf } from './chart-scale.ts';
import { clockText } from './times.tsx';

interface Series {
  readonly name: string;
  /** One of the theme's, such as `--series-1`. */
  readonly colour: string;
  /** One for each time; null where nothing is known. */
  readonly values: readonly (number | null)[];
}

interface ChartProps {
  /** What it shows, in words. */
  label: string;
  times: readonly Date[];
  series: readonly Series[];
  /** Behind each number, such as `ms`. */
  unit?: string;
  /** A line that is not to be crossed. */
  limit?: { name: string; value: number };
}

const height = 168;
const inset = { top: 8, right: 4, bottom: 22, left: 40 };

export function Chart({ label, times, series, unit = '', limit }: ChartProps) {
  const [box, width] = useWidth();
  const [pointed, setPointed] = useState<number | null>(null);
  const id = useId();
  const last = times.length - 1;
  const highest = Math.max(limit?.value ?? 0, ...series.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const ticks = ticksOf(highest);
  const top = ticks.at(-1) ?? 1;
  const x = (index: number): number => inset.left + (index / Math.max(1, last)) * (width - inset.left - inset.right);
  const y = (value: number): number => inset.top + (1 - value / top) * (height - inset.top - inset.bottom);
  const shown = pointed ?? last;
  const point = ({ currentTarget, clientX }: PointerEvent<HTMLDivElement>): void => {
    const share =
      (clientX - currentTarget.getBoundingClientRect().left - inset.left) / (width - inset.left - inset.right);
    setPointed(Math.min(last, Math.max(0, Math.round(share * last))));
  };
  const step = (event: KeyboardEvent): void => {
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -last, End: last }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    setPointed(Math.min(last, Math.max(0, shown + by)));
  };
  const at = times[shown];
  const spoken = series.map(({ name, values }) => chartWords.value(name, numberText(values[shown], unit))).join(', ');
  return (
    <figure className="chart" ref={box}>
      <div
        role="slider"
        tabIndex={0}
        aria-label={label}
        aria-describedby={id}
        aria-valuemin={0}
        aria-valuemax={Math.max(0, last)}
        aria-valuenow={Math.max(0, shown)}
        aria-valuetext={at === undefined ? chartWords.nothingYet : chartWords.pointed(clockText(at), spoken)}
        onPointerMove={point}
        onPointerLeave={() => setPointed(null)}
        onKeyDown={step}
        onBlur={() => setPointed(null)}
      >
        <svg aria-hidden="true" height={height} viewBox={`0 0 ${width} ${height}`}>
          <Axes {...{ times, ticks, width, x, y }} />
          <Lines {...{ series, limit, pointed, width, x, y }} />
        </svg>
      </div>
      <figcaption id={id}>
        <Legend {...{ series, limit, unit, shown }} at={pointed === null ? undefined : at} />
      </figcaption>
    </figure>
  );
}

interface Placed {
  width: number;
  /** Of a time, by its index. */
  x: (index: number) => number;
  y: (value: number) => number;
}

function Axes({ times, ticks, width, x, y }: Placed & { times: readonly Date[]; ticks: readonly number[] }) {
  const last = times.length - 1;
  return (
    <>
      {ticks.map((tick) => (
        <g key={tick}>
          <line className="grid-line" x1={inset.left} x2={width - inset.right} y1={y(tick)} y2={y(tick)} />
          <text x={inset.left - 8} y={y(tick) + 4} textAnchor="end">
            {shortNumber(tick)}
          </text>
        </g>
      ))}
      {[0, Math.round(last / 2), last].map((index, place) => {
        const time = times[index];
        const anchor = (['start', 'middle', 'end'] as const)[place];
        return time === undefined || (place === 1 && last < 2) ? null : (
          // biome-ignore lint/suspicious/noArrayIndexKey: the three places stay what they are
          <text key={place} x={x(index)} y={height - 4} textAnchor={anchor}>
            {clockText(time).slice(0, 5)}
          </text>
        );
      })}
    </>
  );
}

type Drawn = Pick<ChartProps, 'series'> & { limit: ChartProps['limit'] | undefined };

function Lines({ series, limit, pointed, width, x, y }: Placed & Drawn & { pointed: number | null }) {
  return (
    <>
      {limit !== undefined && (
        <line
          x1={inset.left}
          x2={width - inset.right}
          y1={y(limit.value)}
          y2={y(limit.value)}
          stroke="var(--ink-faint)"
          strokeDasharray="5 4"
        />
      )}
      {/* The first lies on top: a line of zeros does not hide what is said first. */}
      {series.toReversed().map(({ name, colour, values }) => (
        <path
          key={name}
          d={linePath(values, (index, value) => [x(index), y(value)])}
          fill="none"
          stroke={`var(${colour})`}
          strokeWidth="2"
          strokeLinecap="round"
          strokeLinejoin="round"
        />
      ))}
      {pointed !== null && (
        <line className="pointer" x1={x(pointed)} x2={x(pointed)} y1={inset.top} y2={height - inset.bottom} />
      )}
      {pointed !== null &&
        series.map(({ name, colour, values }) => {
          const value = values[pointed] ?? null;
          return value === null ? null : (
            <circle key={name} cx={x(pointed)} cy={y(value)} r="3.5" fill={`var(${colour})`} stroke="var(--surface)" />
          );
        })}
    </>
  );
}

interface LegendProps extends Drawn {
  unit: string;
  /** The index of the time whose values are told. */
  shown: number;
  /** The time itself, if somebody points there. */
  at: Date | undefined;
}

function Legend({ series, limit, unit, shown, at }: LegendProps) {
  return (
    <ul className="legend">
      {series.map(({ name, colour, values }) => (
        <li key={name}>
          <span className="swatch" style={{ background: `var(${colour})` }} />
          {name} <b>{numberText(values[shown], unit)}</b>
        </li>
      ))}
      {limit !== undefined && (
        <li>
          <span className="swatch" style={{ background: 'var(--ink-faint)' }} />
          {limit.name} <b>{numberText(limit.value, unit)}</b>
        </li>
      )}
      {at !== undefined && <li className="number">{chartWords.at(clockText(at).slice(0, 5))}</li>}
    </ul>
  );
}

function numberText(value: number | null | undefined, unit: string): string {
  if (value === null || value === undefined) return words.nothing;
  const text = value >= 10_000 ? shortNumber(value) : String(Math.round(value * 10) / 10);
  return unit === '' ? text : `${text} ${unit}`;
}

/** How wide the figure is, so that its texts keep their size. */
function useWidth() {
  const [width, setWidth] = useState(560);
  const box = useRef<HTMLElement>(null);
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.max(200, entry?.contentRect.width ?? 560)));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [box, width] as const;
}
