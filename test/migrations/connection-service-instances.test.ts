/**
 * The way of a connection service's instance from a column (1.0) to a relation (1.1): both in step while both releases
 * work, the backfill, and the contraction. The statements of 1.0 stand here as 1.0.0 sends them.
 */

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { isBrambleError } from '../../src/base/errors.ts';
import { type Database, openDatabase } from '../../src/database/connection.ts';
import { createEarlierTestDatabase } from '../../src/database/database-fixture.ts';
import { migrate } from '../../src/database/migrate.ts';
import { sqlState } from '../../src/database/sql-state.ts';
import { untilOneWaits } from '../../src/database/waiting-fixture.ts';
import { answerRoutes } from '../../src/devices/route-store.ts';
import {
  createConnectionService,
  getConnectionService,
  updateConnectionService,
} from '../../src/instances/connection-services.ts';
import { authorizeTunnels } from '../../src/processes/connection/served-devices.ts';
import { migrationFolder } from '../../src/release/program.ts';

const east = randomUUID();
const west = randomUUID();

/** As 1.0.0 creates, changes, finds and routes: by the column. */
const release10 = {
  create: `
    with chosen as (
      select id from instance where name = $3 and retired_at is null for share
    ), created as (
      insert into connection_service (id, name, srp_identifier, instance_id, allowed_hosts)
      select $1::uuid, $2, 'C' || lpad(nextval('srp_number')::text, 8, '0'), chosen.id, '{}'::text[]
      from chosen
      on conflict (name) do nothing
      returning id
    )
    select exists (select from chosen) as "instanceFound", exists (select from created) as created`,
  update: `
    with chosen as (
      select id from instance where name = $2::text and retired_at is null for share
    ), updated as (
      update connection_service c
      set instance_id = coalesce((select id from chosen), c.instance_id),
        allowed_hosts = coalesce($3::text[], c.allowed_hosts)
      where c.name = $1 and ($2::text is null or exists (select from chosen))
      returning c.id
    )
    select exists (select from chosen) as "instanceFound", exists (select from updated) as updated`,
  remove: 'delete from connection_service where instance_id = $1 and name = any($2)',
  list: `
    select c.id, c.name, c.srp_identifier as "srpIdentifier", c.instance_id as "instanceId", i.name as instance,
      c.allowed_hosts as "allowedHosts", c.created_at as "createdAt"
    from connection_service c left join instance i on i.id = c.instance_id
    order by c.name`,
  ofInstance: 'select c.srp_identifier from connection_service c where c.instance_id = $1 order by c.name',
} as const;

const applicationName = 'bramble/test';
const release = '1.1.0';
const expand = (url: string, onProgress?: (step: { number: number; backfilledRows?: number }) => void) =>
  migrate(url, {
    folder: migrationFolder(),
    release,
    contract: false,
    applicationName,
    ...(onProgress && { onProgress }),
  });
const contract = (url: string) => migrate(url, { folder: migrationFolder(), release, contract: true, applicationName });

/** A database as 1.0.0 left it, with two instances. */
async function oldDatabase(): Promise<{ url: string; db: Database }> {
  const database = await createEarlierTestDatabase(6);
  const db = openDatabase(database.url, { applicationName });
  after(async () => await db.end({ timeout: 5 }));
  await db`
    insert into instance (id, name, srp_identifier)
    values (${east}, 'east', 'S10000001'), (${west}, 'west', 'S10000002')`;
  return { url: database.url, db };
}

async function expandedDatabase() {
  const old = await oldDatabase();
  assert.equal(await expand(old.url), 7);
  return old;
}

/** Expanded, with what this checkout's statements read beyond the columns of 1.1. */
async function expandedForThisCheckout() {
  const old = await expandedDatabase();
  await old.db`alter table connection_service add column revision bigint not null default 1`;
  return old;
}

/** What each service has in the column and in the relation, by name of the service. */
async function bothOf(db: Database): Promise<Record<string, [string | null, string[]]>> {
  const rows = await db<{ name: string; column: string | null; relation: string[] }[]>`
    select c.name, i.name as "column",
           array(select s.name from connection_service_instance r join instance s on s.id = r.instance_id
                  where r.connection_service_id = c.id order by s.name) as relation
      from connection_service c left join instance i on i.id = c.instance_id`;
  return Object.fromEntries(rows.map((row) => [row.name, [row.column, row.relation]]));
}

