/**
 * Who may fill the disk of a domain's database with what is in none of its tables: temporary tables, and large objects, which stay when
 * their session and their role are gone. PostgreSQL lets everybody do so who may log in, as the role of invited hosts may; no process of a
 * domain needs it.
 */
import type { Queryable } from '../connection.ts';
import { quoted } from './rights-in-force.ts';

/** For a superuser. */
export async function storageStatements(q: Queryable, database: string): Promise<string[]> {
  const functions = (await listStorageFunctions(q)).map(({ name }) => name).join(', ');
  return [
    `revoke temporary on database ${quoted(database)} from public`,
    `revoke execute on function ${functions} from public`,
  ];
}

/** A sentence each; empty when nobody may by default. */
export async function checkStorage(q: Queryable, database: string): Promise<string[]> {
  const functions = (await listStorageFunctions(q)).map(({ id }) => id);
  const [row] = await q<{ temporary: boolean; largeObjects: boolean }[]>`
    select exists (select from pg_database d cross join lateral aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
                    where d.datname = ${database} and a.grantee = 0 and a.privilege_type = 'TEMPORARY') as temporary,
           exists (select from pg_proc p cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                    where p.oid = any(${functions}) and a.grantee = 0) as "largeObjects"`;
  return [
    ...(row?.temporary ? ['Everybody may make temporary tables, and so fill the disk.'] : []),
    ...(row?.largeObjects ? ['Everybody may make large objects, and so fill the disk.'] : []),
  ];
}

/** Those that make one, or write into one, with their parameters. */
async function listStorageFunctions(q: Queryable): Promise<{ id: number; name: string }[]> {
  return await q<{ id: number; name: string }[]>`
    select oid as id, 'pg_catalog.' || oid::regprocedure as name from pg_proc
     where pronamespace = 'pg_catalog'::regnamespace and proname ~ '^(lo_creat|lo_create|lo_from_bytea|lo_put|lowrite)$' order by 2`;
}
