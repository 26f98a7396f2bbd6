/** The facts behind the list of waits, read from the domain's rows and PostgreSQL's views. */

import type { UpgradeId } from '../../base/ids.ts';
import type { Queryable } from '../../database/connection.ts';
import { databaseTime } from '../../database/database-time.ts';
import { listSilent, listWaitingHolds } from '../../deliveries/delivery-waits.ts';
import { listSupervisors } from '../../registry/supervisors.ts';
import { moveStates } from '../../states/move-states.ts';
import { listHostsWithoutSupervisor } from '../components/hosts-without-supervisor.ts';
import { listInstancesBehind } from '../components/instances-behind.ts';
import { supervisorsToWaitFor } from '../components/supervisors-behind.ts';
import { listLockHolders } from '../fence/release-fence.ts';
import { readDecisionSince } from '../state/awaited-decision.ts';
import { finalDecision } from '../state/upgrade-states.ts';
import { hasReached } from '../state/upgrade-steps.ts';
import { readPauseCause, type Upgrade } from '../state/upgrade-store.ts';
import type { WaveMoves } from '../state/wave-accounts.ts';
import { acceptedBy, runningSince, soakingSince, type Wave } from '../state/wave-store.ts';
import type { AccountBehind, BlockingSession, Wait, WaitFacts, WaveFacts } from './wait.ts';
import { waitsOf } from './waits.ts';

interface CountedWave extends Pick<Wave, 'number' | 'name' | 'state' | 'startedAt' | 'soakingAt' | 'gate'> {
  readonly accounts: number;
  readonly settled: number;
  readonly moves: Pick<WaveMoves, 'outOfReach'>;
}

/** A transaction that is open for less is one of many that come and go. */
const inTheWayAfterSeconds = 2;

/** What the upgrade is waiting for now. Several statements: figures may be some milliseconds apart. */
export async function readWaits(
  q: Queryable,
  upgrade: Upgrade,
  { waves, lockedFeatures }: { waves: readonly CountedWave[]; lockedFeatures: readonly string[] },
): Promise<Wait[]> {
  const { options } = upgrade.plan;
  const wave = waves.find(({ state }) => state !== 'passed');
  const { absentUntil: absent } = upgrade.progress;
  const absentUntil = absent === undefined ? null : new Date(absent);
  const [
    now,
    missing,
    hostsWithoutSupervisor,
    supervisors,
    sessions,
    holds,
    silent,
    behind,
    pauseCause,
    open,
    decisionSince,
    withoutDevices,
  ] = await Promise.all([
    databaseTime(q),
    listMissing(q),
    listHostsWithoutSupervisor(q),
    listSupervisors(q),
    listBlockingSessions(q, upgrade),
    listWaitingHolds(q),
    listSilent(q),
    readBehind(q, upgrade),
    readPauseCause(q, upgrade),
    wave === undefined ? [] : listOpenAccounts(q, upgrade.id, wave.number),
    readDecisionSince(q, upgrade),
    wave?.state === 'soaking' ? listIfWithoutDevices(q, upgrade.id, wave.number) : [],
  ]);
  const checks = upgrade.progress.checks ?? [];
  return waitsOf({
    now,
    state: upgrade.state,
    toRelease: upgrade.toRelease,
    started: hasReached(upgrade.progress.step, 'started'),
    stoppedBy: checks.filter(({ result }) => result === 'error' || result === 'warning'),
    pauseReason: upgrade.pauseReason,
    pausedFrom: upgrade.pausedFrom,
    pauseCause,
    step: upgrade.progress.waitingFor ?? null,
    waitsForDecision: upgrade.progress.waitingFor === finalDecision,
    decisionSince,
    lockedFeatures,
    coordinator: { atWork: upgrade.leaseHeld, holder: upgrade.leaseHolder },
    updatedAt: upgrade.updatedAt,
    soakSeconds: options.soakSeconds,
    waveDeadlineSeconds: options.waveDeadlineSeconds,
    windows: options.windows,
    outOfReachRule: options,
    inPlace: upgrade.plan.inPlace,
    waves: waves.map((each) =>
      waveFacts({ ...each, absentUntil }, each === wave ? { open, withoutDevices } : { open: [], withoutDevices: [] }),
    ),
    behind,
    missing,
    hostsWithoutSupervisor,
    supervisorsBehind: supervisorsToWaitFor(supervisors, upgrade),
    sessions,
    holds,
    silent,
  });
}

