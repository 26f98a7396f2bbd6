/** Unavailability of moved accounts, from the devices' journal and the times of their moves. */
import { readJournal } from '../src/simulator/journal.ts';
import { percentile, unavailabilityMs } from '../src/simulator/unavailability.ts';

export interface MovedAccount {
  account: string;
  probed: boolean;
  /** Before the first account of its batch was marked. Milliseconds since the epoch, as the next two. */
  startedAtMs: number;
  fencedAtMs: number;
  committedAtMs: number;
}

export interface Distribution {
  count: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
}

/** One probed account's move; durations in milliseconds. */
export interface ProbedMove {
  account: string;
  /** Milliseconds since the epoch. */
  fencedAtMs: number;
  fencedForMs: number;
  unavailableMs: number;
}

export interface MoveDistributions {
  probedMoves: ProbedMove[];
  unavailability: Distribution;
  /** Of accounts that were not moved, in the windows of those that were. */
  stay: Distribution;
  still: Distribution;
  fenced: Distribution;
}

/** Beyond mark and commit: the first request after the commit still goes the old way. */
const widenBeforeMs = 20;
const widenAfterMs = 250;
/** So long before the batch nothing of it happens. */
const stillBeforeMs = 50;

export async function measureMoves(
  journal: string,
  moved: readonly MovedAccount[],
  staying: readonly string[],
): Promise<MoveDistributions> {
  const successes = await probeSuccesses(journal);
  const probed = moved.filter((move) => move.probed);
  const around = (fromMs: number, toMs: number, account: string) =>
    unavailabilityMs(successes.get(account) ?? [], { fromMs, toMs });
  const probedMoves = probed.map(({ account, fencedAtMs, committedAtMs }) => ({
    account,
    fencedAtMs,
    fencedForMs: committedAtMs - fencedAtMs,
    unavailableMs: around(fencedAtMs - widenBeforeMs, committedAtMs + widenAfterMs, account),
  }));
  return {
    probedMoves,
    unavailability: distributionOf(probedMoves.map(({ unavailableMs }) => unavailableMs)),
    stay: distributionOf(
      probed.flatMap(({ fencedAtMs, committedAtMs }) =>
        staying.map((account) => around(fencedAtMs - widenBeforeMs, committedAtMs + widenAfterMs, account)),
      ),
    ),
    still: distributionOf(
      probed.flatMap((move) => {
        const widthMs = move.committedAtMs - move.fencedAtMs + widenBeforeMs + widenAfterMs;
        const toMs = move.startedAtMs - stillBeforeMs;
        return [move.account, ...staying].map((account) => around(toMs - widthMs, toMs, account));
      }),
    ),
    fenced: distributionOf(moved.map((move) => move.committedAtMs - move.fencedAtMs)),
  };
}

/** When each account's probes succeeded, ascending. */
async function probeSuccesses(journal: string): Promise<Map<string, number[]>> {
  const times = new Map<string, number[]>();
  for (const entry of await readJournal(journal)) {
    if (entry.event !== 'request' || entry.probe !== true || !entry.ok) continue;
    const of = times.get(entry.account) ?? [];
    of.push(entry.startedAt + entry.latencyMs);
    times.set(entry.account, of);
  }
  return times;
}

function distributionOf(values: readonly number[]): Distribution {
  const at = (share: number) => Math.round(percentile(values, share) * 10) / 10;
  return { count: values.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}
