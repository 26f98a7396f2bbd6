/** Points as a chart wants them: one for each minute of the hour up to the last one, with a gap where there is none. Pure. */

const minuteMs = 60_000;
const minutes = 60;

export function minutesOf<Point extends { readonly at: Date }>(
  points: readonly Point[],
): { times: Date[]; points: (Point | null)[] } {
  const last = points.at(-1);
  if (last === undefined) return { times: [], points: [] };
  const byMinute = new Map(points.map((point) => [Math.floor(point.at.getTime() / minuteMs), point]));
  const end = Math.floor(last.at.getTime() / minuteMs);
  const shown = Array.from({ length: minutes }, (_none, index) => end - minutes + 1 + index);
  return {
    times: shown.map((minute) => new Date(minute * minuteMs)),
    points: shown.map((minute) => byMinute.get(minute) ?? null),
  };
}
