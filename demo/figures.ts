/** The report's figures, counted from the devices' journals and by plain SQL. */
import type postgres from 'postgres';
import type { Budget } from '../src/api/budget.ts';
import type { JournalEntry } from '../src/simulator/journal.ts';
import {
  successTimes,
  summarizeCommands,
  summarizeRequests,
  summarizeTunnels,
} from '../src/simulator/journal-summary.ts';
import { percentile, unavailabilityMs } from '../src/simulator/unavailability.ts';
import { checkInvariants, type InvariantResult, statesOf, type Watched } from '../test/harness/invariants.ts';

export interface DemoReport {
  seed: string;
  outcome: 'finalized' | 'reversed';
  /** `renumbered`: the target is the same program under another number. */
  release: { from: string; to: string; renumbered: boolean };
  /** Of a domain over several: whose supervisors are of which release, and what runs there at the end. */
  hosts: { name: string; supervisor: string; accounts: number; processes: string[] }[];
  accounts: number;
  devices: number;
  moved: number;
  failed: number;
  reversed: number;
  requests: {
    sent: number;
    failed: number;
    /** Over a fresh connection, where a kept-alive one had ended before anything of an answer came. */
    sentAgain: number;
    failedByClass: Record<string, number>;
    lostDevices: number;
  };
  commands: { enqueued: number; acknowledged: number; lost: number; duplicated: number };
  tunnels: {
    opened: number;
    broken: number;
    refused: number;
    /** `atSeconds` since the demo began, and how long each had been open. */
    breaks: { atSeconds: number; openSeconds: number; account: string; reason: string }[];
  };
  deliveries: {
    itPolicies: number;
    serviceBooks: number;
    synchronizations: number;
    failed: number;
    maxInFlight: number;
    budget: number;
    suspects: number;
    heldBackSeconds: number;
  };
  unavailabilityMs: { p50: number; p99: number; max: number; accounts: number };
  waves: {
    number: number;
    name: string;
    state: string;
    accounts: number;
    gate: string | null;
    seconds: number | null;
  }[];
  features: { name: string; active: boolean; lockedBy: string[] }[];
  invariants: Record<string, InvariantResult>;
  wallSeconds: number;
}

export interface Surroundings {
  sql: postgres.Sql;
  journal: readonly JournalEntry[];
  watched: Watched;
  enqueued: ReadonlySet<string>;
  budget: Budget;
  features: DemoReport['features'];
  seed: string;
  outcome: DemoReport['outcome'];
  release: DemoReport['release'];
  wallSeconds: number;
  /** Milliseconds since the epoch. */
  startedAtMs: number;
}

export async function collectFigures(around: Surroundings): Promise<DemoReport> {
  const { sql, journal, watched, seed, outcome, release, features, wallSeconds } = around;
  const requests = summarizeRequests(journal);
  const [counts] = await sql<{ accounts: number; devices: number; moved: number; failed: number; reversed: number }[]>`
    select (select count(*)::int from account) as accounts,
           (select count(*)::int from device where state = 'active') as devices,
           (select count(*)::int from account_move m join move_batch b on b.id = m.batch_id
             where b.purpose = 'wave' and m.committed_at is not null) as moved,
           (select count(*)::int from account_move where state = 'rolled-back') as failed,
           (select count(*)::int from account_move m join move_batch b on b.id = m.batch_id
             where b.purpose = 'reverse' and m.committed_at is not null) as reversed`;
  return {
    seed,
    outcome,
    release,
    hosts: await hostFigures(sql),
    accounts: counts?.accounts ?? 0,
    devices: counts?.devices ?? 0,
    moved: counts?.moved ?? 0,
    failed: counts?.failed ?? 0,
    reversed: counts?.reversed ?? 0,
    requests: {
      sent: requests.sent,
      failed: requests.failed,
      sentAgain: requests.sentAgain,
      failedByClass: requests.failedByClass,
      lostDevices: requests.lostDevices.length,
    },
    commands: await commandFigures(sql, journal, around.enqueued),
    tunnels: tunnelFigures(journal, around.startedAtMs),
    deliveries: await deliveryFigures(around),
    unavailabilityMs: await unavailabilityFigures(sql, journal),
    waves: await waveFigures(sql),
    features,
    invariants: await checkInvariants(sql, journal, watched),
    wallSeconds,
  };
}

function tunnelFigures(journal: readonly JournalEntry[], startedAtMs: number): DemoReport['tunnels'] {
  const { opened, broken, refused, breaks } = summarizeTunnels(journal);
  const tenths = (ms: number) => Math.round(ms / 100) / 10;
  return {
    ...{ opened, broken, refused },
    breaks: breaks.map(({ atMs, openMs, account, reason }) => ({
      atSeconds: tenths(atMs - startedAtMs),
      openSeconds: tenths(openMs),
      ...{ account, reason },
    })),
  };
}

