/** The list of waits as it is read from a domain in which each of them is the case. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { budgetSchema } from '../../api/budget.ts';
import type { AccountId, InstanceId } from '../../base/ids.ts';
import { type Database, openDatabase } from '../../database/connection.ts';
import { applyBudget } from '../../deliveries/budget.ts';
import { recordHold } from '../../deliveries/situation.ts';
import { markSuspects } from '../../deliveries/suspects.ts';
import { type DeviceFixture, seedCommand, seedDevice } from '../../devices/device-fixture.ts';
import { createMoveBatch } from '../../moves/batch-store.ts';
import { stepOnce } from '../../processes/coordinator/coordinator.ts';
import { until } from '../../testing/condition.ts';
import {
  finalizeByOperator,
  pauseByOperator,
  resumeByOperator,
  reverseByOperator,
} from '../operations/operator-actions.ts';
import { endUnasked, operator, scene, until as untilState } from '../steps/scene-fixture.ts';
import { readUpgradeReport } from './report.ts';
import { reportText } from './report-text.ts';
import type { WaitKind } from './wait.ts';

const limited = { timeout: 120_000 };

/** Of the scene's own database, for a session of somebody else's. */
function addressOf({ options }: Database): string {
  const { host, port, user, pass, database } = options;
  return `postgres://${user}:${encodeURIComponent(String(pass))}@${host[0]}:${port[0]}/${database}`;
}

test(
  'silent devices, what holds sending back, missing processes and supervisors are named with what to type',
  limited,
  async () => {
    const at = await scene();
    const { db } = at;
    const [instance] = await db<{ id: string; name: string }[]>`select id, name from instance order by name limit 1`;
    assert.ok(instance);
    const budget = budgetSchema.parse({ perInstance: 2, perDomain: 2, suspects: 1 });
    await db.begin(async (tx) => await applyBudget(tx, budget, [instance.id]));
    const fixtures: DeviceFixture[] = [];
    for (const name of ['quiet-1', 'quiet-2']) {
      const fixture = await seedDevice(db, instance.id as never, name);
      await seedCommand(db, fixture, { budgeted: true, item: 'it-policy' });
      fixtures.push(fixture);
    }
    await db`update delivery set state = 'handed-out', handed_out_at = clock_timestamp() - interval '2 minutes'`;
    await db`
    update delivery_permit p set delivery_id = d.id, taken_at = clock_timestamp()
      from (select id, row_number() over () as n from delivery) d
     where p.number = d.n and p.scope in ('domain', ${instance.id})`;
    assert.equal((await markSuspects(db, instance.id, 60)).length, 1);
    await recordHold(db, instance.id, 'suspects', 7);

    const report = await readUpgradeReport(db, await at.upgrade(), []);
    const of = (kind: WaitKind) => report.waits.filter(({ what }) => what === kind);
    const [silent] = of('silent-devices');
    assert.match(silent?.why ?? '', /^2 devices .* limit of suspects is reached/);
    assert.deepEqual(
      silent?.who.map((who) => who.split(': ')[1]).sort(),
      fixtures.map(({ deviceId }) => String(deviceId)).sort(),
    );
    assert.equal(silent?.command, 'bramble device requeue --silent');
    assert.equal((silent?.until?.getTime() ?? 0) - (silent?.since?.getTime() ?? 0), 360_000);
    const [held] = of('budget');
    assert.match(held?.why ?? '', /^7 deliveries of .*: waiting for a slot: silent devices hold them/);
    assert.equal(held?.command, 'bramble device requeue --silent');
    assert.deepEqual(
      of('supervisor').map(({ who }) => who[0]),
      ['here'],
    );
    assert.equal(of('coordinator').length, 1);
    assert.match(reportText(report), /→ bramble device requeue --silent/);
    assert.match(reportText(report), /^ {2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d) planned /m);
    const heldBack = report.heldBack.map((hold) => ({ ...hold, heldSeconds: 6.9, waiting: 0 }));
    assert.match(reportText({ ...report, heldBack }), / {2}\S+: 6\.9 s in total, none waiting$/m);

    // An instance of 1.1 says only that no slot is free; and nobody has made the devices of one that is dead suspects.
    await recordHold(db, instance.id, 'slots-domain', 7);
    await db`update delivery set state = 'handed-out'`;
    await db`update delivery_permit set delivery_id = null where scope = 'suspects'`;
    const forgotten = (await readUpgradeReport(db, await at.upgrade(), [])).waits;
    const sending = forgotten.filter(({ what }) => what === 'budget' || what === 'silent-devices');
    assert.deepEqual(
      sending.map(({ command }) => command),
      ['bramble device requeue --silent', 'bramble device requeue --silent'],
    );
    assert.match(sending[1]?.why ?? '', /^2 devices .* 2 of them hold slots because their instances/);
  },
);

