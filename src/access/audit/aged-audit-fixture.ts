/** For tests: an audit with old records, sealed as long ago. */
import type { Database } from '../../database/connection.ts';
import { until } from '../../testing/condition.ts';
import { freshMemory, readHead, sealRound } from './sealer.ts';

/** As a superuser rewriting history would. */
export async function tamper(db: Database, ...statements: readonly string[]): Promise<void> {
  const tables = ['audit_record', 'audit_seal', 'audit_cut', 'event'];
  await db.begin(async (tx) => {
    for (const table of tables) await tx.unsafe(`alter table ${table} disable trigger user`);
    for (const statement of statements) await tx.unsafe(statement);
    for (const table of tables) await tx.unsafe(`alter table ${table} enable trigger user`);
  });
}

/** Writes so many records of that many days ago, and seals them with all that is there. */
export async function addAgedRecords(db: Database, count: number, daysAgo: number): Promise<void> {
  const at = `now() - interval '${daysAgo} days'`;
  const { number: before } = await readHead(db);
  await tamper(
    db,
    `insert into audit_record (kind, operation, actor, subjects, at)
     select 'operation', 'PUT /budget', 'ada', array['aged-' || n], ${at} from generate_series(1, ${count}) n`,
    `update audit_record r set at = ${at} where not exists (select from audit_seal s where s.record_id = r.id)`,
  );
  const memory = freshMemory();
  await until('all is sealed', 240_000, async () => {
    await sealRound(db, memory, { limit: 100_000, wait: true });
    const [row] = await db<{ left: boolean }[]>`
      select exists (select from audit_record r where not exists (
        select from audit_seal s where s.record_id = r.id)) as left`;
    return row?.left === false;
  });
  await tamper(db, `update audit_seal set sealed_at = ${at} where number > ${before}`);
}