test('what 1.0 writes into the column stands in the relation: created, changed, emptied, deleted', async () => {
  const { db } = await expandedDatabase();
  const [created] = await db.unsafe(release10.create, [randomUUID(), 'mds', 'east']);
  assert.deepEqual({ ...created }, { instanceFound: true, created: true });
  assert.deepEqual(await bothOf(db), { mds: ['east', ['east']] });
  await db.unsafe(release10.update, ['mds', 'west', null]);
  assert.deepEqual(await bothOf(db), { mds: ['west', ['west']] });
  await db.unsafe(release10.update, ['mds', null, ['mail.example.org:993']]);
  assert.deepEqual(await bothOf(db), { mds: ['west', ['west']] });
  await db`update connection_service set instance_id = null`;
  assert.deepEqual(await bothOf(db), { mds: [null, []] });
  await db`update connection_service set instance_id = ${east}`;
  await db.unsafe(release10.remove, [east, ['mds']]);
  assert.deepEqual(await bothOf(db), {});
  assert.equal((await db`select 1 from connection_service_instance`).length, 0);
});

test('what 1.1 writes into the relation stands in the column, and 1.0 reads it', async () => {
  const { db } = await expandedForThisCheckout();
  const created = await db.begin((tx) => createConnectionService(tx, { name: 'mds', instances: ['east'] }));
  assert.ok(created.kind === 'created');
  assert.deepEqual(await bothOf(db), { mds: ['east', ['east']] });
  const change = (instances: string[]) => db.begin((tx) => updateConnectionService(tx, 'mds', { instances }));
  assert.equal((await change(['west'])).kind, 'updated');
  assert.deepEqual(await bothOf(db), { mds: ['west', ['west']] });
  const [listed] = await db.unsafe(release10.list);
  assert.deepEqual([listed?.['instance'], listed?.['instanceId']], ['west', west]);
  assert.deepEqual(
    (await db.unsafe(release10.ofInstance, [west])).map((row) => row['srp_identifier']),
    [created.service.srpIdentifier],
  );
  await db`update connection_service_instance set instance_id = ${east}`;
  assert.deepEqual(await bothOf(db), { mds: ['east', ['east']] });
  await db`delete from connection_service_instance`;
  assert.deepEqual(await bothOf(db), { mds: [null, []] });
});

test('a second instance is refused while the schema is expanded, also when two are written at once', async () => {
  const { db } = await expandedForThisCheckout();
  const several = (tx: Parameters<typeof updateConnectionService>[0]) =>
    updateConnectionService(tx, 'mds', { instances: ['east', 'west'] });
  const created = await db.begin((tx) => createConnectionService(tx, { name: 'mds', instances: ['east'] }));
  assert.ok(created.kind === 'created');
  await assert.rejects(db.begin(several), (error) => isBrambleError(error, 'ERR_FEATURE_LOCKED'));
  await assert.rejects(
    db.begin((tx) => createConnectionService(tx, { name: 'other', instances: ['east', 'west'] })),
    (error) => isBrambleError(error, 'ERR_FEATURE_LOCKED'),
  );
  assert.deepEqual(await bothOf(db), { mds: ['east', ['east']] });

  await db`delete from connection_service_instance`;
  const relate = (instanceId: string) =>
    db`insert into connection_service_instance values (${created.service.id}, ${instanceId})`.then(
      () => 'written',
      (error: unknown) => sqlState(error),
    );
  assert.deepEqual((await Promise.all([relate(east), relate(west)])).sort(), ['23514', 'written']);
  const [both] = Object.values(await bothOf(db));
  assert.deepEqual(both?.[1], [both?.[0]]);
});

test('both releases changing one service at once leave column and relation in step', async () => {
  const { db } = await expandedForThisCheckout();
  await db.unsafe(release10.create, [randomUUID(), 'mds', 'east']);
  for (let round = 0; round < 10; round++) {
    await Promise.all([
      db.unsafe(release10.update, ['mds', round % 2 === 0 ? 'west' : 'east', null]),
      db.begin((tx) => updateConnectionService(tx, 'mds', { instances: [round % 2 === 0 ? 'east' : 'west'] })),
    ]);
    const both = (await bothOf(db))['mds'];
    assert.deepEqual(both?.[1], [both?.[0]]);
  }
});

