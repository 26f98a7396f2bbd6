/**
 * The domain that figures are taken from: the working tree's archive, or a sealed one beside it, PostgreSQL as an installation has it
 * (fsync on), and a simulated fleet whose devices have enrolled and taken everything that was owed to them.
 *
 * Invariant: when the fleet is settled nothing is owed, so that an Idle is answered without a command.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../src/testing/condition.ts';
import { sealedArchive, workingTreeArchive } from '../test/harness/archives.ts';
import { type RunningDomain, startDomain } from '../test/harness/domain.ts';
import { type RunningFleet, startFleet } from '../test/harness/fleet.ts';
import { setBudget } from '../test/harness/preparation.ts';

/** A release that is measured. */
export interface Candidate {
  /** As figures name it. */
  name: string;
  archive: string;
}

/** What figures of the working tree are under. */
export const ownName = 'working tree';

/** The working tree; beside it the latest sealed release of the minor before, where figures are to be held against it. */
export async function candidates(againstSealed: boolean): Promise<Candidate[]> {
  const tree = { name: ownName, archive: (await workingTreeArchive()).file };
  if (!againstSealed) return [tree];
  const { release, file } = await sealedArchive();
  return [{ name: release, archive: file }, tree];
}

export interface MeasuredSize {
  /** 1 or more. */
  instances: number;
  devices: number;
  accounts: number;
}

export interface MeasuredDomain {
  domain: RunningDomain;
  fleet: RunningFleet;
  /** For the journal and whatever else is written meanwhile; goes with the domain. */
  folder: string;
  /** Loopback addresses of the instances, by name. */
  instanceUrls: ReadonlyMap<string, URL>;
}

/** Slots and rates that hold nothing back: what is measured is the machinery, not the budget. */
export const wideBudget = {
  perInstance: 10_000,
  perDomain: 10_000,
  suspects: 1000,
  perMinuteInstance: 1_000_000,
  perMinuteDomain: 1_000_000,
};

/** The slots that an installation has; only the rates are wide, or a run would take its minutes. */
export const usualSlots = { ...wideBudget, perInstance: 30, perDomain: 60, suspects: 20 };

/** Starts everything, hands it to `use`, and takes it down whatever happens. */
export async function withMeasuredDomain<Result>(
  size: MeasuredSize,
  say: (text: string) => void,
  use: (measured: MeasuredDomain) => Promise<Result>,
  candidate?: Candidate,
): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-bench-'));
  try {
    const domain = await startDomain({
      archive: candidate?.archive ?? (await workingTreeArchive()).file,
      instances: size.instances,
      databaseSettings: { track_commit_timestamp: 'on' },
    });
    try {
      const instanceUrls = await trustLoopbackProxy(domain);
      await setBudget(domain, wideBudget);
      say(`activating ${size.devices} devices of ${size.accounts} accounts`);
      const journal = join(folder, 'journal.ndjson');
      const fleet = await startFleet(domain, {
        devices: size.devices,
        accounts: size.accounts,
        seed: 'bench',
        // A push may be lost, or go to another fleet's push service: devices come by themselves soon enough.
        interval: '5s',
        journal,
      });
      try {
        await untilNothingIsOwed(domain);
        return await use({ domain, fleet, folder, instanceUrls });
      } finally {
        await fleet.stop();
      }
    } finally {
      await domain.stop();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Waits until the devices have taken and answered everything. */
export async function untilNothingIsOwed(domain: RunningDomain, timeoutMs = 120_000): Promise<void> {
  await until('the devices have taken what was owed', timeoutMs, async () => {
    const [row] = await domain.sql`
      select (select count(*) from delivery where state in ('owed', 'released', 'handed-out', 'suspect'))::int
           + (select count(*) from command where state in ('queued', 'sent', 'not-now'))::int as open`;
    return row?.['open'] === 0;
  });
}

/** Instances believe the `client-cert` header on their loopback port only when told to; told, they start again. */
export async function trustLoopbackProxy(domain: RunningDomain): Promise<Map<string, URL>> {
  const [changed] = await domain.sql`
    with changed as (
      update desired_process set settings = settings || '{"trustLoopbackProxy": true}' where kind = 'server'
      returning name)
    select clock_timestamp() as at, array_agg(name) as names from changed`;
  await domain.sql`notify bramble_desired`;
  const addresses = new Map<string, URL>();
  await until('the instances started again', 30_000, async () => {
    const rows = await domain.sql<{ name: string; url: string }[]>`
      select name, loopback_url as url from component
       where name = any(${changed?.['names']}) and started_at > ${changed?.['at']} and stopped_at is null
         and lease_until > clock_timestamp() and (detail->'links'->0->>'up')::boolean`;
    for (const { name, url } of rows) addresses.set(name, new URL(url));
    return addresses.size === changed?.['names']?.length;
  });
  return addresses;
}

/** Of the one administration service. */
export async function administrationUrl({ sql }: RunningDomain): Promise<string> {
  const [service] = await sql<{ url: string }[]>`
    select loopback_url as url from component where kind = 'administration' and stopped_at is null`;
  if (service === undefined) throw new Error('the domain has no administration service');
  return service.url;
}

/** One domain for each candidate, all of them running at once, by the candidates' names. */
export async function withCandidates<Result>(
  list: readonly Candidate[],
  size: MeasuredSize,
  say: (text: string) => void,
  use: (all: ReadonlyMap<string, MeasuredDomain>) => Promise<Result>,
  running: ReadonlyMap<string, MeasuredDomain> = new Map(),
): Promise<Result> {
  const [candidate, ...others] = list;
  if (candidate === undefined) return await use(running);
  say(`${candidate.name}:`);
  const next = async (measured: MeasuredDomain) =>
    await withCandidates(others, size, say, use, new Map(running).set(candidate.name, measured));
  return await withMeasuredDomain(size, say, next, candidate);
}

/** Runs each candidate once in every round, and lets each be first in its turn: what the machine does meets all alike. */
export async function interleave<Prepared>(
  all: ReadonlyMap<string, Prepared>,
  rounds: number,
  run: (prepared: Prepared, name: string, round: number) => Promise<void>,
): Promise<void> {
  const entries = [...all];
  for (let round = 1; round <= rounds; round++) {
    const first = round % entries.length;
    for (const [name, prepared] of [...entries.slice(first), ...entries.slice(0, first)])
      await run(prepared, name, round);
  }
}
