/** What the coordinator and operators of an upgrade change is recorded, and the time under a release without audit is marked. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createToken } from '../../access/administrator-tokens.ts';
import { markTimeWithoutAudit } from '../../access/audit/record.ts';
import type { Database } from '../../database/connection.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { startCoordinatorEndpoint } from '../../processes/coordinator/coordinator-endpoint-fixture.ts';
import { recordsChanges } from '../../registry/component-detail.ts';
import { finalizeByOperator, reverseByOperator, startUpgrade, writePlan } from '../operations/operator-actions.ts';
import { operator, scene, until } from './scene-fixture.ts';

interface Row {
  kind: string;
  actor: string | null;
  operation: string;
  changes: string[];
  detail: { from?: Record<string, string>; release?: string; since?: string | null };
}

const rowsOf = (db: Database) => db<Row[]>`
  select r.kind, r.actor, r.operation, r.detail,
         array(select distinct c.operation from audit_record c
                where c.transaction = r.transaction and c.kind = 'change' order by 1) as changes
    from audit_record r
   where r.kind in ('operation', 'marker')
   order by r.id`;

test('each step of the coordinator that changes the domain is recorded, with who ordered the upgrade', async () => {
  const it = await scene();
  await until(it, it.context('one'), ['soaking']);
  await it.db.begin((tx) => finalizeByOperator(tx, operator));
  await until(it, it.context('one'), ['done']);
  const rows = await rowsOf(it.db);
  const step = (name: string) => rows.find((row) => row.operation === `upgrade step ${name}`);
  assert.deepEqual(step('fence')?.changes, ['update domain', 'update upgrade']);
  assert.deepEqual([step('fence')?.actor, step('fence')?.detail.from?.['onOrderOf']], ['coordinator', 'tester']);
  assert.ok(step('start-wave')?.changes.includes('insert move_batch'));
  assert.ok(step('raise')?.changes.includes('update domain'));
  // A step that only notes how far it is leaves nothing: the coordinator looks four times a second.
  assert.deepEqual(
    rows.filter((row) => row.kind === 'operation' && row.changes.length === 0),
    [],
  );
  const unrecorded = await it.db`
    select operation, detail from audit_record
     where kind = 'unrecorded' and detail->>'application' not like 'bramble/test'`;
  assert.deepEqual([...unrecorded], []);
});

test('a release without audit is marked when the domain comes back from it, and one with audit is not', async () => {
  const it = await scene();
  // As services of 1.1 register: their row does not say that they record.
  await until(it, it.context('one'), ['admin-upgraded']);
  const marks = async () =>
    (await rowsOf(it.db)).filter((row) => row.kind === 'marker').map((row) => row.detail.release);
  assert.deepEqual(await marks(), ['1.0.0']);

  await it.db.begin((tx) => reverseByOperator(tx, operator));
  await until(it, it.context('one'), ['reversed']);
  await it.db`insert into account_group (id, name, rank) values (gen_random_uuid(), 'meanwhile', 1)`;
  const order = {
    ...operator,
    target: { release: '1.1.0', features: [], differences: [] },
    host: 'here',
    features: [],
    platforms: registeredPlatforms,
  };
  await it.db.begin((tx) => writePlan(tx, { ...order, options: { soakSeconds: 0, fenceGraceMs: 0 } }));
  await it.db.begin((tx) => startUpgrade(tx, { ...operator, host: 'here' }));
  await until(it, it.context('one'), ['admin-upgraded']);
  assert.deepEqual(await marks(), ['1.0.0', '1.0.0']);
  const marker = (await rowsOf(it.db)).findLast((row) => row.kind === 'marker');
  assert.ok(marker?.detail.since, 'since the last thing that was recorded');
  const traces = await it.db`select 1 from audit_record where kind = 'unrecorded' and 'meanwhile' = any(subjects)`;
  assert.equal(traces.length, 1);

  await it.db`
    update component set release = '1.2.0', detail = ${it.db.json({ [recordsChanges]: true })} where kind = 'administration'`;
  await it.db.begin((tx) => markTimeWithoutAudit(tx, '1.2.0'));
  assert.equal((await marks()).length, 2);
});

test('what an operator tells the coordinator is recorded with the token’s name and the request id', async () => {
  const it = await scene();
  await until(it, it.context('one'), ['moving']);
  const endpoint = await startCoordinatorEndpoint(it.db);
  after(async () => await endpoint.close());
  const token = await createToken(it.db, 'operator-1');
  const answer = await fetch(`${endpoint.url}/api/v1/upgrade/pause`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
  });
  assert.equal(answer.status, 200);
  const [row] = await it.db`
    select actor, request_id as "requestId" from audit_record where operation = 'POST /upgrade/pause'`;
  assert.deepEqual({ ...row }, { actor: 'operator-1', requestId: answer.headers.get('x-request-id') });
});