test('the backfill goes in batches, is taken up again where it was interrupted, and rivals do it once', async () => {
  const { url, db } = await oldDatabase();
  await db`
    insert into connection_service (id, name, srp_identifier, instance_id)
    select gen_random_uuid(), 'mds-' || n, 'C' || lpad(nextval('srp_number')::text, 8, '0'),
           case when n = 0 then null when n % 2 = 0 then ${east}::uuid else ${west}::uuid end
      from generate_series(0, 250) n`;
  const related = async () => (await db`select 1 from connection_service_instance`).length;
  const interrupted = new Error('killed');
  await assert.rejects(
    expand(url, (step) => {
      if (step.backfilledRows === 100) throw interrupted;
    }),
    interrupted,
  );
  assert.equal(await related(), 100);
  const [unfinished] = await db`select backfilled_at from migration where number = 7`;
  assert.equal(unfinished?.['backfilled_at'], null);

  // 1.0 goes on working in between, on rows on both sides of the backfill.
  await db.unsafe(release10.update, ['mds-1', 'east', null]);
  await db.unsafe(release10.update, ['mds-2', 'west', null]);
  const batches: number[] = [];
  const versions = await Promise.all(
    [0, 1].map(() =>
      expand(url, (step) => {
        if (step.backfilledRows !== undefined) batches.push(step.backfilledRows);
      }),
    ),
  );
  assert.deepEqual(versions, [7, 7]);
  assert.ok(batches.length >= 2 && batches.length <= 3 && (batches.at(-1) ?? 0) >= 148, batches.join());
  assert.equal(await related(), 250);
  for (const [column, relation] of Object.values(await bothOf(db))) {
    assert.deepEqual(relation, column === null ? [] : [column]);
  }
});

test('a service that 1.0 changes while the backfill waits for its row is related to its new instance only', async () => {
  const { url, db } = await oldDatabase();
  await db.unsafe(release10.create, [randomUUID(), 'mds', 'east']);
  await assert.rejects(
    expand(url, (step) => {
      if (step.backfilledRows === undefined) throw new Error('killed');
    }),
    /killed/,
  );
  let expanding: Promise<number> | undefined;
  await db.begin(async (tx) => {
    await tx.unsafe(release10.update, ['mds', 'west', null]);
    expanding = expand(url);
    await untilOneWaits(db);
  });
  assert.equal(await expanding, 7);
  assert.deepEqual(await bothOf(db), { mds: ['west', ['west']] });
});

test('contraction takes the column away and keeps what was related; then a service serves several instances', async () => {
  const { url, db } = await expandedDatabase();
  await db.unsafe(release10.create, [randomUUID(), 'mds-b', 'east']);
  await db.unsafe(release10.create, [randomUUID(), 'mds-a', 'west']);
  const latest = await contract(url);
  assert.ok(latest >= 8);
  assert.equal(await expand(url), latest, 'an expansion after it changes nothing');
  const shared = await db.begin((tx) => updateConnectionService(tx, 'mds-a', { instances: ['west', 'east'] }));
  assert.ok(shared.kind === 'updated');
  assert.deepEqual(shared.service.instances, ['east', 'west']);
  assert.deepEqual((await getConnectionService(db, 'mds-b'))?.instances, ['east']);
  const left = await db`
    select 1 from pg_proc where proname like 'connection_service%'
    union all select 1 from information_schema.columns where table_name = 'connection_service' and column_name = 'instance_id'`;
  assert.equal(left.length, 0);
});

test('after it, routes name the owner’s connection services in order, and each lets its devices in', async () => {
  const { url, db } = await expandedDatabase();
  const fingerprint = 'f'.repeat(64);
  const token = 't'.repeat(43);
  const [accountId, deviceId] = [randomUUID(), randomUUID()];
  await db`insert into account (id, name, display_name, instance_id) values (${accountId}, 'ada', 'Ada', ${east})`;
  await db`
    insert into device (id, account_id, token, platform, state, scep_challenge, identity_fingerprint)
    values (${deviceId}, ${accountId}, ${token}, 'apple', 'active', 'x', ${fingerprint})`;
  for (const [name, instance] of [
    ['mds-b', 'east'],
    ['mds-a', 'west'],
  ] as const) {
    await db.unsafe(release10.create, [randomUUID(), name, instance]);
  }
  const identifierOf = async (name: string) => {
    const [row] = await db`select srp_identifier as "srpIdentifier" from connection_service where name = ${name}`;
    return String(row?.['srpIdentifier']);
  };
  const [a, b] = [await identifierOf('mds-a'), await identifierOf('mds-b')];
  const named = async () =>
    (await answerRoutes(db, { nonce: 'n'.repeat(22), tokens: [], certificates: [fingerprint] }))[0]?.connectionServices;
  await contract(url);
  assert.deepEqual(await named(), [b]);
  assert.equal((await authorizeTunnels(db, a, [fingerprint])).get(fingerprint), 'not-served');
  await db.begin((tx) => updateConnectionService(tx, 'mds-a', { instances: ['east', 'west'] }));
  assert.deepEqual(await named(), [a, b]);
  assert.equal((await authorizeTunnels(db, a, [fingerprint])).get(fingerprint), 'allowed');
  assert.equal((await authorizeTunnels(db, b, [fingerprint])).get(fingerprint), 'allowed');
});