test(
  'a supervisor with a session in the database is none that is waited for, and what does not run there is named',
  limited,
  async () => {
    const at = await scene();
    await at.db`update component set lease_until = clock_timestamp() - interval '1 minute' where name = 'router'`;
    const supervisor = openDatabase(addressOf(at.db), { applicationName: 'bramble/supervisor@here#1', max: 1 });
    after(async () => await supervisor.end({ timeout: 1 }));
    await supervisor`select 1`;
    const { waits } = await readUpgradeReport(at.db, await at.upgrade(), []);
    assert.deepEqual(
      waits.filter(({ what }) => what === 'supervisor'),
      [],
    );
    const processes = waits.find(({ what }) => what === 'process');
    assert.ok(processes?.who.some((who) => who.startsWith('router (1.0.0')));
  },
);

test(
  'the session that is in the way of the migration is named, with its tables and how to end it',
  limited,
  async () => {
    const at = await scene();
    const reporting = openDatabase(addressOf(at.db), { applicationName: 'reporting-tool', max: 1 });
    after(async () => await reporting.end({ timeout: 1 }));
    await reporting`begin`;
    await reporting`select count(*) from device`;
    await at.db`update upgrade set state = 'admin-fenced'`;
    const [{ pid } = { pid: 0 }] = await at.db<{ pid: number }[]>`
    select pid from pg_stat_activity where application_name = 'reporting-tool'`;
    const sessions = async () =>
      (await readUpgradeReport(at.db, await at.upgrade(), [])).waits.filter(({ what }) => what === 'session');
    await until('its transaction counts as one in the way', 60_000, async () => (await sessions()).length > 0);
    const [session] = await sessions();
    assert.match(session?.why ?? '', /holds device$/);
    assert.match(session?.who[0] ?? '', new RegExp(`^reporting-tool \\(database process ${pid}`));
    assert.equal(session?.command, `in the database: select pg_terminate_backend(${pid})`);
    assert.ok(session?.since);
  },
);

test('a pause is an operator’s, and says why and what ends it', limited, async () => {
  const at = await scene();
  await at.db`update upgrade set state = 'moving', progress = progress || '{"started": true}'`;
  await at.db.begin((tx) => pauseByOperator(tx, { ...operator, reason: 'lunch' }));
  const { waits } = await readUpgradeReport(at.db, await at.upgrade(), []);
  const [first] = waits;
  assert.equal(first?.what, 'operator');
  assert.match(first?.why ?? '', /lunch/);
  assert.match(first?.command ?? '', /bramble upgrade resume/);
});

test(
  'what a gate lacks is a wait of its own while its wave is observed, and is of the present window',
  limited,
  async () => {
    const at = await scene({ canaries: ['east-0'], soakSeconds: 3600 });
    const context = at.context('one');
    const gates = async () => {
      const { waits } = await readUpgradeReport(at.db, await at.upgrade(), []);
      return waits.filter(({ what }) => what === 'gate').map(({ why }) => why);
    };
    await untilState(at, context, ['moving'], { silent: true });
    await until('the gate has nothing to judge by', 60_000, async () => {
      await stepOnce(context);
      await at.world({ silent: true });
      return (await gates()).length > 0;
    });
    const [gate] = (await readUpgradeReport(at.db, await at.upgrade(), [])).waits.filter(({ what }) => what === 'gate');
    assert.match(gate?.why ?? '', /^wave 1 \(canary\) is undecided: .*none of its accounts has a device$/);
    assert.deepEqual(gate?.who, ['east-0']);
    assert.match(gate?.command ?? '', /^bramble upgrade resume --accept-gate .*, or bramble upgrade reverse$/);
    await at.db`
      insert into device (id, account_id, token, platform, state, scep_challenge)
      select gen_random_uuid(), id, 'device', 'apple', 'active', 'c' from account where name = 'east-0'`;
    assert.match(
      (await gates())[0] ?? '',
      /^wave 1 \(canary\) is undecided: needs \d+ more good samples .*: none so far/,
    );
    await at.db.begin((tx) => pauseByOperator(tx, operator));
    await at.db.begin((tx) => resumeByOperator(tx, operator));
    assert.deepEqual(await gates(), [], 'what it said before the pause is over');
    await stepOnce(context);
    assert.equal((await gates()).length, 1);
    await at.db`
    update upgrade_wave set gate = gate || jsonb_build_object('reasons', '["another"]'::jsonb, 'at', now() + interval '1 hour')`;
    await stepOnce(context);
    assert.match((await gates())[0] ?? '', /another$/, 'it is not written at every look');
    await at.db`update upgrade_wave set gate = gate || jsonb_build_object('at', now() - interval '11 seconds')`;
    await stepOnce(context);
    assert.match((await gates())[0] ?? '', /none so far/);
    await at.db.begin((tx) => resumeByOperator(tx, { ...operator, acceptGate: true }));
    await stepOnce(context);
    const [wave] = await at.db<{ state: string }[]>`select state from upgrade_wave where number = 1`;
    assert.equal(wave?.state, 'passed', 'who waits no longer takes responsibility');
  },
);

