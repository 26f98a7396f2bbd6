/**
 * A domain in the middle of an upgrade with a thousand times the rows of a small one, written straight into the tables: half of
 * the accounts have moved and owe their devices everything, the other half waits in the queue, and all have a past.
 *
 * Invariant: autovacuum keeps away, so that the planner knows of the rows only what the test tells it (`analyzeAll`).
 */

import { budgetSchema } from '../../src/api/budget.ts';
import { type InstanceId, newId, type UpgradeId } from '../../src/base/ids.ts';
import type { Database } from '../../src/database/connection.ts';
import { writeBudget } from '../../src/deliveries/budget.ts';
import { seedDomain } from '../../src/devices/device-fixture.ts';
import { seedPolicies } from '../../src/policies/preconfigured-policies.ts';

/** Tables that grow with accounts, devices and time: what reads one of them from end to end gets slower from day to day. */
export const largeTables: readonly string[] = [
  'account',
  'account_epoch',
  'account_move',
  'command',
  'delivery',
  'device',
  'request_outcome',
  'request_sample',
  'upgrade_assignment',
];

export interface LargeDomain {
  accounts: number;
  /** The instance that accounts leave, and the one that they come to. */
  here: InstanceId;
  there: InstanceId;
  upgradeId: UpgradeId;
}

export async function fillLargeDomain(db: Database, accounts: number): Promise<LargeDomain> {
  for (const table of [...largeTables, 'account_mark', 'delivery_permit', 'move_batch', 'upgrade_wave']) {
    await db.unsafe(`alter table ${table} set (autovacuum_enabled = false)`);
  }
  const { here, there } = await seedDomain(db);
  await seedPolicies(db);
  await db.begin((tx) => writeBudget(tx, budgetSchema.parse({}), [here, there]));
  await fillDevices(db, accounts, here, there);
  const upgradeId = await fillUpgrade(db, here, there);
  await fillMoves(db, upgradeId, here, there);
  await fillSamples(db, here);
  return { accounts, here, there, upgradeId };
}

/** Accounts of odd numbers have moved. Each has a device that came an hour ago and has answered everything of its past. */
async function fillDevices(db: Database, accounts: number, here: InstanceId, there: InstanceId): Promise<void> {
  await db`
    with added as (
      insert into account (id, name, display_name, instance_id, epoch)
      select gen_random_uuid(), 'person-' || n, 'person', case n % 2 when 1 then ${there}::uuid else ${here}::uuid end, 1 + n % 2
        from generate_series(1, ${accounts}::int) n
      returning id, name, instance_id, epoch
    ), epochs as (
      insert into account_epoch (account_id, epoch, instance_id)
      select id, 1, ${here}::uuid from added union all select id, 2, ${there}::uuid from added where epoch = 2
    )
    insert into device (id, account_id, token, platform, state, scep_challenge, identity_fingerprint, udid, os_version,
                        push_token, push_magic, last_seen_at, woken_at)
    select gen_random_uuid(), id, 'token-' || name, 'apple', 'active', 'c', 'print-' || name, 'udid-' || name, '18.1',
           '\\x01', 'magic', now() - interval '1 hour', now() - interval '2 hours' from added`;
  await db`
    with past as (
      insert into delivery (id, account_id, device_id, item, cause, budgeted, state, revision, owed_at, released_at, settled_at)
      select gen_random_uuid(), d.account_id, d.id, i, 'activation', false, 'done', 'r', t, t, t
        from device d, unnest(array['it-policy', 'service-books', 'synchronization']) i, (select now() - interval '1 day' as t) t
      returning id, device_id, account_id, settled_at)
    insert into command (id, device_id, account_id, delivery_id, request_type, body, state, queued_at, sent_at, answered_at)
    select gen_random_uuid(), device_id, account_id, id, 'InstallProfile', 'body', 'acknowledged', settled_at, settled_at,
           settled_at from past`;
}

