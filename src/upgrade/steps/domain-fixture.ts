/**
 * Rows that tests of the upgrade start from: a domain (of 1.0.0 unless said otherwise) with instances, accounts and
 * components, by plain SQL.
 */
import { randomUUID } from 'node:crypto';
import type { Queryable } from '../../database/connection.ts';
import { hasTable } from '../../database/has-table.ts';
import { insertDomain } from '../../domain/domain.ts';
import { declareRange } from '../../registry/components.ts';

export async function insertTestDomain(
  q: Queryable,
  { release = '1.0.0', schemaVersion = 6 }: { release?: string; schemaVersion?: number } = {},
): Promise<void> {
  await insertDomain(q, {
    domainId: randomUUID(),
    name: 'test',
    publicUrl: 'https://localhost:1',
    tunnelHost: 'tunnel.localhost',
    wakeChannel: 'com.example.push',
    release,
    schemaVersion,
  });
  await declareRange(q, release);
}

interface TestInstance {
  id: string;
  name: string;
  accounts: string[];
}

/** An instance with a connection service, both wanted and registered as of `release`, and accounts `<name>-0`… */
export async function insertTestInstance(
  q: Queryable,
  instance: { name: string; accounts: number; release?: string; host?: string },
): Promise<TestInstance> {
  const { name } = instance;
  const [row] = await q<{ id: string }[]>`
    insert into instance (id, name, srp_identifier)
    values (${randomUUID()}, ${name}, 'S' || lpad(nextval('srp_number')::text, 8, '0')) returning id`;
  const id = row?.id ?? '';
  await insertTestConnectionService(q, `${name}-mds`, id);
  const { release = '1.0.0', host = 'here' } = instance;
  await insertTestProcess(q, { name, kind: 'server', release, host });
  await insertTestProcess(q, { name: `${name}-mds`, kind: 'connection', release, host });
  const accounts = Array.from({ length: instance.accounts }, (_, index) => `${name}-${index}`);
  await q`
    with made as (
      insert into account (id, name, display_name, instance_id)
      select gen_random_uuid(), n, n, ${id} from unnest(${accounts}::text[]) as n returning id, epoch, instance_id)
    insert into account_epoch (account_id, epoch, instance_id) select id, epoch, instance_id from made`;
  return { id, name, accounts };
}

/** Another account, at the instance of this name. */
export async function insertTestAccount(q: Queryable, name: string, instance: string): Promise<void> {
  await q`
    with made as (
      insert into account (id, name, display_name, instance_id)
      select gen_random_uuid(), ${name}, ${name}, id from instance where name = ${instance} returning id, epoch, instance_id)
    insert into account_epoch (account_id, epoch, instance_id) select id, epoch, instance_id from made`;
}

/** By the column where there is one, as 1.0 does, and by the relation on a contracted schema. */
async function insertTestConnectionService(q: Queryable, name: string, instanceId: string): Promise<void> {
  const [service] = await q<{ id: string }[]>`
    insert into connection_service (id, name, srp_identifier)
    values (${randomUUID()}, ${name}, 'C' || lpad(nextval('srp_number')::text, 8, '0')) returning id`;
  const id = service?.id ?? '';
  const [column] = await q`
    select 1 from information_schema.columns where table_name = 'connection_service' and column_name = 'instance_id'`;
  if (column) await q`update connection_service set instance_id = ${instanceId} where id = ${id}`;
  else
    await q`insert into connection_service_instance (connection_service_id, instance_id) values (${id}, ${instanceId})`;
}

/** A desired process, registered as alive. */
export async function insertTestProcess(
  q: Queryable,
  process: { name: string; kind: string; release: string; host?: string },
): Promise<void> {
  const { name, kind, release, host = 'here' } = process;
  await q`
    insert into desired_process (name, kind, host, release, state, settings)
    values (${name}, ${kind}, ${host}, ${release}, 'running', '{}')`;
  await reportTestProcess(q, process);
}

/** What the process itself would do at its start: register with a long lease. */
async function reportTestProcess(
  q: Queryable,
  process: { name: string; kind: string; release: string; host?: string; features?: string[] },
): Promise<void> {
  const isLinked = process.kind === 'server' || process.kind === 'connection';
  await q`
    insert into component (name, kind, host, boot_id, process_id, release, link_versions, features, detail, lease_until)
    values (${process.name}, ${process.kind}, ${process.host ?? 'here'}, 'boot', 1, ${process.release}, '{1}', ${process.features ?? []},
            ${isLinked ? q.json({ links: [{ router: 'router:3101', up: true, reconnects: 0 }] }) : q.json({})},
            now() + interval '1 hour')
    on conflict (name) do update set release = excluded.release, features = excluded.features, detail = excluded.detail,
       lease_until = excluded.lease_until, stopped_at = null`;
}

/**
 * Plays the supervisors and processes: whatever is wanted running registers with the wanted release, whatever is not
 * says goodbye; but for coordinators, which tests start themselves. Returns how many rows it changed.
 */
export async function superviseOnce(q: Queryable): Promise<number> {
  const started = await q<{ name: string; kind: string; release: string }[]>`
    select d.name, d.kind, d.release from desired_process d left join component c on c.name = d.name
     where d.state = 'running' and d.kind <> 'coordinator'
       and (c.name is null or c.release <> d.release or c.stopped_at is not null)`;
  for (const process of started) await reportTestProcess(q, process);
  const { count } = await q`
    update component c set stopped_at = now()
     where c.stopped_at is null and c.kind <> 'coordinator' and not exists (
       select 1 from desired_process d where d.name = c.name and d.state = 'running')`;
  if (await hasTable(q, 'supervisor')) await reportTestSupervisors(q);
  return started.length + count;
}

/** Of every host a supervisor of the latest release that is wanted there, but where a test has put another one. */
async function reportTestSupervisors(q: Queryable): Promise<void> {
  await q`
    insert into supervisor (host, release, process_id, node_version, postgres_server)
    select host, max(release), 1, 'v26.0.0', '18.4' from desired_process where state = 'running' group by host
    on conflict (host) do update set release = excluded.release, seen_at = now() where supervisor.process_id = 1`;
}
