/**
 * Clock times of an IANA time zone as instants, by Intl. As in RFC 5545, a time that a clock shows twice means the first of both, and one
 * that is left out in spring means as long after midnight as it would be without the change. Pure.
 */

interface LocalDate {
  readonly year: number;
  /** From 1. */
  readonly month: number;
  readonly day: number;
}

const dayMs = 86_400_000;
const formats = new Map<string, Intl.DateTimeFormat>();

/** @throws RangeError for an unknown zone */
function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone);
  if (known !== undefined) return known;
  const format = new Intl.DateTimeFormat('en-US', {
    ...{ timeZone: zone, calendar: 'iso8601', numberingSystem: 'latn', hourCycle: 'h23', era: 'short' },
    ...{ year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' },
  });
  formats.set(zone, format);
  return format;
}

export function isTimeZone(zone: string): boolean {
  try {
    formatOf(zone);
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** What the clocks there show, as if it were UTC. */
function clockMs(zone: string, atMs: number): number {
  const parts = Object.fromEntries(
    formatOf(zone)
      .formatToParts(atMs)
      .map(({ type, value }) => [type, Number(value)]),
  );
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

function offsetMs(zone: string, atMs: number): number {
  const whole = Math.floor(atMs / 1000) * 1000;
  return clockMs(zone, whole) - whole;
}

/** The date there at this instant. */
export function localDate(zone: string, at: Date): LocalDate {
  return dateOf(clockMs(zone, at.getTime()));
}

export function addDays({ year, month, day }: LocalDate, days: number): LocalDate {
  return dateOf(Date.UTC(year, month - 1, day + days));
}

/** 1 for Monday to 7 for Sunday. */
export function weekday({ year, month, day }: LocalDate): number {
  return new Date(Date.UTC(year, month - 1, day)).getUTCDay() || 7;
}

/** The instant at which the clocks there show this time of the day; `minutes` may go on into the next day. */
export function instantOf(zone: string, date: LocalDate, minutes: number): Date {
  const wanted = Date.UTC(date.year, date.month - 1, date.day, 0, minutes);
  // No zone changes twice within two days.
  const [before, after] = [offsetMs(zone, wanted - dayMs), offsetMs(zone, wanted + dayMs)];
  const fits = [wanted - before, wanted - after].filter((at) => clockMs(zone, at) === wanted);
  return new Date(fits.length === 0 ? wanted - before : Math.min(...fits));
}

function dateOf(utcMs: number): LocalDate {
  const date = new Date(utcMs);
  return { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate() };
}
