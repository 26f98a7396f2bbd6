/**
 * `bench bulk`: how many accounts a second are moved whose only device cannot be reached, under a budget that holds nothing back:
 * what the machinery can do, in a small and in a large domain. The rows come while it moves, so the database has no statistics
 * of them.
 */
import { moveOperations } from '../src/api/moves.ts';
import { until } from '../src/testing/condition.ts';
import type { RunningDomain } from '../test/harness/domain.ts';
import { setBudget } from '../test/harness/preparation.ts';
import { wideBudget, withMeasuredDomain } from './measured-domain.ts';
import { cpuPerRequest, readProcessCpu } from './process-cpu.ts';

export interface BulkOptions {
  /** Sizes of the bulks, one after the other. */
  accounts: readonly number[];
  say: (text: string) => void;
}

export interface BulkFigures {
  accounts: number;
  accountsPerSecond: number;
  /** Of the first and of the last tenth: slower the longer it goes? */
  firstPerSecond: number;
  lastPerSecond: number;
  /** Processor time for each move, by kind of process. */
  cpuUs: Record<string, number>;
}

export async function benchBulk({ accounts, say }: BulkOptions): Promise<BulkFigures[]> {
  return await withMeasuredDomain({ instances: 2, devices: 2, accounts: 2 }, say, async ({ domain }) => {
    await setBudget(domain, wideBudget);
    const figures: BulkFigures[] = [];
    for (const [index, count] of accounts.entries()) {
      figures.push(await moveBulk(domain, `bulk-${index}`, count));
      say(`  ${describeBulk(figures.slice(-1))}`);
    }
    return figures;
  });
}

/** From the instance that comes first by name to the other. */
async function moveBulk(domain: RunningDomain, name: string, count: number): Promise<BulkFigures> {
  const [from, to] = (await domain.sql<{ name: string }[]>`select name from instance order by name`) as unknown as [
    { name: string },
    { name: string },
  ];
  await addAccounts(domain, name, count, from.name);
  const before = await readProcessCpu(domain.home);
  const { batch } = await domain.api.call(moveOperations.start, { body: { from: from.name, to: to.name } });
  await until('the bulk has moved', 900_000, async () => {
    const [row] = await domain.sql`
      select count(*)::int as open from account_move where batch_id = ${batch} and committed_at is null`;
    return row?.['open'] === 0;
  });
  const cpuUs = cpuPerRequest(before, await readProcessCpu(domain.home), count);
  return { accounts: count, ...(await ratesOf(domain, batch)), cpuUs };
}

async function addAccounts(domain: RunningDomain, name: string, count: number, at: string): Promise<void> {
  await domain.sql`
    with added as (
      insert into account (id, name, display_name, instance_id)
      select gen_random_uuid(), ${name} || '-' || n, 'bulk', i.id from generate_series(1, ${count}::int) n, instance i
       where i.name = ${at}
      returning id, name, instance_id
    ), epochs as (
      insert into account_epoch (account_id, epoch, instance_id) select id, 1, instance_id from added
    )
      insert into device (id, account_id, token, platform, state, scep_challenge, identity_fingerprint, udid, os_version)
      select gen_random_uuid(), id, 'token-' || name, 'apple', 'active', '', 'fingerprint-' || name, name, '18.1' from added`;
}

async function ratesOf(
  domain: RunningDomain,
  batch: string,
): Promise<Pick<BulkFigures, 'accountsPerSecond' | 'firstPerSecond' | 'lastPerSecond'>> {
  const rows = await domain.sql<{ ms: number }[]>`
    select (extract(epoch from committed_at) * 1000)::float8 as ms from account_move
     where batch_id = ${batch} and committed_at is not null order by committed_at`;
  const rate = (of: readonly { ms: number }[]) =>
    Math.round(((of.length - 1) * 1000) / Math.max(1, (of.at(-1)?.ms ?? 0) - (of[0]?.ms ?? 0)));
  const tenth = Math.max(2, Math.ceil(rows.length / 10));
  return {
    accountsPerSecond: rate(rows),
    firstPerSecond: rate(rows.slice(0, tenth)),
    lastPerSecond: rate(rows.slice(-tenth)),
  };
}

export function describeBulk(figures: readonly BulkFigures[]): string {
  return figures
    .map(
      (each) =>
        `${each.accounts} accounts with an unreachable device each: ${each.accountsPerSecond}/s ` +
        `(first tenth ${each.firstPerSecond}/s, last ${each.lastPerSecond}/s); processor time for a move, µs: ` +
        Object.entries(each.cpuUs)
          .map(([kind, us]) => `${kind} ${us}`)
          .join(', '),
    )
    .join('\n  ');
}
