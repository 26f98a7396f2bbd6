/**
 * The past of moved accounts before their move, which gates compare with the present. It is the most expensive part of
 * the figures, a day of every account, and no longer changes: a coordinator caches it between its polls.
 *
 * Invariants: the cache can be reread at any time, and is, after {@link rememberedMs}, since a router may still report
 * requests from before a move. For each wave and source it holds {@link mostRemembered} accounts at most, packed: some
 * 25 MB; the past of any others is read anew each time.
 */
import { latencyBins } from '../../base/latency-histogram.ts';
import type { Queryable, SqlFragment } from '../../database/connection.ts';
import type { Baseline } from './gate-figures.ts';

/** Moved accounts, column by column, since a wave may be all of a domain: a thousand at most. */
export interface MovedAccounts {
  ids: readonly string[];
  fromInstanceIds: readonly string[];
  /** Seconds since the epoch; null for an account that was moved by hand: it has no past here. */
  committedAt: readonly (number | null)[];
  /** Present ones, which are the account's weight. */
  requests: readonly number[];
}

interface AccountPast {
  /** Of the move that it is the past of. */
  committedAt: number;
  requests: number;
  failed: number;
  latency: readonly number[] | Uint32Array;
}

const rememberedMs = 300_000;

const mostRemembered = 100_000;

/** Accounts' pasts in columns: as objects they would take several times as much. */
class PackedPasts {
  readonly #places = new Map<string, number>();
  #moments = new Float64Array(0);
  #counts = new Uint32Array(0);

  get(id: string): AccountPast | undefined {
    const place = this.#places.get(id);
    if (place === undefined) return undefined;
    const counts = this.#counts.subarray(place * width, (place + 1) * width);
    const [requests = 0, failed = 0] = counts;
    return { committedAt: this.#moments[place] ?? 0, requests, failed, latency: counts.subarray(2) };
  }

  /** Unless there are too many. */
  set(id: string, { committedAt, requests, failed, latency }: AccountPast): void {
    const place = this.#places.get(id) ?? this.#places.size;
    if (place >= mostRemembered) return;
    this.#makeRoom(place);
    this.#places.set(id, place);
    this.#moments[place] = committedAt;
    this.#counts.fill(0, place * width, (place + 1) * width);
    this.#counts.set([requests, failed, ...latency.slice(0, latencyBins)], place * width);
  }

  #makeRoom(place: number): void {
    const room = this.#moments.length;
    if (place < room) return;
    const more = Math.min(mostRemembered, Math.max(1000, 2 * room));
    const [moments, counts] = [this.#moments, this.#counts];
    this.#moments = new Float64Array(more);
    this.#counts = new Uint32Array(more * width);
    this.#moments.set(moments);
    this.#counts.set(counts);
  }
}

/** Requests, failed ones, and the bins of their latencies. */
const width = 2 + latencyBins;

/** Pasts by the account's id; for each wave, or all waves, of one source at a time. */
export class GateMemory {
  readonly #now: () => number;
  readonly #pasts = new Map<string, { readAt: number; accounts: PackedPasts }>();

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  of(key: string): PackedPasts {
    for (const [name, { readAt }] of this.#pasts) {
      if (this.#now() - readAt > rememberedMs) this.#pasts.delete(name);
    }
    const known = this.#pasts.get(key);
    if (known !== undefined) return known.accounts;
    const accounts = new PackedPasts();
    this.#pasts.set(key, { readAt: this.#now(), accounts });
    return accounts;
  }
}

/**
 * The accounts' past, each weighted by its share of the present requests, so that an account that always failed often,
 * and asks more now, does not look like a worse release. The number of requests is that of a sample of the same
 * certainty.
 */
export async function readPast(
  q: Queryable,
  samples: SqlFragment,
  moved: readonly MovedAccounts[],
  baselineHours: number,
  remembered: PackedPasts,
): Promise<Baseline> {
  const sums = { weights: 0, variance: 0, failed: 0, latency: [] as number[] };
  for (const accounts of moved) {
    const missing = accounts.ids.flatMap((id, n) => {
      const committedAt = accounts.committedAt[n] ?? null;
      if (committedAt === null || remembered.get(id)?.committedAt === committedAt) return [];
      return [{ id, committedAt, fromInstanceId: accounts.fromInstanceIds[n] ?? '' }];
    });
    const read = await readAccounts(q, samples, missing, baselineHours);
    for (const [id, past] of read) remembered.set(id, past);
    for (const [n, id] of accounts.ids.entries()) {
      const past = read.get(id) ?? remembered.get(id);
      if (past === undefined || past.requests === 0 || accounts.committedAt[n] === null) continue;
      const weight = (accounts.requests[n] ?? 0) + 0.001;
      sums.weights += weight;
      sums.variance += weight ** 2 / past.requests;
      sums.failed += (weight * past.failed) / past.requests;
      for (const [bin, count] of past.latency.entries()) if (count > 0) addToBin(sums.latency, bin, count);
    }
  }
  const { weights, variance, failed, latency } = sums;
  if (weights === 0) return { requests: 0, failed: 0, latency: [] };
  const requests = weights ** 2 / variance;
  return { requests, failed: (requests * failed) / weights, latency };
}

/** Account by account, by the primary keys of the samples. */
async function readAccounts(
  q: Queryable,
  samples: SqlFragment,
  accounts: readonly { id: string; committedAt: number; fromInstanceId: string }[],
  baselineHours: number,
): Promise<Map<string, AccountPast>> {
  const nothing = { requests: 0, failed: 0 };
  const pasts = new Map(
    accounts.map(({ id, committedAt }) => [id, { ...nothing, committedAt, latency: [] as number[] }]),
  );
  if (accounts.length === 0) return pasts;
  const rows = await q<{ id: string; bin: number | null; requests: number; failed: number }[]>`
    with past as materialized (
      select r.account_id, r.requests, r.failed, r.latency
        from unnest(${accounts.map(({ id }) => id)}::uuid[], ${accounts.map((each) => each.fromInstanceId)}::uuid[],
                    ${accounts.map(({ committedAt }) => committedAt)}::float8[]) as m(account_id, from_id, seconds)
       cross join lateral (select m.account_id, m.from_id, to_timestamp(m.seconds) as committed_at) c
       cross join lateral (
         select o.account_id, o.requests, o.failed, o.latency from (${samples}) o
          where o.account_id = c.account_id and o.instance_id = c.from_id and o.bucket < c.committed_at
            and o.bucket > c.committed_at - make_interval(secs => ${baselineHours * 3600}) offset 0) r)
    select account_id as id, null::int as bin, sum(requests)::float8 as requests, sum(failed)::float8 as failed
      from past group by 1
    union all
    select p.account_id, b.bin::int - 1, sum(b.requests)::float8, 0
      from past p, unnest(p.latency) with ordinality as b(requests, bin) where b.requests > 0 group by 1, 2`;
  for (const { id, bin, requests, failed } of rows) {
    const past = pasts.get(id);
    if (past === undefined) continue;
    if (bin === null) Object.assign(past, { requests, failed });
    else addToBin(past.latency, bin, requests);
  }
  return pasts;
}

function addToBin(latency: number[], bin: number, requests: number): void {
  while (latency.length <= bin) latency.push(0);
  latency[bin] = (latency[bin] ?? 0) + requests;
}
