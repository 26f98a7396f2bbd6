/**
 * The invariants of the upgrade, checked from outside: by plain SQL and the devices' journals, not by what servers report.
 * For each: held, broken or not exercised, and how many checks were made.
 */
import type postgres from 'postgres';
import type { JournalEntry } from '../../src/simulator/journal.ts';
import { summarizeCommands } from '../../src/simulator/journal-summary.ts';
import type { Samples } from './sampler.ts';

export interface InvariantResult {
  result: 'held' | 'broken' | 'not-exercised';
  checks: number;
  /** What broke it, if anything did. */
  broken?: string;
}

/** What the scenario itself observed. */
export interface Watched {
  samples: Samples;
  /** Accounts that a fenced administration service wrote without commit; none of them may be there. */
  neverCommitted: string | null;
  /** Moves that began more than a second after a pause. */
  startedWhilePaused: { checks: number; broken: number } | null;
  /** The old release was given work after going back, and this many of its operations were acknowledged. */
  reversedOperations: { checks: number; broken: number } | null;
  /** Times that the coordinator was killed, and how often the upgrade did not go on. */
  coordinatorKills: { checks: number; broken: number };
}

export const invariantTitles: Readonly<Record<string, string>> = {
  1: 'one instance commits an account’s writes at any epoch',
  2: 'epochs rise',
  3: 'what was acknowledged to a device is in the data',
  4: 'digests agree across databases',
  5: 'in flight and suspects stay within the budget',
  6: 'one effect for each command and delivery',
  7: 'no administration service of another release commits',
  8: 'the feature level is no higher than the least component',
  9: 'after going back the old release works',
  10: 'pausing starts nothing new within a second',
  11: 'a killed coordinator’s work goes on',
  12: 'two coordinators behave as one',
};

export async function checkInvariants(
  sql: postgres.Sql,
  journal: readonly JournalEntry[],
  watched: Watched,
): Promise<Record<string, InvariantResult>> {
  const { samples } = watched;
  return {
    1: await ownersOfWrites(sql),
    2: await risingEpochs(sql),
    3: await acknowledgedWrites(sql, journal),
    4: { result: 'not-exercised', checks: 0 },
    5: outcome(samples.budgetChecks, samples.budgetBroken, 'the budget was overdrawn'),
    6: await singleEffects(sql, journal),
    7: await fencedWrites(sql, watched.neverCommitted),
    8: outcome(samples.levelChecks, samples.levelBroken, 'a component was below the feature level'),
    9: counted(watched.reversedOperations, 'the old release did not do its work'),
    10: counted(watched.startedWhilePaused, 'moves began while paused'),
    11: counted(watched.coordinatorKills, 'the upgrade did not go on'),
    12: { result: 'not-exercised', checks: 0 },
  };
}

function outcome(checks: number, broken: number, what: string): InvariantResult {
  if (checks === 0) return { result: 'not-exercised', checks };
  return broken === 0 ? { result: 'held', checks } : { result: 'broken', checks, broken: `${what} (${broken} times)` };
}

function counted(seen: { checks: number; broken: number } | null, what: string): InvariantResult {
  return seen === null ? { result: 'not-exercised', checks: 0 } : outcome(seen.checks, seen.broken, what);
}

/** Every command handed out and every answer taken names the epoch; the log of epochs names its owner. */
async function ownersOfWrites(sql: postgres.Sql): Promise<InvariantResult> {
  const [row] = await sql<{ checks: number; broken: number }[]>`
    with writes as (
      select account_id, sent_epoch as epoch, sent_instance as instance_id from command where sent_epoch is not null
      union all
      select account_id, answered_epoch, answered_instance from command where answered_epoch is not null)
    select count(*)::int as checks, count(*) filter (where e.instance_id is distinct from w.instance_id)::int as broken
      from writes w left join account_epoch e on e.account_id = w.account_id and e.epoch = w.epoch`;
  return outcome(row?.checks ?? 0, row?.broken ?? 1, 'a write was not the owner’s');
}

/** One by one, but for a domain that was restored: it goes on above whatever epochs were given out since the backup. */
async function risingEpochs(sql: postgres.Sql): Promise<InvariantResult> {
  const [row] = await sql<{ checks: number; broken: number }[]>`
    select count(*)::int as checks,
           count(*) filter (where epoch < next or since < before or epoch > now_epoch
                               or epoch > next and since not in (select at from event where kind = 'domain-restored'))::int as broken
      from (select e.epoch, e.since, a.epoch as now_epoch,
                   1 + coalesce(lag(e.epoch) over (partition by e.account_id order by e.epoch), 0) as next,
                   lag(e.since) over (partition by e.account_id order by e.epoch) as before
              from account_epoch e join account a on a.id = e.account_id) epochs`;
  return outcome(row?.checks ?? 0, row?.broken ?? 1, 'an epoch fell, repeated or skipped');
}

async function acknowledgedWrites(sql: postgres.Sql, journal: readonly JournalEntry[]): Promise<InvariantResult> {
  const taken = [...summarizeCommands(journal).values()].filter((story) => story.answersAccepted > 0);
  const states = await statesOf(
    sql,
    taken.map((story) => story.commandUuid),
  );
  const broken = taken.filter((story) => {
    const state = states.get(story.commandUuid);
    return story.status === 'Acknowledged' ? state !== 'acknowledged' : state !== 'error';
  });
  const enrolled = journal.filter((entry) => entry.event === 'enrolled').length;
  const [row] = await sql<{ active: number }[]>`select count(*)::int as active from device where state = 'active'`;
  const left = new Set(journal.filter((entry) => entry.event === 'checked-out').map((entry) => entry.device)).size;
  const lost = Math.max(0, enrolled - left - (row?.active ?? 0));
  return outcome(taken.length + enrolled, broken.length + lost, 'an acknowledged write is not in the data');
}

async function singleEffects(sql: postgres.Sql, journal: readonly JournalEntry[]): Promise<InvariantResult> {
  const stories = [...summarizeCommands(journal).values()];
  const repeated = stories.filter((story) => story.executed > 1 || story.answersAccepted > 1);
  const [row] = await sql<{ deliveries: number; broken: number }[]>`
    select count(*)::int as deliveries, count(*) filter (where commands > 1)::int as broken
      from (select delivery_id, count(*) as commands from command
             where delivery_id is not null and state <> 'cancelled' group by delivery_id) sent`;
  const checks = stories.length + (row?.deliveries ?? 0);
  return outcome(checks, repeated.length + (row?.broken ?? 0), 'something took effect twice');
}

async function fencedWrites(sql: postgres.Sql, neverCommitted: string | null): Promise<InvariantResult> {
  if (neverCommitted === null) return { result: 'not-exercised', checks: 0 };
  const [row] = await sql<{ there: number }[]>`
    select count(*)::int as there from account where name like ${`${neverCommitted}%`}`;
  return outcome(1, row?.there ?? 1, 'an uncommitted write of the old administration service is in the data');
}

/** Command states by UUID, in lower case as the journal's summary has them. */
export async function statesOf(sql: postgres.Sql, ids: readonly string[]): Promise<Map<string, string>> {
  const rows = await sql<{ id: string; state: string }[]>`
    select id, state from command where id = any(${ids as string[]}::uuid[])`;
  return new Map(rows.map((row) => [row.id, row.state]));
}
