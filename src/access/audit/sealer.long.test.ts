import assert from 'node:assert/strict';
import { appendFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Database, openDatabase } from '../../database/connection.ts';
import { createTestDatabase, stopOwnCluster, useOwnCluster } from '../../database/database-fixture.ts';
import { until } from '../../testing/condition.ts';
import { listAudit } from './audit-list.ts';
import { exportAudit, verifyExport } from './export.ts';
import { openHeadFile } from './head-file.ts';
import { type Operation, recorded } from './record.ts';
import { freshMemory, readHead, runSealer, sealRound } from './sealer.ts';
import { verifyAudit } from './verification.ts';

const log = { warn: () => {}, error: () => {} };
// What the sealer considers settled depends on the open transactions of the whole cluster.
useOwnCluster();
after(stopOwnCluster);

async function scene(): Promise<{ db: Database; home: string }> {
  const database = await createTestDatabase();
  const db = openDatabase(database.url, { applicationName: 'bramble/test', max: 6 });
  const home = await mkdtemp(join(tmpdir(), 'bramble-audit-'));
  after(async () => {
    await db.end({ timeout: 5 });
    await rm(home, { recursive: true, force: true });
  });
  return { db, home };
}

const operation: Operation = {
  actor: 'tester',
  operation: 'POST /groups',
  subjects: [],
  from: { component: 'test' },
  when: 'wrote',
};
let rank = 0;
/** A change with its operation: two records. */
const change = (db: Database) =>
  db.begin((tx) =>
    recorded(tx, operation, async () => {
      rank++;
      await tx`insert into account_group (id, name, rank) values (gen_random_uuid(), ${`group-${rank}`}, ${rank})`;
    }),
  );

/** Other tests of the same cluster hold transactions open too: rounds until so many records are sealed. */
async function sealedUpTo(db: Database, number: number, limit = 500): Promise<void> {
  const memory = freshMemory();
  const failures: unknown[] = [];
  await until(`${number} records are sealed`, 240_000, async () => {
    if ((await readHead(db)).number >= number) return true;
    await sealRound(db, memory, { limit }).catch((error: unknown) => failures.push(error));
    return failures.length > 0;
  });
  if (failures.length > 0) throw failures[0];
}

/** As a superuser rewriting history would. */
const tamper = (db: Database, table: string, statement: string) =>
  db.begin(async (tx) => {
    await tx.unsafe(`alter table ${table} disable trigger user`);
    await tx.unsafe(statement);
    await tx.unsafe(`alter table ${table} enable trigger user`);
  });

const kindsOf = (verification: { findings: { kind: string; number: number | null }[] }) =>
  verification.findings.map(({ kind, number }) => [kind, number]);

test('records cannot be changed, deleted or emptied, and neither can seals', async () => {
  const { db } = await scene();
  await change(db);
  await sealedUpTo(db, 2);
  for (const table of ['audit_record', 'audit_seal']) {
    await assert.rejects(
      db.unsafe(`update ${table} set ${table === 'audit_seal' ? 'number = 9' : "actor = 'x'"}`),
      /append-only/,
    );
    await assert.rejects(db.unsafe(`delete from ${table}`), /append-only/);
    await assert.rejects(db.unsafe(`truncate ${table}`), /append-only/);
  }
});

test('a transaction that stays open keeps what began after it from being sealed before it', async (t) => {
  const { db, home } = await scene();
  const opened = Promise.withResolvers<void>();
  const close = Promise.withResolvers<void>();
  t.after(() => close.resolve());
  const early = db.begin(async (tx) => {
    await tx`insert into account_group (id, name, rank) values (gen_random_uuid(), 'early', 900001)`;
    opened.resolve();
    await close.promise;
  });
  await opened.promise;
  await change(db);
  const memory = freshMemory();
  for (let round = 0; round < 5; round++) {
    const outcome = await sealRound(db, memory);
    assert.equal(outcome.kind === 'sealed' ? outcome.count : outcome.kind, 0);
  }
  const during = await verifyAudit(db, await openHeadFile(home));
  assert.deepEqual([during.faults, during.pending, during.sealed], [0, 2, 0]);
  close.resolve();
  await early;
  // With the same memory: nothing that it takes for settled was.
  await until('three records are sealed', 240_000, async () => {
    if ((await readHead(db)).number >= 3) return true;
    await sealRound(db, memory);
    return false;
  });
  const order =
    await db`select r.subjects from audit_seal s join audit_record r on r.id = s.record_id order by s.number`;
  assert.deepEqual(order[0]?.['subjects'], ['early']);
});

