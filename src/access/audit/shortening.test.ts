/** The audit is shortened by a cut, and stays verifiable; nothing else removes anything. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isBrambleError } from '../../base/errors.ts';
import { type Database, openDatabase } from '../../database/connection.ts';
import { createTestDatabase, stopOwnCluster, useOwnCluster } from '../../database/database-fixture.ts';
import { seedDomain } from '../../devices/device-fixture.ts';
import { until } from '../../testing/condition.ts';
import { addAgedRecords, tamper } from './aged-audit-fixture.ts';
import type { Cut } from './cut.ts';
import { exportAudit, verifyExport } from './export.ts';
import { fingerprintOf, type HeadFile, openHeadFile } from './head-file.ts';
import { freshMemory, readHead, runSealer, sealRound } from './sealer.ts';
import { cutAudit, findCutPlace, keepCut, oldestSealAt, removeCutRecords, unremovedCut } from './shortening.ts';
import { verifyAudit } from './verification.ts';

// Records are sealed once no transaction of the whole cluster is older.
useOwnCluster();
after(stopOwnCluster);

const dayMs = 86_400_000;
const daysAgo = (days: number) => new Date(Date.now() - days * dayMs);

/** Two records of 100 days ago and 20 of 50 days ago, 3 of today, and a kept head. */
async function scene(): Promise<{ db: Database; home: string; file: HeadFile; old: number; all: number }> {
  const database = await createTestDatabase();
  const db = openDatabase(database.url, { applicationName: 'bramble/test', max: 4 });
  const home = await mkdtemp(join(tmpdir(), 'bramble-cut-'));
  after(async () => {
    await db.end({ timeout: 5 });
    await rm(home, { recursive: true, force: true });
  });
  await seedDomain(db);
  await addAgedRecords(db, 2, 100);
  const { number: old } = await readHead(db);
  await addAgedRecords(db, 20, 50);
  await addAgedRecords(db, 3, 0);
  const file = await openHeadFile(home);
  const head = await readHead(db);
  await file.append(file.sign(head, new Date()));
  return { db, home, file, old, all: head.number };
}

/** Cuts what was sealed before, and removes it in batches of seven. */
async function shorten(db: Database, file: HeadFile, before: Date): Promise<Cut> {
  const place = await findCutPlace(db, before);
  assert.ok(place);
  const cut = await db.begin((tx) => cutAudit(tx, file, { place, by: 'ada', exportSha256: null }));
  await keepCut(file, cut);
  await remove(db, cut);
  return cut;
}

async function remove(db: Database, cut: Cut): Promise<void> {
  while ((await db.begin((tx) => removeCutRecords(tx, cut, 7))) > 0);
}

const verified = async (db: Database, file: HeadFile, trusted?: string) => {
  const { faults, findings, sealed, cut } = await verifyAudit(db, file, trusted);
  assert.equal(findings.length, faults);
  return { findings: findings.map(({ kind }) => kind), sealed, begins: cut?.number ?? 0 };
};
const numbers = async (db: Database) =>
  (await db<{ number: number }[]>`select number::int as number from audit_seal order by 1`).map((row) => row.number);

test('what a cut covers is removed with its seals, and the rest is verified from there on with the kept head', async () => {
  const { db, home, file, old, all } = await scene();
  const cut = await shorten(db, file, daysAgo(40));
  assert.deepEqual([cut.after, cut.number, cut.by], [0, old + 20, 'ada']);
  await sealRound(db, freshMemory(), { wait: true });
  const whole = await verified(db, file);
  // The three of today, and the cut's own record.
  assert.deepEqual(whole, { findings: [], sealed: all + 1, begins: cut.number });
  assert.deepEqual(await numbers(db), [all - 2, all - 1, all, all + 1]);
  const [record] = await db`select detail from audit_record where operation = 'insert audit_cut'`;
  assert.deepEqual(
    [record?.['detail'].changes[0].number, record?.['detail'].changes[0].chain],
    [cut.number, cut.chain],
  );
  assert.ok((await readFile(join(home, 'audit', 'heads.jsonl'), 'utf8')).includes(JSON.stringify({ cut })));
  assert.equal((await db`select from audit_record where 'aged-1' = any(subjects)`).length, 1);
});

