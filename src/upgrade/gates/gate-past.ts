/**
 * The past of moved accounts before their move, which gates compare with the present. It is the most expensive part of
 * the figures, a day of every account, and no longer changes: a coordinator caches it between its polls.
 *
 * Invariant: the cache can be reread at any time, and is, after {@link rememberedMs}, since a router may still report
 * requests from before a move.
 */
import { mergeHistograms } from '../../base/latency-histogram.ts';
import type { Queryable, SqlFragment } from '../../database/connection.ts';
import type { Baseline } from './gate-figures.ts';

/** A moved account, with the weight of its present requests. */
export interface MovedAccount {
  id: string;
  name: string;
  fromInstanceId: string;
  /** Null for an account that was moved by hand: it has no past here. */
  committedAt: string | null;
  requests: number;
  failed: number;
  /** Whether any of its devices has connected since `baselineHours` before its move. */
  present: boolean;
}

interface AccountPast {
  requests: number;
  failed: number;
  latency: number[];
}

const rememberedMs = 300_000;

/** Pasts by account; for each wave, or all waves, of one source at a time. */
export class GateMemory {
  readonly #now: () => number;
  readonly #pasts = new Map<string, { readAt: number; accounts: Map<string, AccountPast> }>();

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  of(key: string): Map<string, AccountPast> {
    for (const [name, { readAt }] of this.#pasts) {
      if (this.#now() - readAt > rememberedMs) this.#pasts.delete(name);
    }
    const known = this.#pasts.get(key);
    if (known !== undefined) return known.accounts;
    const accounts = new Map<string, AccountPast>();
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
  accounts: readonly MovedAccount[],
  baselineHours: number,
  remembered: Map<string, AccountPast>,
): Promise<Baseline> {
  const keyOf = ({ id, committedAt }: MovedAccount) => `${id} ${committedAt}`;
  const missing = accounts.filter((account) => account.committedAt !== null && !remembered.has(keyOf(account)));
  if (missing.length > 0) {
    const read = await readAccounts(q, samples, missing, baselineHours);
    for (const account of missing) {
      remembered.set(keyOf(account), read.get(account.id) ?? { requests: 0, failed: 0, latency: [] });
    }
  }
  return weighted(accounts.map((account) => ({ account, past: remembered.get(keyOf(account)) })));
}

function weighted(all: readonly { account: MovedAccount; past: AccountPast | undefined }[]): Baseline {
  let weights = 0;
  let variance = 0;
  let failed = 0;
  const latencies: number[][] = [];
  for (const { account, past } of all) {
    if (past === undefined || past.requests === 0) continue;
    const weight = account.requests + 0.001;
    weights += weight;
    variance += weight ** 2 / past.requests;
    failed += (weight * past.failed) / past.requests;
    latencies.push(past.latency);
  }
  if (weights === 0) return { requests: 0, failed: 0, latency: [] };
  const requests = weights ** 2 / variance;
  return { requests, failed: (requests * failed) / weights, latency: [...mergeHistograms(...latencies)] };
}

/** Account by account, by the primary keys of the samples. */
async function readAccounts(
  q: Queryable,
  samples: SqlFragment,
  accounts: readonly MovedAccount[],
  baselineHours: number,
): Promise<Map<string, AccountPast>> {
  const rows = await q<{ id: string; bin: number | null; requests: number; failed: number }[]>`
    with past as materialized (
      select r.account_id, r.requests, r.failed, r.latency
        from unnest(${accounts.map(({ id }) => id)}::uuid[], ${accounts.map((each) => each.fromInstanceId)}::uuid[],
                    ${accounts.map(({ committedAt }) => committedAt)}::timestamptz[]) as c(account_id, from_id, committed_at)
       cross join lateral (
         select o.account_id, o.requests, o.failed, o.latency from (${samples}) o
          where o.account_id = c.account_id and o.instance_id = c.from_id and o.bucket < c.committed_at
            and o.bucket > c.committed_at - make_interval(secs => ${baselineHours * 3600}) offset 0) r)
    select account_id as id, null::int as bin, sum(requests)::float8 as requests, sum(failed)::float8 as failed
      from past group by 1
    union all
    select p.account_id, b.bin::int - 1, sum(b.requests)::float8, 0
      from past p, unnest(p.latency) with ordinality as b(requests, bin) where b.requests > 0 group by 1, 2`;
  const pasts = new Map<string, AccountPast>();
  for (const { id, bin, requests, failed } of rows) {
    const past = pasts.get(id) ?? { requests: 0, failed: 0, latency: [] };
    pasts.set(id, past);
    if (bin === null) Object.assign(past, { requests, failed });
    else {
      while (past.latency.length <= bin) past.latency.push(0);
      past.latency[bin] = requests;
    }
  }
  return pasts;
}
