/** When a scheduled backup is due: once a day, made up for when missed, tried again when it failed, whatever the clock does. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { type BackupScheduleState, begin, dueNow, lastDue, nextDue, passed } from './backup-schedule.ts';

const at = (text: string) => new Date(`2026-11-${text}:00`);
const schedule = { daily: '02:30', setAt: at('10T12:00').toISOString() };
const dueAt = (state: BackupScheduleState | undefined, now: string) => dueNow(schedule, state, at(now));

test('the first is made at its time, not when it is set', () => {
  assert.equal(dueAt(undefined, '10T12:01'), undefined);
  assert.equal(dueAt(undefined, '11T02:29'), undefined);
  assert.deepEqual(dueAt(undefined, '11T02:30'), at('11T02:30'));
  assert.deepEqual(
    [lastDue('02:30', at('11T02:29')), nextDue('02:30', at('11T02:30'))],
    [at('10T02:30'), at('12T02:30')],
  );
});

test('one that passed is not made again before the next day; what was missed meanwhile is made up for, once', () => {
  const state = passed(begin(undefined, at('11T02:30'), at('11T02:31')));
  assert.equal(dueAt(state, '11T23:00'), undefined);
  assert.deepEqual(dueAt(state, '14T09:00'), at('14T02:30'));
  assert.equal(dueAt(passed(begin(state, at('14T02:30'), at('14T09:00'))), '14T09:05'), undefined);
});

test('one that failed, or died, is tried again after ten minutes and after an hour, and then the next day', () => {
  const first = begin(undefined, at('11T02:30'), at('11T02:30'));
  assert.equal(dueAt(first, '11T02:39'), undefined);
  assert.deepEqual(dueAt(first, '11T02:40'), at('11T02:30'));
  const second = begin(first, at('11T02:30'), at('11T02:40'));
  assert.equal(dueAt(second, '11T03:39'), undefined);
  assert.deepEqual(dueAt(second, '11T03:40'), at('11T02:30'));
  const third = begin(second, at('11T02:30'), at('11T03:40'));
  assert.equal(dueAt(third, '12T02:29'), undefined);
  assert.deepEqual(dueAt(third, '12T02:30'), at('12T02:30'));
  assert.equal(begin(third, at('12T02:30'), at('12T02:30')).failures, 1);
});

test('what a clock that was ahead has noted holds nothing back', () => {
  const ahead = passed(begin(undefined, at('29T02:30'), at('29T02:30')));
  assert.deepEqual(dueAt(ahead, '11T02:30'), at('11T02:30'));
  assert.deepEqual(
    dueNow({ daily: '02:30', setAt: at('29T02:30').toISOString() }, undefined, at('11T03:00')),
    at('11T02:30'),
  );
});

test('nights of 23 and of 25 hours have one each', () => {
  const program = `
    const { nextDue } = await import(${JSON.stringify(new URL('backup-schedule.ts', import.meta.url).href)});
    let at = new Date('2026-03-27T12:00:00Z');
    const found = [];
    for (const end of ['2026-03-30T12:00:00Z', '2026-10-26T12:00:00Z']) {
      while ((at = nextDue('02:30', at)) < new Date(end)) found.push(at.toISOString().slice(5, 16));
      at = new Date('2026-10-23T12:00:00Z');
    }
    console.log(found.join(' '));`;
  const found = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    env: { ...process.env, TZ: 'Europe/Berlin' },
    timeout: 30_000,
  });
  // In spring 02:30 is left out, in autumn it comes twice.
  assert.equal(found.trim(), '03-28T01:30 03-29T01:30 03-30T00:30 10-24T00:30 10-25T00:30 10-26T01:30');
});