test('a second cut goes on from the first, and the oldest record moves with it', async () => {
  const { db, file, old, all } = await scene();
  const first = await shorten(db, file, daysAgo(60));
  assert.deepEqual([first.after, first.number], [0, old]);
  assert.equal(Math.round((Date.now() - ((await oldestSealAt(db))?.getTime() ?? 0)) / dayMs), 50);
  const second = await shorten(db, file, daysAgo(40));
  assert.deepEqual([second.after, second.number], [old, old + 20]);
  assert.equal(await findCutPlace(db, daysAgo(40)), undefined);
  await sealRound(db, freshMemory(), { wait: true });
  assert.deepEqual(await verified(db, file), { findings: [], sealed: all + 2, begins: old + 20 });
});

test('between the cut and the last batch, and after a death in between, the audit is as intact', async () => {
  const { db, file, old } = await scene();
  const place = await findCutPlace(db, daysAgo(40));
  assert.ok(place);
  const cut = await db.begin((tx) => cutAudit(tx, file, { place, by: 'ada', exportSha256: null }));
  assert.deepEqual((await verified(db, file)).findings, []);
  assert.equal(await file.hasLine({ cut }), false);
  // Another service finds what the first one left: the line, and the records.
  assert.deepEqual(await unremovedCut(db), cut);
  await keepCut(file, cut);
  await keepCut(file, cut);
  assert.equal(await file.hasLine({ cut }), true);
  await assert.rejects(
    db.begin(async (tx) => {
      assert.equal(await removeCutRecords(tx, cut, 7), 7);
      throw new Error('killed');
    }),
  );
  assert.equal(await db.begin((tx) => removeCutRecords(tx, cut, 7)), 7);
  const left = await verified(db, file);
  assert.deepEqual([left.findings, left.begins], [[], old + 20]);
  await remove(db, cut);
  assert.equal(await unremovedCut(db), undefined);
});

test('what no cut covers, what is young and the last record are not removed, whoever tries', async () => {
  const { db, file, all } = await scene();
  const refused = (statement: string) => assert.rejects(db.unsafe(statement), /append-only/, statement);
  await refused('delete from audit_record where id = (select record_id from audit_seal where number = 1)');
  await refused('delete from audit_seal where number = 1');
  const chainOf = async (number: number) =>
    (await db`select encode(chain, 'hex') as chain from audit_seal where number = ${number}`)[0]?.['chain'] as string;
  const cutAt = async (number: number, chain: string) =>
    await db.begin((tx) => cutAudit(tx, file, { place: { number, chain }, by: 'ada', exportSha256: null }));
  const isRefused = (error: unknown) => isBrambleError(error, 'ERR_AUDIT_CUT');
  await assert.rejects(cutAt(all - 1, await chainOf(all - 1)), isRefused);
  await assert.rejects(cutAt(2, await chainOf(1)), isRefused);

  // A cut that was written into the table by hand reaches no further than the triggers let it.
  const cut = await cutAt(2, await chainOf(2));
  await db`
    insert into audit_cut (number, chain, after, last_at, at, by, public_key_pem, signature)
    select ${all}, chain, 2, now(), now(), 'mallory', 'x', '' from audit_seal where number = ${all}`;
  await refused(`delete from audit_record where id = (select record_id from audit_seal where number = ${all})`);
  await refused('delete from audit_seal where number = 1');
  await tamper(
    db,
    "update audit_record set at = at - interval '90 days'",
    "update audit_seal set sealed_at = now() - interval '90 days'",
  );
  await db.unsafe('delete from audit_record where id in (select record_id from audit_seal)');
  await refused(`delete from audit_seal where number = ${all}`);
  await refused(`delete from audit_cut`);
  await refused(`update audit_cut set number = 1 where number = ${cut.number}`);
});