/** Commands that administrators queued: acknowledged where device and database both say so, once. */
async function commandFigures(
  sql: postgres.Sql,
  journal: readonly JournalEntry[],
  enqueued: ReadonlySet<string>,
): Promise<DemoReport['commands']> {
  const stories = summarizeCommands(journal);
  const states = await statesOf(sql, [...enqueued]);
  let acknowledged = 0;
  let duplicated = 0;
  for (const id of enqueued) {
    const story = stories.get(id);
    if (story?.executed === 1 && story.answersAccepted === 1 && states.get(id) === 'acknowledged') acknowledged++;
    if (story !== undefined && (story.executed > 1 || story.answersAccepted > 1)) duplicated++;
  }
  return { enqueued: enqueued.size, acknowledged, lost: enqueued.size - acknowledged - duplicated, duplicated };
}

async function deliveryFigures({ sql, watched, budget }: Surroundings): Promise<DemoReport['deliveries']> {
  const [row] = await sql<
    { policies: number; books: number; synchronizations: number; failed: number; held: number }[]
  >`
    select count(*) filter (where item = 'it-policy' and state = 'done')::int as policies,
           count(*) filter (where item = 'service-books' and state = 'done')::int as books,
           count(*) filter (where item = 'synchronization' and state = 'done')::int as synchronizations,
           count(*) filter (where state = 'failed')::int as failed,
           (select coalesce(sum(held_seconds), 0)::float8 from delivery_hold) as held
      from delivery where cause = 'move'`;
  return {
    itPolicies: row?.policies ?? 0,
    serviceBooks: row?.books ?? 0,
    synchronizations: row?.synchronizations ?? 0,
    failed: row?.failed ?? 0,
    maxInFlight: watched.samples.maxInFlight,
    budget: budget.perDomain,
    suspects: watched.samples.maxSuspects,
    heldBackSeconds: Math.round((row?.held ?? 0) * 10) / 10,
  };
}

/** Of every account that moved: the longest time without a success during its move, less the usual one. */
async function unavailabilityFigures(
  sql: postgres.Sql,
  journal: readonly JournalEntry[],
): Promise<DemoReport['unavailabilityMs']> {
  // A device that fell silent by itself says nothing about the server.
  const silent = new Set(journal.filter((entry) => entry.event === 'vanished').map((entry) => entry.device));
  const times = successTimes(
    journal.filter((entry) => !silent.has(entry.device)),
    true,
  );
  const moves = await sql<{ name: string; fromMs: number; toMs: number }[]>`
    select a.name, extract(epoch from m.fenced_at) * 1000 as "fromMs", extract(epoch from m.committed_at) * 1000 as "toMs"
      from account_move m join account a on a.id = m.account_id where m.committed_at is not null`;
  const values: number[] = [];
  for (const { name, fromMs, toMs } of moves) {
    const probes = times.get(name);
    if (probes) values.push(unavailabilityMs(probes, { fromMs: Number(fromMs), toMs: Number(toMs) }));
  }
  const round = (value: number) => Math.round(value * 10) / 10;
  return {
    p50: round(percentile(values, 0.5)),
    p99: round(percentile(values, 0.99)),
    max: round(Math.max(0, ...values)),
    accounts: values.length,
  };
}

/** The first host first; none where there is only one. */
async function hostFigures(sql: postgres.Sql): Promise<DemoReport['hosts']> {
  const hosts = await sql<DemoReport['hosts']>`
    select s.host as name, s.release as supervisor,
           (select count(*)::int from account a join instance i on i.id = a.instance_id
              join desired_process p on p.name = i.name where p.host = s.host) as accounts,
           array(select p.name from desired_process p where p.host = s.host and p.state = 'running' order by 1)
             as processes
      from supervisor s left join host h on h.name = s.host order by h.joined_at nulls first`;
  return hosts.length > 1 ? [...hosts] : [];
}

async function waveFigures(sql: postgres.Sql): Promise<DemoReport['waves']> {
  const rows = await sql<(DemoReport['waves'][number] & { seconds: number | null })[]>`
    select w.number, w.name, w.state, w.gate->>'answer' as gate,
           (select count(*)::int from upgrade_assignment s where s.upgrade_id = w.upgrade_id and s.wave_number = w.number)
             as accounts,
           extract(epoch from w.finished_at - w.started_at)::float8 as seconds
      from upgrade_wave w order by w.number`;
  return rows.map((row) => ({ ...row, seconds: row.seconds === null ? null : Math.round(row.seconds * 10) / 10 }));
}
