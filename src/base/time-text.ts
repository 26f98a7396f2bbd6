/** Times as people read them: one form in all texts of the command line and of reports. */

/** A human-readable time, to the second, followed by the machine's time zone; a dash if there is none. */
export function timeText(time: Date | string | null): string {
  if (time === null) return '-';
  const date = new Date(time);
  const two = (value: number): string => String(value).padStart(2, '0');
  return (
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}${zoneText(date.getTimezoneOffset())}`
  );
}

/** `12.0 s`, `5.5 min`, `3.2 h`, `4.0 days` */
export function durationText(seconds: number): string {
  if (seconds < 90) return `${seconds.toFixed(1)} s`;
  if (seconds < 5400) return `${(seconds / 60).toFixed(1)} min`;
  if (seconds < 48 * 3600) return `${(seconds / 3600).toFixed(1)} h`;
  return `${(seconds / 86_400).toFixed(1)} days`;
}

/** The day in UTC. */
export function dayText(time: Date): string {
  return time.toISOString().slice(0, 10);
}

/** @param minutes that UTC is ahead */
function zoneText(minutes: number): string {
  if (minutes === 0) return 'Z';
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  return `${minutes < 0 ? '+' : '-'}${two(Math.abs(minutes) / 60)}:${two(Math.abs(minutes) % 60)}`;
}

/** A text with the times in it, as services write them, in that form. */
export function timesInText(text: string): string {
  return text.replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z/g, (time) => timeText(time));
}