/** The canary has passed, the wave is on its way. */
async function fillUpgrade(db: Database, here: InstanceId, there: InstanceId): Promise<UpgradeId> {
  const upgradeId = newId<UpgradeId>();
  await db`
    insert into upgrade (id, from_release, to_release, state, plan, created_at)
    values (${upgradeId}, '1.0.0', '1.1.0', 'moving', '{}', now() - interval '2 hours')`;
  await db`
    insert into upgrade_wave (upgrade_id, number, name, state, started_at)
    values (${upgradeId}, 1, 'canary', 'passed', now() - interval '2 hours'),
           (${upgradeId}, 2, 'everybody', 'running', now() - interval '1 hour')`;
  await db`
    insert into upgrade_assignment (upgrade_id, account_id, wave_number, from_instance_id, to_instance_id)
    select ${upgradeId}, id, case when name in ('person-1', 'person-3') then 1 else 2 end, ${here}, ${there} from account`;
  return upgradeId;
}

/** Of those that have moved one in a hundred has settled, one in ten waits for its device, the others for a slot. */
async function fillMoves(db: Database, upgradeId: UpgradeId, here: InstanceId, there: InstanceId): Promise<void> {
  const batchId = newId();
  await db`
    insert into move_batch (id, purpose, upgrade_id, wave_number, state, created_by)
    values (${batchId}, 'wave', ${upgradeId}, 2, 'running', 'coordinator')`;
  await db`
    insert into account_move (id, batch_id, account_id, from_instance_id, to_instance_id, state, queued_at, fenced_at,
                              committed_at, settled_at, closed_at, epoch_after)
    select gen_random_uuid(), ${batchId}, id, ${here}, ${there},
           case when epoch = 1 then 'queued' when n % 100 = 0 then 'closed' else 'delivering' end,
           now() - interval '1 hour', case epoch when 2 then at end, case epoch when 2 then at end,
           case when epoch = 2 and n % 100 = 0 then at end, case when epoch = 2 and n % 100 = 0 then at end,
           case epoch when 2 then 2 end
      from (select id, epoch, row_number() over (partition by epoch) as n,
                   now() - make_interval(secs => row_number() over (partition by epoch) * 0.005) as at from account) a`;
  await db`
    with debts as (
      insert into delivery (id, account_id, device_id, item, cause, move_id, budgeted, state, revision, owed_at, released_at)
      select gen_random_uuid(), m.account_id, d.id, i, 'move', m.id, true,
             case when m.state = 'closed' then 'done' when n % 10 = 0 then 'released' else 'owed' end, 'r', m.committed_at,
             case when m.state = 'closed' or n % 10 = 0 then m.committed_at end
        from (select *, row_number() over () as n from account_move where committed_at is not null) m
        join device d on d.account_id = m.account_id,
             unnest(array['it-policy', 'service-books', 'synchronization']) i
      returning id, device_id, account_id, state, owed_at)
    insert into command (id, device_id, account_id, delivery_id, budgeted, request_type, body, state, queued_at)
    select gen_random_uuid(), device_id, account_id, id, true, 'InstallProfile', 'body',
           case state when 'done' then 'acknowledged' else 'queued' end, owed_at
      from debts where state <> 'owed'`;
}

/** Two buckets of ten seconds each, as routers and instances measure them. */
async function fillSamples(db: Database, here: InstanceId): Promise<void> {
  await db`
    insert into request_outcome (account_id, instance_id, bucket, router, requests, failed, latency)
    select id, ${here}, date_bin('10 seconds', now() - make_interval(secs => s), 'epoch'), 'router-1', 1, 0, '{0,0,1}'
      from account, unnest(array[30, 7200]) s`;
  await db`
    insert into request_sample (account_id, instance_id, bucket, requests, errors, latency_ms_sum, latency_ms_max)
    select id, ${here}, date_bin('10 seconds', now() - make_interval(secs => s), 'epoch'), 1, 0, 5, 5
      from account, unnest(array[30, 7200]) s`;
}

/** As autovacuum does it, some minutes after the rows came. */
export async function analyzeAll(db: Database): Promise<void> {
  await db.unsafe('analyze');
}

/** As it was before the upgrade: of many deliveries none was open, and an index of the open ones counts as empty from then on. */
export async function analyzeAtRest(db: Database): Promise<void> {
  await db.begin(async (tx) => {
    await tx`create temp table open_delivery on commit drop as select id, state from delivery where settled_at is null`;
    await tx`update delivery set state = 'done', settled_at = now() where settled_at is null`;
    await tx`analyze delivery`;
    await tx`update delivery d set state = o.state, settled_at = null from open_delivery o where o.id = d.id`;
  });
}