test(
  'where finalizing is refused for accounts left behind, the waits name them, and not finalizing',
  limited,
  async () => {
    const at = await scene();
    const context = at.context('one');
    await untilState(at, context, ['soaking']);
    const waits = async () => (await readUpgradeReport(at.db, await at.upgrade(), [])).waits;
    await stepOnce(context);
    assert.match((await waits()).find(({ what }) => what === 'operator')?.command ?? '', /upgrade finalize/);
    assert.ok(!(await waits()).some(({ what }) => what === 'step'), 'the decision is named once');

    await at.db.begin(async (tx) => {
      const [east] = await tx<{ id: InstanceId }[]>`select id from instance where name = 'east'`;
      const [account] = await tx<{ id: AccountId }[]>`select id from account where name = 'west-1'`;
      assert.ok(east && account);
      const moves = [{ accountId: account.id, toInstanceId: east.id }];
      await createMoveBatch(tx, { purpose: 'manual', createdBy: 'ada', moves });
    });
    await at.world();
    await at.db`update account_move set state = 'delivering', closed_at = null
               where to_instance_id = (select id from instance where name = 'east')`;
    await assert.rejects(
      at.db.begin((tx) => finalizeByOperator(tx, operator)),
      { code: 'ERR_UPGRADE_STATE', message: /`bramble upgrade status` shows what they are waiting for/ },
    );
    const [first, ...others] = (await waits()).filter(({ what }) => what === 'accounts' || what === 'operator');
    assert.equal(others.length, 0);
    assert.match(
      first?.why ?? '',
      /^1 account is still at instances of an earlier release: east \(1\); finalizing waits/,
    );
    assert.match(first?.why ?? '', /devices do not connect: once out of reach, they move anyway/);
    assert.deepEqual(first?.who, ['west-1 (at east: it was moved there, but its devices have not answered)']);
    assert.match(first?.command ?? '', /^bramble deliveries; or at once: bramble move back [0-9a-f-]{36}$/);
  },
);

test('what leads out of a pause is what is accepted: of a gate, and of a reversal', limited, async () => {
  const at = await scene();
  const context = at.context('one');
  const first = async () => (await readUpgradeReport(at.db, await at.upgrade(), [])).waits[0];
  await untilState(at, context, ['soaking']);
  await endUnasked(at.db, 'east-1-1', 2);
  await untilState(at, context, ['paused']);
  assert.match((await first())?.command ?? '', /BRAMBLE_HOME\/logs.*resume --accept-gate.*upgrade reverse/);
  await at.db.begin((tx) => resumeByOperator(tx, { ...operator, acceptGate: true }));
  await at.db.begin((tx) => pauseByOperator(tx, operator));
  assert.equal((await first())?.command, 'bramble upgrade resume, or bramble upgrade reverse');
  await at.db.begin((tx) => reverseByOperator(tx, operator));
  await at.db.begin((tx) => pauseByOperator(tx, operator));
  assert.equal((await first())?.command, 'bramble upgrade resume');
  await assert.rejects(
    at.db.begin((tx) => reverseByOperator(tx, operator)),
    { code: 'ERR_UPGRADE_STATE' },
  );
  await at.db.begin((tx) => resumeByOperator(tx, operator));
});
