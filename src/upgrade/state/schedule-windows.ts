/**
 * When an upgrade may start something that devices notice: windows such as `Mon-Fri 22:00-05:00 Europe/Vienna`, in the time of a zone. A
 * window that ends earlier than it begins ends on the day after; its days are those on which it opens. Without windows it may always. Pure.
 *
 * Invariant: every window that is accepted opens again and again.
 */
import { BrambleError } from '../../base/errors.ts';
import { addDays, instantOf, isTimeZone, localDate, weekday } from './local-time.ts';

interface ScheduleWindow {
  readonly text: string;
  /** 1 is Monday. */
  readonly days: ReadonlySet<number>;
  /** Minutes since midnight; the end is after the beginning, perhaps on the next day. */
  readonly from: number;
  readonly until: number;
  readonly zone: string;
}

interface Opening {
  /** The window that it is of. */
  readonly window: string;
  readonly opensAt: Date;
  readonly closesAt: Date;
}

export type Schedule =
  | { readonly kind: 'always' }
  | { readonly kind: 'open'; readonly opening: Opening }
  | { readonly kind: 'closed'; readonly next: Opening };

const dayNames = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
const form = /^(?:([a-z,-]+)\s+)?(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s+(\S+)$/i;
const example = 'such as "Mon-Fri 22:00-05:00 Europe/Vienna" or "daily 01:00-04:00 UTC"';
/** A window that opens once a week may be left out once, when clocks are put forward. */
const daysAhead = 15;

/** @throws BrambleError ERR_UPGRADE_WINDOW */
export function assertWindows(texts: readonly string[]): void {
  const twice = texts.find((text, index) => texts.indexOf(text) !== index);
  if (twice !== undefined) throw refused(twice, 'is named twice. Name it once.');
  for (const text of texts) parseWindow(text);
}

/** @throws BrambleError ERR_UPGRADE_WINDOW for a text that is not a window, or one that never opens */
function parseWindow(text: string): ScheduleWindow {
  const match = form.exec(text.trim());
  if (match === null) throw refused(text, `is not a window. Write days, times and a time zone, ${example}.`);
  const [, daysText = 'daily', fromHour = '', fromMinute = '', untilHour = '', untilMinute = '', zone = ''] = match;
  const days = daysOf(daysText.toLowerCase());
  if (days === undefined) {
    throw refused(text, `has days that do not exist (${daysText}). Write them ${example}.`);
  }
  if (!isTimeZone(zone)) {
    throw refused(
      text,
      `is in a time zone that does not exist (${zone}). Name one as IANA does, such as Europe/Vienna.`,
    );
  }
  const [from, end] = [minutesOf(fromHour, fromMinute), minutesOf(untilHour, untilMinute)];
  if (from === undefined || end === undefined || from === 1440) {
    throw refused(text, 'has a time that does not exist. Times are from 00:00 to 23:59; a window may end at 24:00.');
  }
  if (from === end) {
    throw refused(text, 'never opens, since it ends when it begins. A whole day is 00:00-24:00.');
  }
  return { text, days, from, until: end > from ? end : end + 1440, zone };
}

function daysOf(text: string): Set<number> | undefined {
  if (text === 'daily') return new Set([1, 2, 3, 4, 5, 6, 7]);
  const days = new Set<number>();
  for (const part of text.split(',')) {
    const [first = '', last = first, ...more] = part.split('-');
    const [from, to] = [dayNames.indexOf(first) + 1, dayNames.indexOf(last) + 1];
    if (from === 0 || to === 0 || more.length > 0) return undefined;
    for (let day = from; ; day = (day % 7) + 1) {
      days.add(day);
      if (day === to) break;
    }
  }
  return days;
}

function minutesOf(hour: string, minute: string): number | undefined {
  const [hours, minutes] = [Number(hour), Number(minute)];
  return minutes > 59 || hours * 60 + minutes > 1440 ? undefined : hours * 60 + minutes;
}

/** How it stands at this time. @throws BrambleError ERR_UPGRADE_WINDOW */
export function scheduleAt(texts: readonly string[], now: Date): Schedule {
  if (texts.length === 0) return { kind: 'always' };
  const openings = texts
    .map(parseWindow)
    .flatMap((window) => openingsOf(window, now))
    .sort((a, b) => a.opensAt.getTime() - b.opensAt.getTime());
  const open = openings.filter(({ opensAt }) => opensAt <= now);
  const [last] = open.sort((a, b) => b.closesAt.getTime() - a.closesAt.getTime());
  if (last !== undefined) return { kind: 'open', opening: last };
  const [next] = openings;
  if (next === undefined) throw refused(texts.join(', '), `never opens. Write windows ${example}.`);
  return { kind: 'closed', next };
}

/** When so many seconds have passed while a window was open, counted from then; undefined if it takes years. */
export function endWithin(texts: readonly string[], from: Date, seconds: number): Date | undefined {
  let leftMs = seconds * 1000;
  for (const { beginsMs, endsMs } of openTimes(texts, from)) {
    if (beginsMs + leftMs <= endsMs) return new Date(beginsMs + leftMs);
    leftMs -= endsMs - beginsMs;
  }
  return undefined;
}

/** Of the seconds between the two, those in which a window was open. */
export function openSeconds(texts: readonly string[], from: Date, until: Date): number {
  let sumMs = 0;
  for (const { beginsMs, endsMs } of openTimes(texts, from)) {
    if (beginsMs >= until.getTime()) break;
    sumMs += Math.min(endsMs, until.getTime()) - beginsMs;
  }
  return sumMs / 1000;
}

/** The times in which a window is open, one after the other, for some years from then on. */
function* openTimes(texts: readonly string[], from: Date): Generator<{ beginsMs: number; endsMs: number }> {
  let now = from;
  for (let openings = 0; openings < 2000; openings++) {
    const schedule = scheduleAt(texts, now);
    if (schedule.kind === 'always') return yield { beginsMs: now.getTime(), endsMs: Number.POSITIVE_INFINITY };
    const { opensAt, closesAt } = schedule.kind === 'open' ? schedule.opening : schedule.next;
    yield { beginsMs: Math.max(now.getTime(), opensAt.getTime()), endsMs: closesAt.getTime() };
    now = closesAt;
  }
}

/** Those that have not ended, of the days around now. */
function openingsOf({ text, days, from, until, zone }: ScheduleWindow, now: Date): Opening[] {
  const today = localDate(zone, now);
  return Array.from({ length: daysAhead + 1 }, (_, index) => addDays(today, index - 1))
    .filter((date) => days.has(weekday(date)))
    .map((date) => ({ window: text, opensAt: instantOf(zone, date, from), closesAt: instantOf(zone, date, until) }))
    .filter(({ opensAt, closesAt }) => closesAt > now && closesAt > opensAt);
}

/** `the window that opens at 2026-11-27T21:00Z (Mon-Fri 22:00-05:00 Europe/Vienna)` */
export function openingText({ window, opensAt }: Opening): string {
  return `the window that opens at ${opensAt.toISOString().slice(0, 16)}Z (${window})`;
}

function refused(text: string, why: string): BrambleError {
  return new BrambleError('ERR_UPGRADE_WINDOW', `The window "${text.slice(0, 100)}" ${why}`, {
    details: { window: text },
  });
}