test('what the sealer takes for settled is what no open transaction can still add to', async (t) => {
  const { db } = await scene();
  const memory = freshMemory();
  await change(db);
  const opened = Promise.withResolvers<void>();
  const close = Promise.withResolvers<void>();
  t.after(() => close.resolve());
  const open = db.begin(async (tx) => {
    await tx`insert into account_group (id, name, rank) values (gen_random_uuid(), 'open', 900002)`;
    opened.resolve();
    await close.promise;
  });
  await opened.promise;
  const [drawn] = await db<{ id: string }[]>`select (max(id) + 1)::text as id from audit_record`;
  await change(db);
  for (let round = 0; round < 10; round++) await sealRound(db, memory);
  assert.ok(BigInt(memory.sealedUpTo) < BigInt(drawn?.id ?? 0), `${memory.sealedUpTo} is past the open ${drawn?.id}`);
  close.resolve();
  await open;
  await until('the drawn number is passed', 240_000, async () => {
    if (BigInt(memory.sealedUpTo) >= BigInt(drawn?.id ?? 0)) return true;
    await sealRound(db, memory);
    return false;
  });
  assert.equal((await readHead(db)).number, 5);
});

test('a sealer that dies between two rows leaves none of its round, and the next one goes on', async () => {
  const { db, home } = await scene();
  for (let count = 0; count < 3; count++) await change(db);
  await sealedUpTo(db, 2, 2);
  await db.unsafe(`
    create function killed() returns trigger language plpgsql as $$
    begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$;
    create trigger killed before insert on audit_seal for each row when (new.number = 4) execute function killed()`);
  await assert.rejects(sealedUpTo(db, 6));
  assert.equal((await readHead(db)).number, 2);
  await db.unsafe('drop trigger killed on audit_seal');
  await sealedUpTo(db, 6);
  const whole = await verifyAudit(db, await openHeadFile(home));
  assert.deepEqual([whole.faults, whole.sealed], [0, 6]);
});

test('sealers at the same time make one chain', async () => {
  const { db, home } = await scene();
  await Promise.all(
    Array.from({ length: 4 }, async (_, writer) => {
      for (let count = 0; count < 5; count++) await change(db);
      if (writer < 3) await sealedUpTo(db, 30, 1 + writer);
    }),
  );
  await sealedUpTo(db, 40, 3);
  const whole = await verifyAudit(db, await openHeadFile(home));
  assert.deepEqual([whole.faults, whole.sealed], [0, 40]);
});

test('the head is signed and kept in the home; one that was not kept before a death is kept by the next sealer', async (t) => {
  const { db, home } = await scene();
  await change(db);
  await sealedUpTo(db, 2);
  const file = await openHeadFile(home);
  assert.equal((await stat(join(home, 'keys', 'audit.json'))).mode & 0o777, 0o600);
  assert.deepEqual(await file.read(), []);
  const stopping = new AbortController();
  t.after(() => stopping.abort());
  const running = runSealer({ db, home, log, signal: stopping.signal, intervalMs: 5 });
  await until('the head is kept', 240_000, async () => (await file.read()).length > 0);
  stopping.abort();
  await running;
  const [kept] = await file.read();
  assert.equal(kept?.number, 2);
  const whole = await verifyAudit(db, file);
  assert.deepEqual([whole.faults, whole.heads], [0, 1]);
});

