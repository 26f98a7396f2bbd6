/** When the new release of the last upgrade was at work, and where: from the upgrade's row and its log. */
import { BrambleError } from '../../base/errors.ts';
import type { Queryable } from '../../database/connection.ts';
import type { ReleaseAtWork } from '../../deliveries/release-effects.ts';
import { listUpgradeEvents, type Upgrade, type UpgradeEvent } from '../state/upgrade-store.ts';

/** The last one, if there is one. @throws BrambleError ERR_UPGRADE_NONE */
export function assertPlanned(latest: Upgrade | undefined): Upgrade {
  if (latest !== undefined) return latest;
  throw new BrambleError('ERR_UPGRADE_NONE', 'No upgrade has been planned yet, so there are no effects of one.');
}

/** Undefined if the domain never was the new release's. */
export async function readAtWork(q: Queryable, upgrade: Upgrade): Promise<ReleaseAtWork | undefined> {
  const events = await listUpgradeEvents(q, upgrade.id);
  const fenced = events.find(({ state }) => state === 'admin-fenced');
  if (fenced === undefined) return undefined;
  const { newInstances, replacements } = upgrade.progress;
  const until = upgrade.finishedAt;
  const added = newInstances.filter(({ origin }) => origin === 'added');
  return {
    ...{ release: upgrade.toRelease, since: fenced.at, until },
    instances: [
      ...added.map(({ instanceId: id }) => ({ id, from: fenced.at, until })),
      ...replacements.flatMap(({ instanceId: id, beganAt }) =>
        beganAt === undefined ? [] : [{ id, from: new Date(beganAt), until }],
      ),
      ...reusedInstances(events, upgrade),
    ],
  };
}

/** Emptied instances that became destinations, by the log: while reversing they leave the list of new ones. */
function reusedInstances(
  events: readonly UpgradeEvent[],
  { toRelease, finishedAt }: Pick<Upgrade, 'toRelease' | 'finishedAt'>,
): ReleaseAtWork['instances'][number][] {
  const changes = events.flatMap(({ at, detail: { instanceId: id, release } }) =>
    typeof id === 'string' && typeof release === 'string' ? [{ at, id, release }] : [],
  );
  return changes.flatMap(({ at, id, release }, index) => {
    if (release !== toRelease) return [];
    const back = changes.slice(index + 1).find((change) => change.id === id);
    return [{ id, from: at, until: back?.at ?? finishedAt }];
  });
}

/** @throws BrambleError ERR_NOT_FOUND */
export async function assertAccounts(q: Queryable, names: readonly string[]): Promise<void> {
  const rows = await q<{ name: string }[]>`select name from account where name = any(${names as string[]}::text[])`;
  const known = new Set(rows.map(({ name }) => name));
  const unknown = names.filter((name) => !known.has(name));
  if (unknown.length === 0) return;
  throw new BrambleError('ERR_NOT_FOUND', `There is no account named ${unknown.slice(0, 10).join(', ')}.`);
}
