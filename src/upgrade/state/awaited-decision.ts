/**
 * Since when an upgrade waits for nothing but an operator who finalizes or reverses it. Until then two releases are kept at
 * work, no other upgrade can be planned, and features stay locked: whoever shows an upgrade says for how long.
 */
import type { Queryable } from '../../database/connection.ts';
import { finalDecision, upgradeStates } from './upgrade-states.ts';
import type { Upgrade } from './upgrade-store.ts';

/** Since its last wave passed, whatever it was paused for since; null while it waits for anything else. */
export async function readDecisionSince(
  q: Queryable,
  { id, state, progress }: Pick<Upgrade, 'id' | 'state' | 'progress'>,
): Promise<Date | null> {
  if (state !== 'soaking' || progress.waitingFor !== finalDecision) return null;
  return await readSoakingSince(q, id);
}

/**
 * Since when an upgrade does not come to its end, though no account is on its way to the new release: all waves have passed, or it
 * is paused, being finalized, or being reversed. A pause does not begin that anew. Null while it is moving, or not under way.
 */
export async function readHaltedSince(
  q: Queryable,
  upgrade: Pick<Upgrade, 'id' | 'state' | 'pausedFrom' | 'generation'>,
): Promise<Date | null> {
  const position = upgrade.pausedFrom ?? upgrade.state;
  if (position === 'soaking') return await readSoakingSince(q, upgrade.id);
  if (upgradeStates.has('ending', position)) {
    const [row] = await q<{ since: Date | null }[]>`
      select min(at) as since from upgrade_event where upgrade_id = ${upgrade.id} and state = ${position}`;
    return row?.since ?? null;
  }
  return await readPausedSince(q, upgrade);
}

async function readSoakingSince(q: Queryable, id: Upgrade['id']): Promise<Date | null> {
  const [row] = await q<{ since: Date | null }[]>`
    select min(e.at) as since from upgrade_event e
     where e.upgrade_id = ${id} and e.state = 'soaking'
       and e.id > (select coalesce(max(w.id), 0) from upgrade_event w
                    where w.upgrade_id = ${id} and ${upgradeStates.notIn(q, 'awaiting-decision', 'w')})`;
  return row?.since ?? null;
}

/** Null while it is not paused. */
async function readPausedSince(
  q: Queryable,
  { id, state, generation }: Pick<Upgrade, 'id' | 'state' | 'generation'>,
): Promise<Date | null> {
  if (state !== 'paused') return null;
  const [row] = await q<{ since: Date | null }[]>`
    select min(at) as since from upgrade_event where upgrade_id = ${id} and generation = ${generation}`;
  return row?.since ?? null;
}