function waveFacts(
  wave: CountedWave & Pick<Wave, 'absentUntil'>,
  named: Pick<WaveFacts, 'open' | 'withoutDevices'>,
): WaveFacts {
  const { number, name, state, startedAt, accounts, settled, moves, gate } = wave;
  const accepted = acceptedBy(wave) !== undefined;
  const gateLacks = !accepted && gate?.answer === 'undecided' ? (gate.reasons ?? []) : [];
  return {
    number,
    name,
    state,
    startedAt,
    runningSince: runningSince(wave),
    soakingAt: soakingSince(wave),
    accounts,
    settled,
    outOfReach: moves.outOfReach,
    ...named,
    gateLacks,
    accepted,
  };
}

/** While the waves go on, that is what they are for. */
async function readBehind(q: Queryable, { state, toRelease }: Upgrade): Promise<WaitFacts['behind']> {
  if (state !== 'soaking' && state !== 'finalizing') return { instances: [], accounts: [] };
  const instances = (await listInstancesBehind(q, toRelease)).filter(({ accounts }) => accounts > 0);
  if (instances.length === 0) return { instances, accounts: [] };
  const accounts = await q<AccountBehind[]>`
    select a.name as account, i.name as instance, m.batch_id as batch,
           case when m.state is null then 'none' when ${moveStates.in(q, 'closing', 'm')} then 'delivering'
                else 'queued' end as move
      from account a
      join instance i on i.id = a.instance_id
      left join account_move m on m.account_id = a.id and ${moveStates.notIn(q, 'ended', 'm')}
     where a.instance_id = any(${instances.map(({ id }) => id)}::uuid[])
     order by a.name limit 20`;
  return { instances, accounts };
}

/** Wanted, and not registered alive in the wanted release. A coordinator has a wait of its own. */
async function listMissing(q: Queryable): Promise<WaitFacts['missing']> {
  return await q<WaitFacts['missing'][number][]>`
    select p.name, p.host, p.release from desired_process p
     where p.state = 'running' and p.kind <> 'coordinator'
       and not exists (select 1 from component c
                        where c.name = p.name and c.release = p.release and c.stopped_at is null
                          and c.lease_until > clock_timestamp())
     order by p.host, p.name`;
}

/** Only in the states whose step takes locks: the fence the administration's, a migration those of tables. */
async function listBlockingSessions(q: Queryable, upgrade: Upgrade): Promise<BlockingSession[]> {
  if (upgrade.state === 'checked') {
    const holders = await listLockHolders(q);
    return holders.map(({ databaseProcessId, applicationName, transactionStart }) => ({
      ...{ pid: databaseProcessId, applicationName, address: null },
      ...{ since: transactionStart, tables: [] },
    }));
  }
  if (upgrade.state !== 'admin-fenced' && upgrade.state !== 'finalizing') return [];
  return await q<BlockingSession[]>`
    select s.pid, s.application_name as "applicationName", host(s.client_addr) as address, s.xact_start as since,
           array_agg(distinct c.relname::text order by c.relname::text) as tables
      from pg_stat_activity s
      join pg_locks l on l.pid = s.pid and l.locktype = 'relation' and l.granted
                     and l.database = (select oid from pg_database where datname = current_database())
      join pg_class c on c.oid = l.relation and c.relkind in ('r', 'p') and c.relnamespace = (select relnamespace from pg_class where oid = 'domain'::regclass)
     where s.backend_type = 'client backend' and s.pid <> pg_backend_pid() and not starts_with(s.application_name, 'bramble/coordinator/')
       and s.xact_start < clock_timestamp() - make_interval(secs => ${inTheWayAfterSeconds})
     group by s.pid, s.application_name, s.client_addr, s.xact_start order by s.xact_start`;
}

/** Accounts of a wave that are not where they are to go, or have deliveries open there; devices out of reach left out. */
async function listOpenAccounts(q: Queryable, id: UpgradeId, wave: number): Promise<string[]> {
  const rows = await q<{ name: string }[]>`
    select a.name from upgrade_assignment s join account a on a.id = s.account_id
     where s.upgrade_id = ${id} and s.wave_number = ${wave}
       and (a.instance_id <> s.to_instance_id
            or exists (select 1 from account_move m
                        where m.account_id = a.id and not m.out_of_reach
                          and ${moveStates.notIn(q, 'settled-or-ended', 'm')}))
     order by a.name limit 20`;
  return rows.map(({ name }) => name);
}

/** The accounts of a wave, if none of them has a device. */
async function listIfWithoutDevices(q: Queryable, id: UpgradeId, wave: number): Promise<string[]> {
  const rows = await q<{ name: string }[]>`
    select a.name from upgrade_assignment s join account a on a.id = s.account_id
     where s.upgrade_id = ${id} and s.wave_number = ${wave}
       and not exists (select 1 from upgrade_assignment o join device d on d.account_id = o.account_id and d.state = 'active'
                        where o.upgrade_id = ${id} and o.wave_number = ${wave})
     order by a.name limit 20`;
  return rows.map(({ name }) => name);
}