test('what was changed, exchanged, deleted or taken out of the chain is named where it is', async () => {
  const { db, home } = await scene();
  for (let count = 0; count < 3; count++) await change(db);
  await sealedUpTo(db, 6);
  const file = await openHeadFile(home);
  await file.append(file.sign(await readHead(db), new Date()));
  const idOf = (number: number) => `(select record_id from audit_seal where number = ${number})`;
  const verified = async () => kindsOf(await verifyAudit(db, file));
  assert.deepEqual(await verified(), []);

  await tamper(db, 'audit_record', `update audit_record set actor = 'nobody' where id = ${idOf(2)}`);
  assert.deepEqual(await verified(), [['changed', 2]]);
  await tamper(db, 'audit_record', `update audit_record set actor = 'tester' where id = ${idOf(2)}`);
  assert.deepEqual(await verified(), []);

  const swap = `
    update audit_record r
       set operation = o.operation, kind = o.kind, actor = o.actor, subjects = o.subjects, detail = o.detail,
           transaction = o.transaction, at = o.at
      from audit_record o
     where r.id in (${idOf(4)}, ${idOf(6)}) and o.id in (${idOf(4)}, ${idOf(6)}) and o.id <> r.id`;
  // The text holds the id: what took another one's place is not what was sealed there.
  await tamper(db, 'audit_record', swap);
  assert.deepEqual(await verified(), [
    ['changed', 4],
    ['changed', 6],
  ]);
  await tamper(db, 'audit_record', swap);
  assert.deepEqual(await verified(), []);

  await tamper(db, 'audit_record', `delete from audit_record where id = ${idOf(5)}`);
  assert.deepEqual(await verified(), [['missing', 5]]);
  await tamper(db, 'audit_seal', 'delete from audit_seal where number = 5');
  assert.deepEqual(await verified(), [['gap', 5]]);
});

test('seals that were exchanged are named as records in another one’s place', async () => {
  const { db, home } = await scene();
  for (let count = 0; count < 2; count++) await change(db);
  await sealedUpTo(db, 4);
  await tamper(
    db,
    'audit_seal',
    `create temporary table was on commit drop as select number, record_id from audit_seal where number in (2, 3);
     update audit_seal set record_id = -number where number in (2, 3);
     update audit_seal s set record_id = was.record_id from was where was.number in (2, 3) and s.number = 5 - was.number`,
  );
  assert.deepEqual(kindsOf(await verifyAudit(db, await openHeadFile(home))), [
    ['reordered', 2],
    ['reordered', 3],
  ]);
});

test('a record that is kept from the sealer is named', async () => {
  const { db, home } = await scene();
  await change(db);
  await db.unsafe(`
    create function hidden() returns trigger language plpgsql as $$ begin return null; end $$;
    create trigger hidden before insert on audit_seal for each row when (new.number = 2) execute function hidden()`);
  await sealedUpTo(db, 1);
  const unsealed = async () => kindsOf(await verifyAudit(db, await openHeadFile(home)));
  await until('the record counts as unsealed', 240_000, async () => (await unsealed()).length > 0);
  assert.deepEqual(await unsealed(), [['unsealed', null]]);
});

test('records that came in a dump, with transactions that this cluster has not had yet, are sealed', async () => {
  const { db } = await scene();
  await tamper(
    db,
    'audit_record',
    `insert into audit_record (transaction, kind, operation) values ('9000000000000', 'marker', 'of another cluster')`,
  );
  await sealedUpTo(db, 1);
});

test('operations of a dump whose numbers the cluster gives out once more keep their own changes', async () => {
  const { db } = await scene();
  await change(db);
  const [own] = await db<{ transaction: string }[]>`select transaction::text as transaction from audit_record limit 1`;
  await tamper(
    db,
    'audit_record',
    `insert into audit_record (transaction, at, kind, actor, operation, subjects)
     select '${own?.transaction}', '2020-02-02', kind, 'earlier', operation, array['theirs'] from unnest(
       array['change', 'operation'], array['insert account_group', 'POST /groups']) as restored (kind, operation)`,
  );
  const shown = async (subject: string) =>
    (await listAudit(db, { subject, limit: 10 })).entries.map(({ actor, changes }) => [
      actor,
      changes.map((c) => c.subjects),
    ]);
  assert.deepEqual(await shown('theirs'), [['earlier', [['theirs']]]]);
  assert.deepEqual(await shown(`group-${rank}`), [['tester', [[`group-${rank}`]]]]);
});

