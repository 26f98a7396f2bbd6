/** Windows in local time: when they are open, through changes of the clocks, and which are refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { assertWindows, endWithin, openingText, openSeconds, scheduleAt } from './schedule-windows.ts';

const at = (text: string) => new Date(text);
const open = (window: string | string[], now: string) => scheduleAt([window].flat(), at(now)).kind === 'open';
/** From when to when the window is, or will be, open. */
function opening(window: string | string[], now: string): string[] {
  const schedule = scheduleAt([window].flat(), at(now));
  assert.notEqual(schedule.kind, 'always');
  const found = schedule.kind === 'open' ? schedule.opening : schedule.kind === 'closed' ? schedule.next : undefined;
  return [found?.opensAt, found?.closesAt].map((time) => time?.toISOString().slice(0, 16) ?? '');
}

test('a window over midnight belongs to the day on which it opens', () => {
  const nights = 'Mon-Fri 22:00-05:00 Europe/Vienna';
  assert.deepEqual(opening(nights, '2026-11-27T12:00:00Z'), ['2026-11-27T21:00', '2026-11-28T04:00']);
  assert.ok(open(nights, '2026-11-28T03:59:59Z'), 'Saturday morning belongs to Friday');
  assert.ok(!open(nights, '2026-11-28T04:00:00Z'), 'it ends sharp');
  assert.deepEqual(opening(nights, '2026-11-28T04:00:00Z'), ['2026-11-30T21:00', '2026-12-01T04:00']);
  const schedule = scheduleAt([nights], at('2026-11-27T12:00:00Z'));
  assert.ok(schedule.kind === 'closed');
  assert.equal(
    openingText(schedule.next),
    'the window that opens at 2026-11-27T21:00Z (Mon-Fri 22:00-05:00 Europe/Vienna)',
  );
});

test('of several windows one is enough, and the next is the first to open', () => {
  const two = ['Sat,Sun 00:00-24:00 UTC', 'daily 03:00-04:00 UTC'];
  assert.ok(open(two, '2026-11-28T12:00:00Z'));
  assert.ok(open(two, '2026-11-27T03:30:00Z'));
  assert.deepEqual(opening(two, '2026-11-27T12:00:00Z'), ['2026-11-28T00:00', '2026-11-29T00:00']);
  assert.ok(open('Fri-Mon 10:00-11:00 UTC', '2026-11-29T10:00:00Z'), 'Friday to Monday goes over Sunday');
  assert.deepEqual(scheduleAt([], at('2026-11-27T12:00:00Z')), { kind: 'always' });
});

test('clocks that are put forward or back shift a window, shorten or prolong it, and leave out what does not exist', () => {
  const night = 'daily 22:00-05:00 Europe/Vienna';
  assert.deepEqual(opening(night, '2026-03-28T12:00:00Z'), ['2026-03-28T21:00', '2026-03-29T03:00']);
  assert.deepEqual(opening(night, '2026-10-24T12:00:00Z'), ['2026-10-24T20:00', '2026-10-25T04:00']);
  // From 02:00 to 03:00 there is no hour on 29 March; what begins in it begins as long after midnight.
  assert.deepEqual(opening('daily 02:15-04:00 Europe/Vienna', '2026-03-28T23:00:00Z'), [
    '2026-03-29T01:15',
    '2026-03-29T02:00',
  ]);
  assert.deepEqual(
    opening('Sun 02:00-03:00 Europe/Vienna', '2026-03-28T23:00:00Z'),
    ['2026-04-05T00:00', '2026-04-05T01:00'],
    'one that is left out as a whole opens the week after',
  );
  // From 02:00 to 03:00 clocks show each time twice on 25 October: the first counts.
  assert.deepEqual(opening('daily 02:30-02:45 Europe/Vienna', '2026-10-24T22:00:00Z'), [
    '2026-10-25T00:30',
    '2026-10-25T00:45',
  ]);
  assert.deepEqual(opening('daily 00:00-01:00 America/St_Johns', '2026-07-01T12:00:00Z'), [
    '2026-07-02T02:30',
    '2026-07-02T03:30',
  ]);
});

