/** For tests: what holds of a domain whose upgrade is done or reversed, whatever happened on the way. By plain SQL. */
import assert from 'node:assert/strict';
import { compareReleases } from '../../base/release-number.ts';
import { canFollow, isPausable, type UpgradePosition, type UpgradeState } from '../state/upgrade-states.ts';
import { listUpgradeEvents } from '../state/upgrade-store.ts';
import type { Scene } from './scene-fixture.ts';

export async function assertWhole({ db, upgrade }: Scene, toRelease: string): Promise<void> {
  const ended = await upgrade();
  const release = ended.state === 'done' ? toRelease : '1.0.0';
  const level = ended.plan.patch ? '1.0.0' : release;
  const [domain] = await db<{ release: string; level: string }[]>`select release, feature_level as level from domain`;
  assert.deepEqual({ ...domain }, { release, level });
  const components = await db<{ release: string }[]>`select release from component where kind <> 'coordinator'`;
  for (const component of components) assert.equal(compareReleases(component.release, release), 0);
  const lost = await db`
    select 1 from account a join instance i on i.id = a.instance_id
     where i.retired_at is not null or ${release} = '1.0.0' and i.name like '%-1-1'`;
  if (ended.plan.inPlace) assert.equal((await db`select 1 from account_move`).length, 0, 'in place nobody moves');
  assert.equal(lost.length, 0, 'no account is left at an instance that is gone');
  const epochs = await db`
    select 1 from account a where a.epoch <> (select max(e.epoch) from account_epoch e where e.account_id = a.id)
        or a.instance_id <> (select e.instance_id from account_epoch e where e.account_id = a.id and e.epoch = a.epoch)`;
  assert.equal(epochs.length, 0, 'who owned an account at which epoch is on record');
  assert.equal((await db`select 1 from account where name like 'east-%' or name like 'west-%'`).length, 6);
  assert.equal((await db`select 1 from account_move where state in ('queued', 'reserved', 'fenced')`).length, 0);
  let position: UpgradePosition = { state: 'planned', pausedFrom: null };
  for (const event of await listUpgradeEvents(db, ended.id)) {
    const state = event.state as UpgradeState;
    if (state === position.state) continue;
    assert.ok(canFollow(position, state), `${position.state} to ${state}`);
    if (state !== 'paused') position = { state, pausedFrom: null };
    else if (isPausable(position.state)) position = { state, pausedFrom: position.state };
  }
}
