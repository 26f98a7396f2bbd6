/** What `bramble upgrade status` and `report` print of a paused upgrade: each thing once. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { readDomain } from '../domain/domain.ts';
import { startAdministration } from '../processes/administration/administration-fixture.ts';
import { startTestUpgrade } from '../processes/coordinator/coordinator-endpoint-fixture.ts';
import { ownRelease } from '../registry/own-release.ts';
import { testRehearsal } from '../upgrade/plan/rehearsal-fixture.ts';
import { recordRehearsal } from '../upgrade/plan/rehearsal-record.ts';
import { finalDecision } from '../upgrade/state/upgrade-states.ts';
import { runBramble } from './command-line-fixture.ts';

const admin = await startAdministration();
after(async () => await admin.close());

const timesIn = (text: string, what: string): number => text.split(what).length - 1;

test('the status says how long the administration will be away, as rehearsed, and what the waves take at least', async () => {
  const [major, minor] = ownRelease.split('.').map(Number);
  const later = `${major}.${Number(minor) + 1}.0`;
  await startTestUpgrade(admin.db, later);
  const { domainId } = await readDomain(admin.db);
  await recordRehearsal(admin.home, { ...testRehearsal, domainId, fromRelease: ownRelease, toRelease: later });
  const { output } = await runBramble(admin, ['upgrade', 'status']);
  assert.match(output, /^fence +the administration is away for about 62\.5 s, of which 61\.0 s expand the schema/m);
  assert.match(output, /^backfill +002-devices 40\.0 s \(1 row\)$/m);
  await admin.db`truncate upgrade cascade`;
});

test('the status of a paused upgrade says once why, and of each gate one word', async () => {
  const [major, minor] = ownRelease.split('.').map(Number);
  const later = `${major}.${Number(minor) + 1}.0`;
  await startTestUpgrade(admin.db, later);
  const why = 'the gate of wave 2 says fail: 9 of 10 requests failed';
  await admin.db`update upgrade set state = 'paused', paused_from = 'moving', pause_reason = ${why}`;
  const waves = [
    { name: 'canary', state: 'passed', gate: { answer: 'pass', reasons: ['not counted: 2'] } },
    { name: '50 %', state: 'failed', gate: { answer: 'fail', reasons: ['9 of 10 requests failed'] } },
    { name: '100 %', state: 'passed', gate: { answer: 'undecided', reasons: ['needs 4 more'], acceptedBy: 'ada' } },
  ];
  for (const [index, { name, state, gate }] of waves.entries()) {
    await admin.db`
      insert into upgrade_wave (upgrade_id, number, name, state, gate)
      select id, ${index + 1}, ${name}, ${state}, ${admin.db.json(gate)} from upgrade`;
  }
  const { output } = await runBramble(admin, ['upgrade', 'status']);
  assert.equal(timesIn(output, '9 of 10 requests failed'), 1, output);
  assert.match(output, new RegExp(`^paused +${why}$`, 'm'));
  assert.match(output, /^Waits\n {2}operator: to resume or reverse it \(since /m);
  assert.match(output, /^1 +canary +passed .* pass *$/m);
  assert.match(output, /^2 +50 % +failed .* fail *$/m);
  assert.match(output, /^3 +100 % +passed .* accepted by ada *$/m);

  const report = (await runBramble(admin, ['upgrade', 'report'])).output;
  assert.match(report, new RegExp(`^ {2}paused: ${why}\n\nWaits\n {2}operator: to resume`, 'm'));
  for (const text of [output, report]) assert.ok(text.includes(`${ownRelease} → ${later}`), text);
  assert.match((await runBramble(admin, ['status'])).output, RegExp(`^upgrade +${ownRelease} → ${later}, paused`, 'm'));
  await admin.db`update upgrade set paused_from = 'reversing'`;
  assert.match((await runBramble(admin, ['upgrade', 'status'])).output, /^ {2}operator: to resume it \(since /m);
  assert.match(report, /1\. canary: passed.*; gate: pass: not counted: 2/);
  assert.match(report, /3\. 100 %: passed.*; gate: accepted by ada \(verdict: undecided: needs 4 more\)/);
});

test('the status says of each overridden warning who overrode it, and when', async () => {
  const overridden = {
    result: 'overridden',
    message: 'x',
    overriddenBy: 'ada',
    overriddenAt: '2026-11-27T08:00:00.000Z',
  };
  const checks = [
    { name: 'database', result: 'passed', message: 'x' },
    { name: 'backup', ...overridden },
    // As 1.3 stored it.
    { name: 'components', result: 'overridden', message: 'x' },
  ];
  await admin.db`update upgrade set progress = progress || ${admin.db.json({ checks })}`;
  const { output } = await runBramble(admin, ['upgrade', 'status']);
  assert.match(output, /^checks +backup: overridden by ada, 2026-11-27 \S+\n +components: overridden$/m);
});

test('an upgrade that nobody finalizes is reminded of, with how long and what stays locked', async () => {
  await admin.db`
    update upgrade set state = 'soaking', paused_from = null, pause_reason = null,
           progress = progress || ${admin.db.json({ waitingFor: finalDecision })}`;
  for (const [state, days] of [
    ['soaking', 9],
    ['moving', 5],
    ['soaking', 4],
    ['paused', 2],
    ['soaking', 1],
  ] as const) {
    await admin.db`
      insert into upgrade_event (upgrade_id, generation, state, message, at)
      select id, 9, ${state}, 'x', now() - make_interval(days => ${days}) from upgrade`;
  }
  const status = async () => (await runBramble(admin, ['status'])).output;
  const told =
    /soaking\n +to be finalized or reversed, for 4\.0 days now: `bramble upgrade status`; locked until then: shared\n/;
  assert.match(await status(), told);
  const { output } = await runBramble(admin, ['upgrade', 'status']);
  assert.match(output, /operator: all waves passed 4\.0 days ago; .*features stay locked: shared \(since /);
  await admin.db`update upgrade set progress = progress || '{"waitingFor": "accounts of east"}'`;
  assert.doesNotMatch(await status(), /to be finalized/);

  const halted = /has not come to its end for 4\.0 days: `bramble upgrade status` says/;
  assert.match(await status(), halted);
  await admin.db`update upgrade set state = 'paused', paused_from = 'soaking', pause_reason = 'lunch'`;
  assert.match(await status(), new RegExp(`paused: lunch\\n +${halted.source}`));
  await admin.db`update upgrade set state = 'finalizing', paused_from = null, pause_reason = null`;
  assert.doesNotMatch(await status(), /come to its end/, 'since when is not on record, or but a moment ago');
});

test('what is refused in a state names the command that helps', async () => {
  await admin.db`update upgrade set state = 'paused', paused_from = 'moving', pause_reason = 'x'`;
  const said = async (verb: string) => (await runBramble(admin, ['upgrade', verb])).errors;
  assert.match(
    await said('pause'),
    /paused in moving cannot be paused\. `bramble upgrade resume`.*`bramble upgrade reverse`/,
  );
  await admin.db`update upgrade set state = 'soaking', paused_from = null, pause_reason = null`;
  assert.match(
    await said('resume'),
    /soaking cannot be resumed\. `bramble upgrade finalize` or `bramble upgrade reverse`/,
  );
});

test('on the way back the status counts who is back, and shows no waves', async () => {
  await admin.db`update upgrade set state = 'reversing', paused_from = null, pause_reason = null`;
  const { output } = await runBramble(admin, ['upgrade', 'status']);
  assert.match(output, /^state +reversing$/m);
  assert.doesNotMatch(output, /ACCOUNTS SETTLED|canary/);
});
