/**
 * The desired state that supervisors carry out: which process of which release runs on which host. Writing notifies
 * them.
 */
import type { Queryable, Transaction } from '../database/connection.ts';
import type { ComponentKind } from './components.ts';

export interface DesiredProcess {
  name: string;
  kind: ComponentKind;
  host: string;
  release: string;
  state: 'running' | 'stopped';
  settings: Readonly<Record<string, unknown>>;
}

export async function listDesiredProcesses(q: Queryable): Promise<DesiredProcess[]> {
  return await q<DesiredProcess[]>`
    select name, kind, host, release, state, settings from desired_process order by name`;
}

/** Whether the process that has this SRP identifier is to run on the host. */
export async function isPlacedOn(q: Queryable, srpIdentifier: string, host: string): Promise<boolean> {
  const rows = await q`
    select 1 from desired_process where settings ->> 'srpIdentifier' = ${srpIdentifier} and host = ${host}`;
  return rows.length > 0;
}

/** Until the transaction ends, nobody else changes or removes one of this kind. */
export async function lockDesiredProcesses(tx: Transaction, kind: DesiredProcess['kind']): Promise<void> {
  await tx`select from desired_process where kind = ${kind} order by name for update`;
}

/** Inserts or updates the desired process. */
export async function setDesiredProcess(q: Queryable, wanted: DesiredProcess): Promise<void> {
  await q`
    insert into desired_process (name, kind, host, release, state, settings)
    values (${wanted.name}, ${wanted.kind}, ${wanted.host}, ${wanted.release}, ${wanted.state},
            ${q.json(wanted.settings as never)})
    on conflict (name) do update
       set release = excluded.release, state = excluded.state, settings = excluded.settings, host = excluded.host,
           changed_at = now()`;
}

/** Sets state or release of the named processes and returns how many there were. */
export async function changeDesiredProcesses(
  q: Queryable,
  names: readonly string[],
  change: { state?: 'running' | 'stopped'; release?: string },
): Promise<number> {
  const { count } = await q`
    update desired_process
       set state = coalesce(${change.state ?? null}, state), release = coalesce(${change.release ?? null}, release),
           changed_at = now()
     where name = any(${names as string[]})`;
  return count;
}

/** The coordinator of a finished upgrade is no longer wanted. */
export async function removeDesiredCoordinator(q: Queryable): Promise<void> {
  await q`delete from desired_process where kind = 'coordinator'`;
}
