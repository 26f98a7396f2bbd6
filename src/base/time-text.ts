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
