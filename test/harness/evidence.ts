/** Proof from outside that nothing was lost: from the devices' journals and plain SQL, not from what servers report. */
import assert from 'node:assert/strict';
import { type JournalEntry, readJournal } from '../../src/simulator/journal.ts';
import { type CommandStory, summarizeCommands, summarizeRequests } from '../../src/simulator/journal-summary.ts';
import { until } from '../../src/testing/condition.ts';
import type { RunningDomain } from './domain.ts';
import type { RunningFleet } from './fleet.ts';
import { checkInvariants } from './invariants.ts';
import type { Samples } from './sampler.ts';

/** Waits until no delivery is owed and no command is pending. */
export async function untilDrained(domain: RunningDomain, timeoutMs = 90_000): Promise<void> {
  let seen: unknown;
  await until('every delivery and command is answered', timeoutMs, async () => {
    const [row] = await domain.sql<{ open: number }[]>`
      select (select count(*)::int from delivery where state in ('owed', 'released', 'handed-out', 'suspect'))
           + (select count(*)::int from command c join device d on d.id = c.device_id
               where c.state in ('queued', 'sent', 'not-now') and d.state = 'active') as open`;
    seen = row?.open;
    return row?.open === 0;
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}; ${String(seen)} are open`, { cause: error });
  });
}

export interface Evidence {
  journal: JournalEntry[];
  commands: Map<string, CommandStory>;
}

/** Waits until the devices, too, know that their answers to these commands were accepted. */
export async function untilAnswered(fleet: RunningFleet, ids: Iterable<string>): Promise<Evidence> {
  const wanted = [...ids];
  let evidence = await readEvidence(fleet);
  await until(`${wanted.length} commands are answered`, 20_000, async () => {
    evidence = await readEvidence(fleet);
    return wanted.every((id) => (evidence.commands.get(id)?.answersAccepted ?? 0) > 0);
  });
  return evidence;
}

/** What the devices have seen so far. */
export async function readEvidence(fleet: RunningFleet): Promise<Evidence> {
  await fleet.tell({ do: 'stats' });
  const journal = await readJournal(fleet.journal);
  return { journal, commands: summarizeCommands(journal) };
}

/** Requests of devices that failed, each with what it was told. */
export function failuresIn(journal: readonly JournalEntry[]): string[] {
  return journal
    .filter((entry) => entry.event === 'request')
    .filter(({ failure }) => failure !== undefined)
    .map(({ at, device, request, failure, message }) =>
      [new Date(at).toISOString(), device, request, failure, message].join(' '),
    );
}

export interface Watching {
  samples?: Samples;
  /** An account that a fenced administration service wrote and did not commit. */
  neverCommitted?: string;
  /** Commands that the administration accepted. */
  enqueued?: Iterable<string>;
}

const unsampled: Samples = {
  budgetChecks: 0,
  budgetBroken: 0,
  maxInFlight: 0,
  maxSuspects: 0,
  levelChecks: 0,
  levelBroken: 0,
};

/**
 * Asserts, once everything owed is answered: no device was driven out or told that its identity is wrong, every queued
 * command took effect once and was taken once, and no invariant is broken.
 */
export async function assertNothingLost(
  domain: RunningDomain,
  fleet: RunningFleet,
  { samples = unsampled, neverCommitted, enqueued = [] }: Watching = {},
): Promise<Evidence> {
  await untilDrained(domain);
  const wanted = [...enqueued];
  const evidence = await untilAnswered(fleet, wanted);
  const requests = summarizeRequests(evidence.journal);
  assert.deepEqual(requests.lostDevices, [], 'devices were driven out of management');
  const { identity = 0, refused = 0, unenrolled = 0 } = requests.failedByClass;
  assert.deepEqual({ identity, refused, unenrolled }, { identity: 0, refused: 0, unenrolled: 0 });
  for (const id of wanted) {
    const story = evidence.commands.get(id);
    const effect = { executed: story?.executed, answersAccepted: story?.answersAccepted };
    assert.deepEqual(effect, { executed: 1, answersAccepted: 1 }, `command ${id}`);
  }
  const invariants = await checkInvariants(domain.sql, evidence.journal, {
    samples,
    neverCommitted: neverCommitted ?? null,
    startedWhilePaused: null,
    reversedOperations: null,
    coordinatorKills: { checks: 0, broken: 0 },
  });
  const broken = Object.entries(invariants).filter(([, { result }]) => result === 'broken');
  assert.deepEqual(broken, [], 'an invariant is broken');
  return evidence;
}

/** Waits until each device, or each of these accounts, has completed a request that began after this call. */
export async function untilServed(
  domain: RunningDomain,
  fleet: RunningFleet,
  timeoutMs = 60_000,
  accounts?: readonly string[],
): Promise<void> {
  const [clock] = await domain.sql<{ now: Date }[]>`select clock_timestamp() as now`;
  const { devices } = await fleet.tell<{
    devices: { account: string; udid: string; state: string; vanished: boolean }[];
  }>({ do: 'devices' });
  const expected = devices
    .filter(({ state, vanished }) => state === 'managed' && !vanished)
    .filter(({ account }) => accounts?.includes(account) ?? true)
    .map(({ udid }) => udid);
  await until('every device has been served', timeoutMs, async () => {
    const [row] = await domain.sql<{ seen: number }[]>`
      select count(*)::int as seen from device
       where state = 'active' and udid = any(${expected}) and last_seen_at > ${clock?.now ?? new Date()}`;
    return row?.seen === expected.length;
  });
}
