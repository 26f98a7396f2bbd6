/**
 * What the new release of the last upgrade sent and wrote while it was at work, by account.
 *
 * Invariant: a page costs what its accounts cost, and is looked for among a bounded number of accounts: it may be short, with more
 * behind it. The total is one pass over the domain, which the first page alone makes.
 */
import { countRequests, countRequestsAbout } from '../../access/audit/request-counts.ts';
import { type EffectCounts, mostLookedThrough, type UpgradeEffects } from '../../api/upgrade-effects.ts';
import type { Queryable, SqlFragment } from '../../database/connection.ts';
import { countSent, type ReleaseAtWork } from '../../deliveries/release-effects.ts';
import { countMovesBetween } from '../../moves/move-reports.ts';
import { readLatestUpgrade } from '../state/upgrade-store.ts';
import { assertAccounts, assertPlanned, readAtWork } from './release-at-work.ts';

const noCounts: EffectCounts = {
  ...{ handedOut: 0, itPolicies: 0, serviceBooks: 0, synchronizations: 0, identities: 0, done: 0, failed: 0, open: 0 },
  ...{ commands: 0, moves: 0, changes: 0, onDevices: 0, sendingAgain: 0 },
};

interface EffectsPage {
  readonly account?: string | undefined;
  readonly after?: string | undefined;
  readonly limit: number;
}

/** @throws BrambleError ERR_UPGRADE_NONE, ERR_NOT_FOUND for an account that there is not. */
export async function readEffects(q: Queryable, page: EffectsPage): Promise<UpgradeEffects> {
  const upgrade = assertPlanned(await readLatestUpgrade(q));
  const atWork = await readAtWork(q, upgrade);
  const { id, fromRelease: from, toRelease: to, state } = upgrade;
  if (page.account !== undefined) await assertAccounts(q, [page.account]);
  const listed = atWork === undefined ? { accounts: [], next: null } : await listAffected(q, atWork, page);
  return {
    ...{ id, release: { from, to }, state, since: atWork?.since ?? null, until: upgrade.finishedAt },
    total: page.after === undefined && page.account === undefined ? await countAll(q, atWork) : null,
    ...listed,
  };
}

async function countAll(q: Queryable, atWork: ReleaseAtWork | undefined): Promise<EffectCounts> {
  if (atWork === undefined) return noCounts;
  const { since, until } = atWork;
  const sent = await countSent(q, atWork);
  const moves = await countMovesBetween(q, since, until);
  const parts = [
    ...sent.map(({ accountId: _, ...counts }) => counts),
    ...moves.map(({ moves: count }) => ({ moves: count })),
  ];
  const sum = { ...noCounts, changes: await countRequests(q, since, until) };
  for (const part of parts) {
    for (const [key, count] of Object.entries(part)) sum[key as keyof EffectCounts] += count;
  }
  return sum;
}

type AffectedAccount = UpgradeEffects['accounts'][number];

/** In steps: twice as many accounts each time, where few of them have any effects. */
async function listAffected(
  q: Queryable,
  atWork: ReleaseAtWork,
  { account, after = '', limit }: EffectsPage,
): Promise<Pick<UpgradeEffects, 'accounts' | 'next'>> {
  const named = async (which: SqlFragment, most: number) =>
    await q<NamedAccount[]>`
      select a.id, a.name as account, i.name as instance from account a join instance i on i.id = a.instance_id
       where ${which} order by a.name limit ${most}`;
  if (account !== undefined) {
    return { accounts: await countOf(q, atWork, await named(q`a.name = ${account}`, 1)), next: null };
  }
  const found: AffectedAccount[] = [];
  let last = after;
  let left = mostLookedThrough;
  for (let step = limit + 1; found.length <= limit && left > 0; step *= 2) {
    const most = Math.min(step, left);
    const looked = await named(q`a.name > ${last}`, most);
    found.push(...(await countOf(q, atWork, looked)));
    if (looked.length < most && found.length <= limit) return { accounts: found, next: null };
    last = looked.at(-1)?.account ?? last;
    left -= looked.length;
  }
  const accounts = found.slice(0, limit);
  return { accounts, next: found.length > limit ? (accounts.at(-1)?.account ?? null) : last };
}

interface NamedAccount {
  readonly id: string;
  readonly account: string;
  readonly instance: string;
}

/** Those of them that have any. */
async function countOf(
  q: Queryable,
  atWork: ReleaseAtWork,
  named: readonly NamedAccount[],
): Promise<AffectedAccount[]> {
  const { since, until } = atWork;
  const ids = named.map(({ id }) => id);
  const sent = new Map((await countSent(q, atWork, ids)).map(({ accountId, ...counts }) => [accountId, counts]));
  const moves = new Map((await countMovesBetween(q, since, until, ids)).map((each) => [each.accountId, each.moves]));
  const names = named.map(({ account }) => account);
  const changes = await countRequestsAbout(q, since, until, names);
  return named
    .filter(({ id, account }) => sent.has(id) || moves.has(id) || changes.has(account))
    .map(({ id, account, instance }) => ({
      ...{ account, instance, ...noCounts, ...sent.get(id) },
      ...{ moves: moves.get(id) ?? 0, changes: changes.get(account) ?? 0 },
    }));
}
