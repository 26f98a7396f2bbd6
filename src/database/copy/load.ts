/**
 * Fills a database that has the schema already, by COPY, in one transaction: it holds everything afterwards, or what it
 * held before. Triggers of ours are off meanwhile, as the rows are to be what they were and not recorded as changes;
 * constraints hold, so tables are given parents first. Needs the tables' owner, not a superuser. Whatever fails ends the
 * session, and with it the transaction.
 */
import { BrambleError } from '../../base/errors.ts';
import { quoted } from '../roles/rights-in-force.ts';
import { openSession } from '../session.ts';
import { copyIn } from './copy-stream.ts';
import { columnsOf, listTables, type SequenceValue, type Table } from './tables.ts';

interface Load {
  /** Takes the pieces of one table. @throws BrambleError ERR_DATABASE for a table that the schema has not */
  table(table: Table, pieces: AsyncIterable<Buffer>): Promise<void>;
  sequences(values: readonly SequenceValue[]): Promise<void>;
}

/** Resolves once it is committed and the planner knows the tables. */
export async function loadDatabase(
  url: string,
  options: { applicationName: string; signal?: AbortSignal | undefined },
  work: (load: Load) => Promise<void>,
): Promise<void> {
  const { applicationName, signal } = options;
  const session = await openSession(url, { applicationName, ...(signal === undefined ? {} : { signal }) });
  try {
    await session.run(async (sql) => {
      // By hand: a transaction of the driver's rolls back on a connection that is gone, which ends the process.
      await sql.unsafe('begin');
      const tables = await listTables(sql);
      const known = new Set(tables.map((table) => table.name));
      const setTriggers = async (state: 'disable' | 'enable') => {
        for (const { name } of tables) await sql.unsafe(`alter table ${quoted(name)} ${state} trigger user`);
      };
      await setTriggers('disable');
      // Migrations put rows there themselves. In tables begun anew the rows lie in the order in which they come.
      await sql.unsafe(`truncate ${tables.map(({ name }) => quoted(name)).join(', ')}`);
      await work({
        table: async (table, pieces) => {
          if (!known.has(table.name)) {
            throw new BrambleError('ERR_DATABASE', `The schema has no table ${table.name} to copy rows into.`);
          }
          await copyIn(sql, `copy ${columnsOf(table)} from stdin`, pieces);
        },
        sequences: async (values) => {
          for (const { name, value, called } of values) {
            await sql`select setval(${quoted(name)}::regclass, ${value}::bigint, ${called})`;
          }
        },
      });
      await setTriggers('enable');
      await sql.unsafe('commit');
      await sql.unsafe('analyze');
    });
  } finally {
    session.close();
  }
}