test('an end that was cut off and sealed anew is found by the head outside, and no head is kept on top of it', async (t) => {
  const { db, home } = await scene();
  for (let count = 0; count < 2; count++) await change(db);
  await sealedUpTo(db, 4);
  const file = await openHeadFile(home);
  await file.append(file.sign(await readHead(db), new Date()));
  await tamper(db, 'audit_seal', 'delete from audit_seal where number > 2');
  await tamper(
    db,
    'audit_record',
    'delete from audit_record where id > (select record_id from audit_seal where number = 2)',
  );
  assert.deepEqual(kindsOf(await verifyAudit(db, file)), [['truncated', 4]]);

  for (let count = 0; count < 2; count++) await change(db);
  await sealedUpTo(db, 6);
  assert.deepEqual(kindsOf(await verifyAudit(db, file)), [['head', 4]]);
  const stopping = new AbortController();
  t.after(() => stopping.abort());
  const running = runSealer({ db, home, log, signal: stopping.signal, intervalMs: 5 });
  const told = () => db`select 1 from event where kind = 'audit-contradicted'`;
  await until('the contradiction is told', 240_000, async () => (await told()).length > 0);
  stopping.abort();
  await running;
  assert.equal((await file.read()).length, 1);
});

test('a head that somebody else signed is not believed, and a line that was cut off swallows none', async () => {
  const { db, home } = await scene();
  await change(db);
  await sealedUpTo(db, 2);
  const file = await openHeadFile(home);
  const head = file.sign(await readHead(db), new Date());
  await file.append({ ...head, number: 1 });
  await appendFile(join(home, 'audit', 'heads.jsonl'), JSON.stringify(head).slice(0, 60));
  await file.append(head);
  assert.equal((await file.read()).length, 2);
  assert.ok(kindsOf(await verifyAudit(db, file)).some(([kind, number]) => kind === 'signature' && number === 1));
});

test('the last head that was signed is found from the end, whatever stands behind and before it', async () => {
  const { home } = await scene();
  const file = await openHeadFile(home);
  assert.equal(await file.last(), undefined);
  const heads = Array.from({ length: 400 }, (_, number) =>
    file.sign({ number, chain: 'ab'.repeat(32) }, new Date(number * 1000)),
  );
  const path = join(home, 'audit', 'heads.jsonl');
  // Of several lengths, so that the ends of what is read at a time fall into lines, each in another place.
  const forged = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ ...heads[0], at: 'x'.repeat(index % 50), number: 10_000 + index }));
  for (const behind of [0, 1, 80, 800]) {
    const lines = [...heads, ...forged(behind)].map((head) => JSON.stringify(head));
    await mkdir(join(home, 'audit'), { recursive: true });
    await writeFile(path, `${lines.join('\n')}\n{"cut off`);
    assert.equal((await file.last())?.number, 399, `behind ${behind}`);
  }
  await writeFile(path, JSON.stringify(forged(300)));
  assert.equal(await file.last(), undefined);
});

test('an export is verified elsewhere by the same rules, from the beginning or from a number on', async () => {
  const { db, home } = await scene();
  await db`
    insert into domain (domain_id, name, public_url, tunnel_host, push_topic, release, schema_version, feature_level)
    values (gen_random_uuid(), 'test', 'https://127.0.0.1:1', 'tunnel.test', 'com.apple.mgmt.test', '1.2.0', 9, '1.2.0')`;
  for (let count = 0; count < 2; count++) await change(db);
  await sealedUpTo(db, 5);
  const file = await openHeadFile(home);
  await file.append(file.sign(await readHead(db), new Date()));
  const linesOf = async (after: number) => {
    let text = '';
    for await (const part of exportAudit(db, file, { after })) text += part;
    return text.split('\n');
  };
  const verified = (lines: string[], heads = '') =>
    verifyExport(
      (async function* () {
        yield* lines;
      })(),
      heads,
    );

  const lines = await linesOf(0);
  const heads = await readFile(join(home, 'audit', 'heads.jsonl'), 'utf8');
  const whole = await verified(lines, heads);
  assert.deepEqual([whole.faults, whole.sealed, whole.heads], [0, 5, 1]);
  assert.deepEqual((await verified(await linesOf(3), heads)).faults, 0);

  assert.deepEqual(kindsOf(await verified(lines.with(3, (lines[3] ?? '').replace('tester', 'nobody')))), [
    ['changed', 3],
  ]);
  assert.deepEqual(kindsOf(await verified(lines.toSpliced(3, 1))), [['gap', 3]]);
  assert.deepEqual(kindsOf(await verified(lines.slice(0, 5))), [['truncated', 4]]);
  await assert.rejects(verified(['{}']), /Line 1 is not part of an audit export/);
});