test('what goes on only while a window is open takes as many of them as it needs', () => {
  const end = (windows: string[], minutes: number) =>
    endWithin(windows, at('2026-11-27T20:00:00Z'), minutes * 60)
      ?.toISOString()
      .slice(0, 16);
  assert.equal(end([], 90), '2026-11-27T21:30');
  assert.equal(end(['daily 22:00-23:00 UTC'], 60), '2026-11-27T23:00');
  assert.equal(end(['daily 22:00-23:00 UTC'], 90), '2026-11-28T22:30');
  assert.equal(end(['Fri 22:00-23:00 UTC', 'Fri 22:30-24:00 UTC'], 150), '2026-12-04T22:30');
  assert.equal(end(['daily 22:00-22:01 UTC'], 1_000_000), undefined);
});

test('a time that is counted goes on with the next window, also where windows overlap', () => {
  const hours = (windows: string[], until: string) =>
    openSeconds(windows, at('2026-11-26T02:00:00Z'), at(until)) / 3600;
  const night = 'daily 01:00-04:00 UTC';
  assert.equal(hours([], '2026-11-26T12:00:00Z'), 10);
  assert.equal(hours([night], '2026-11-26T03:30:00Z'), 1.5);
  assert.equal(hours([night], '2026-11-26T12:00:00Z'), 2);
  assert.equal(hours([night], '2026-11-27T03:00:00Z'), 4);
  assert.equal(hours([night, 'daily 03:00-05:00 UTC'], '2026-11-27T00:00:00Z'), 3);
  assert.equal(hours(['daily 12:00-13:00 UTC'], '2026-11-26T12:00:00Z'), 0);
  assert.equal(hours([night], '2026-11-26T01:00:00Z'), 0, 'a clock that was put back');
});

test('what is no window, or never opens, is refused with what to write', () => {
  const refused = (text: string, message: RegExp) =>
    assert.throws(() => assertWindows([text]), { code: 'ERR_UPGRADE_WINDOW', message });
  refused(
    'at night',
    /is not a window\. Write days, times and a time zone, such as "Mon-Fri 22:00-05:00 Europe\/Vienna"/,
  );
  refused('Mon-Fri 22:00-05:00', /is not a window/);
  refused('Mon-Fry 22:00-05:00 UTC', /days that do not exist \(Mon-Fry\)/);
  refused('Mon 22:00-05:00 Europe/Wien', /time zone that does not exist \(Europe\/Wien\)/);
  refused('Mon 22:00-25:00 UTC', /time that does not exist/);
  refused('Mon 24:00-05:00 UTC', /time that does not exist/);
  refused('Mon 22:00-22:00 UTC', /never opens, since it ends when it begins\. A whole day is 00:00-24:00/);
  assert.throws(() => assertWindows(['daily 01:00-02:00 UTC', 'daily 01:00-02:00 UTC']), /named twice/);
});

test('at any time and in any zone, a window is open or opens within a fortnight, and is open from then on until it ends', () => {
  const zones = ['UTC', 'Europe/Vienna', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'Pacific/Apia'];
  const time = fc.integer({ min: 0, max: 1439 });
  const text = (minutes: number) =>
    `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
  const now = fc.date({ min: at('2026-01-01T00:00:00Z'), max: at('2030-01-01T00:00:00Z'), noInvalidDate: true });
  fc.assert(
    fc.property(
      time,
      time,
      fc.constantFrom(...zones),
      fc.constantFrom('daily', 'Sun', 'Mon-Fri'),
      now,
      (from, until, zone, days, when) => {
        fc.pre(from !== until);
        const windows = [`${days} ${text(from)}-${text(until)} ${zone}`];
        const schedule = scheduleAt(windows, when);
        assert.notEqual(schedule.kind, 'always');
        const found =
          schedule.kind === 'open' ? schedule.opening : schedule.kind === 'closed' ? schedule.next : undefined;
        assert.ok(found !== undefined && found.closesAt > when && found.closesAt > found.opensAt);
        assert.ok(found.opensAt.getTime() - when.getTime() < 15 * 86_400_000);
        assert.equal(scheduleAt(windows, found.opensAt).kind, 'open');
        assert.equal(scheduleAt(windows, new Date(found.closesAt.getTime() - 1)).kind, 'open');
      },
    ),
  );
});
