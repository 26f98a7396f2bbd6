/** How far a time is from now, as people say it. Pure. */

/** `just now`, `3 min ago`, `in 2 h`; a day from two days on. */
export function distanceText(at: Date, from: number): string {
  const seconds = Math.round((from - at.getTime()) / 1000);
  const size = Math.abs(seconds);
  if (size < 5) return 'just now';
  const text =
    size < 90
      ? `${size} s`
      : size < 90 * 60
        ? `${Math.round(size / 60)} min`
        : size < 48 * 3600
          ? `${Math.round(size / 3600)} h`
          : `${Math.round(size / 86_400)} days`;
  return seconds >= 0 ? `${text} ago` : `in ${text}`;
}