test('a cut that was forged, changed or made in another home is a fault; the other home’s key can be trusted', async () => {
  const { db, file } = await scene();
  const cut = await shorten(db, file, daysAgo(40));
  const other = await openHeadFile(await mkdtemp(join(tmpdir(), 'bramble-cut-')));
  assert.deepEqual((await verified(db, other)).findings, ['cut']);
  assert.deepEqual((await verified(db, other, fingerprintOf(file.publicKeyPem))).findings, []);
  for (const change of ["by = 'nobody'", 'after = 1', "at = '2020-01-01'", `export_sha256 = '${'0'.repeat(64)}'`]) {
    const [column = ''] = change.split(' ');
    await tamper(db, `create table was as select * from audit_cut; update audit_cut set ${change}`);
    assert.deepEqual((await verified(db, file)).findings, ['cut'], change);
    await tamper(db, `update audit_cut set ${column} = was.${column} from was; drop table was`);
  }
  assert.deepEqual((await verified(db, file)).findings, []);
  // Another head, even signed: the chain does not go on from it.
  await tamper(db, `update audit_cut set chain = '\\x${'ab'.repeat(32)}' where number = ${cut.number}`);
  assert.deepEqual((await verified(db, file)).findings, ['broken', 'cut']);
  await tamper(db, 'delete from audit_cut');
  assert.deepEqual((await verified(db, file)).findings, ['gap']);
});

test('a sealer whose kept head was cut off goes on, and keeps heads again', async (t) => {
  const { db, home, file } = await scene();
  const [early] = await db<{ chain: string }[]>`select encode(chain, 'hex') as chain from audit_seal where number = 2`;
  await rm(join(home, 'audit', 'heads.jsonl'));
  await file.append(file.sign({ number: 2, chain: early?.chain ?? '' }, daysAgo(50)));
  await shorten(db, file, daysAgo(40));
  const stopping = new AbortController();
  t.after(() => stopping.abort());
  const log = { warn: () => {}, error: () => {} };
  const running = runSealer({ db, home, log, signal: stopping.signal, intervalMs: 5 });
  await until('the head is kept', 240_000, async () => ((await file.last())?.number ?? 0) > 2);
  stopping.abort();
  await running;
  assert.deepEqual(await db`select from event where kind = 'audit-contradicted'`.then((rows) => rows.length), 0);
  assert.deepEqual((await verified(db, file)).findings, []);
});

test('an export ends at a number, and begins where the audit does; it is verified with its cut', async () => {
  const { db, file, old, all } = await scene();
  const exported = async (part: { after?: number; upTo?: number } = {}) => {
    let text = '';
    for await (const lines of exportAudit(db, file, part)) text += lines;
    return text.split('\n');
  };
  const check = (lines: string[], trusted?: string) =>
    verifyExport(
      (async function* () {
        yield* lines;
      })(),
      '',
      trusted,
    );
  const beginning = await check(await exported({ upTo: old + 20 }));
  assert.deepEqual([beginning.faults, beginning.sealed, beginning.after], [0, old + 20, 0]);
  const cut = await shorten(db, file, daysAgo(40));
  assert.equal(beginning.chain, cut.chain);
  const rest = await exported();
  const whole = await check(rest);
  assert.deepEqual([whole.faults, whole.after, whole.sealed, whole.cut?.by], [0, old + 20, all, 'ada']);
  const forged = await check(rest.with(0, (rest[0] ?? '').replace('"by":"ada"', '"by":"bob"')));
  assert.deepEqual(
    forged.findings.map(({ kind }) => kind),
    ['cut'],
  );
  await assert.rejects(exported({ after: 3 }), (error) => isBrambleError(error, 'ERR_NOT_FOUND'));
  assert.equal((await check(await exported({ after: old + 21 }))).faults, 0);
});

test('a sealer that remembers nothing seals no record again, and goes on behind the cut', async () => {
  const { db, file, all } = await scene();
  await shorten(db, file, daysAgo(40));
  const rounds = freshMemory();
  await until('the cut’s record is sealed', 240_000, async () => {
    await sealRound(db, rounds, { wait: true });
    return (await readHead(db)).number > all;
  });
  assert.deepEqual(await numbers(db), [all - 2, all - 1, all, all + 1]);
});
