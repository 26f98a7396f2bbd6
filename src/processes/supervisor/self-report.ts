/**
 * The supervisor's row in the database: its release, and what it runs on. For `bramble status`, and for finalizing,
 * which waits while supervisors of the previous release remain.
 */
import type { Sql } from '../../database/session.ts';

export interface SelfReport {
  host: string;
  release: string;
  /** What the embedded PostgreSQL would be started from; null with an external one. */
  postgresBinaries: string | null;
}

/** Minimum between two reports. Until 1.2 has expanded the database, it is tried with each look. */
export const reportEveryMs = 10_000;

export async function reportSelf(sql: Sql, { host, release, postgresBinaries }: SelfReport): Promise<void> {
  await sql`
    insert into supervisor (host, release, process_id, node_version, postgres_binaries, postgres_server)
    values (${host}, ${release}, ${process.pid}, ${process.version}, ${postgresBinaries}, current_setting('server_version'))
    on conflict (host) do update
       set release = excluded.release, process_id = excluded.process_id, node_version = excluded.node_version,
           postgres_binaries = excluded.postgres_binaries, postgres_server = excluded.postgres_server, seen_at = now(),
           started_at = case when supervisor.process_id = excluded.process_id and supervisor.release = excluded.release
                             then supervisor.started_at else now() end`;
}
