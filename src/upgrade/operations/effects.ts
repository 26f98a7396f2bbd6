/**
 * What the new release of the last upgrade sent and wrote while it was at work, by account.
 *
 * Invariant: a page costs what its accounts cost. The total is one pass over the domain, which the first page alone makes.
 */
import { countRequests, countRequestsAbout } from '../../access/audit/request-counts.ts';
import type { EffectCounts, UpgradeEffects } from '../../api/upgrade-effects.ts';
import type { Queryable } from '../../database/connection.ts';
import { countSent, type ReleaseAtWork } from '../../deliveries/release-effects.ts';
import { countMovesBetween } from '../../moves/move-reports.ts';
import { readLatestUpgrade } from '../state/upgrade-store.ts';
import { assertAccounts, assertPlanned, readAtWork } from './release-at-work.ts';

const noCounts: EffectCounts = {
  ...{ handedOut: 0, itPolicies: 0, serviceBooks: 0, synchronizations: 0, identities: 0, done: 0, failed: 0, open: 0 },
  ...{ commands: 0, moves: 0, changes: 0, onDevices: 0, sendingAgain: 0 },
};

/** Accounts are looked through in steps: twice as many each time, where few of them have any effects. */
const mostLookedThrough = 5_000;

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
  const accounts = atWork === undefined ? [] : await listAffected(q, atWork, page);
  const shown = accounts.slice(0, page.limit);
  return {
    ...{ id, release: { from, to }, state, since: atWork?.since ?? null, until: upgrade.finishedAt },
    total: page.after === undefined && page.account === undefined ? await countAll(q, atWork) : null,
    accounts: shown,
    next: accounts.length > shown.length ? (shown.at(-1)?.account ?? null) : null,
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

/** One more than the page shows, if there is one. */
async function listAffected(
  q: Queryable,
  atWork: ReleaseAtWork,
  { account, after = '', limit }: EffectsPage,
): Promise<AffectedAccount[]> {
  const found: AffectedAccount[] = [];
  let last: string | undefined = after;
  for (
    let step = limit + 1;
    found.length <= limit && last !== undefined;
    step = Math.min(2 * step, mostLookedThrough)
  ) {
    const named: NamedAccount[] = await q<NamedAccount[]>`
      select a.id, a.name as account, i.name as instance from account a join instance i on i.id = a.instance_id
       where ${account === undefined ? q`a.name > ${last}` : q`a.name = ${account}`}
       order by a.name limit ${step}`;
    found.push(...(await countOf(q, atWork, named)));
    last = account === undefined && named.length === step ? named.at(-1)?.account : undefined;
  }
  return found;
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
