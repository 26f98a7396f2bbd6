/** Numbers to places on a chart. Pure. */

/** Round steps from 0 to at least the highest value; never none, so that an idle domain has a chart, too. */
export function ticksOf(highest: number, steps = 4): number[] {
  const rough = Math.max(highest, 1) / steps;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? 10 * power;
  const whole = Math.max(step, highest <= steps ? 1 : step);
  return Array.from({ length: Math.max(2, Math.ceil(highest / whole) + 1) }, (_none, index) => index * whole);
}

/** The path of a line, with a gap where there is no value. */
export function linePath(
  values: readonly (number | null)[],
  placeOf: (index: number, value: number) => readonly [number, number],
): string {
  let isDown = false;
  const parts: string[] = [];
  for (const [index, value] of values.entries()) {
    if (value !== null) {
      const [x, y] = placeOf(index, value);
      parts.push(`${isDown ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`);
      // A value between two gaps would have no line: it becomes a dot.
      if (!isDown && (values[index + 1] ?? null) === null) parts.push(`h0.1`);
    }
    isDown = value !== null;
  }
  return parts.join('');
}

const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

export function shortNumber(value: number): string {
  return short.format(value);
}
