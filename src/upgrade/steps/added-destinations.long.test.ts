/** Destinations that are added while an upgrade moves accounts: planned ones share the waves that are left, those added by hand what is assigned. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OptionsChange } from '../../api/upgrade-options.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { stepOnce } from '../../processes/coordinator/coordinator.ts';
import { assignAccount } from '../operations/account-assignment.ts';
import { finalizeByOperator, reverseByOperator } from '../operations/operator-actions.ts';
import { changeByOperator } from '../operations/options-change.ts';
import { insertTestAccount, insertTestProcess } from './domain-fixture.ts';
import { joinUpgrade, upgradeToJoin } from './instances-by-hand.ts';
import { operator, type Scene, scene, until } from './scene-fixture.ts';

const limited = { timeout: 180_000 };

async function add(it: Scene, addDestinations: NonNullable<OptionsChange['addDestinations']>) {
  const order = { ...operator, change: { addDestinations }, platforms: registeredPlatforms, host: 'here' };
  return await it.db.begin((tx) => changeByOperator(tx, order));
}

async function assign(it: Scene, account: string, instance: string, wave?: number): Promise<void> {
  const order = { ...operator, account, instance, ...(wave === undefined ? {} : { wave }) };
  await it.db.begin((tx) => assignAccount(tx, order));
}

/** As the administration does. */
async function addByHand(it: Scene, name: string): Promise<void> {
  await it.db.begin(async (tx) => {
    const upgrade = await upgradeToJoin(tx);
    assert.ok(upgrade);
    const [row] = await tx<{ id: string; srpIdentifier: string }[]>`
      insert into instance (id, name, srp_identifier)
      values (gen_random_uuid(), ${name}, 'S' || lpad(nextval('srp_number')::text, 8, '0'))
      returning id, srp_identifier as "srpIdentifier"`;
    assert.ok(row);
    await joinUpgrade(tx, upgrade, { name, ...row });
    await insertTestProcess(tx, { name, kind: 'server', release: '1.1.0' });
  });
}

/** `east 0 1.0.0` of the instances that are not retired. */
async function placed({ db }: Scene): Promise<string[]> {
  const rows = await db<{ text: string }[]>`
    select i.name || ' ' || count(a.id) || ' ' || d.release as text
      from instance i join desired_process d on d.name = i.name left join account a on a.instance_id = i.id
     where i.retired_at is null group by i.name, d.release order by i.name`;
  return rows.map(({ text }) => text);
}

test('one that is added on the way shares what has not begun, but not what was assigned by hand', limited, async () => {
  const it = await scene({ canaries: ['east-0'], wavePercentages: [100] });
  const context = it.context('one');
  await until(it, context, ['moving']);
  await assign(it, 'east-1', 'east-1-1');
  await add(it, { east: [{ name: 'further' }] });
  await until(it, context, ['soaking']);
  assert.deepEqual(await placed(it), [
    'east 0 1.0.0',
    'east-1-1 2 1.1.0',
    'further 1 1.1.0',
    'west 0 1.0.0',
    'west-1-1 3 1.1.0',
  ]);
  const [assigned] = await it.db`
    select i.name from account a join instance i on i.id = a.instance_id where a.name = 'east-1'`;
  assert.equal(assigned?.['name'], 'east-1-1');
  const events = await it.db<{ message: string }[]>`select message from upgrade_event order by id`;
  const log = events.map(({ message }) => message).join('\n');
  assert.match(log, /destinations added by tester: further on here for east/);
  assert.match(log, /instance further is added for east, and takes 1 account of waves that have not begun/);

  await insertTestAccount(it.db, 'late', 'east');
  await insertTestAccount(it.db, 'later', 'east');
  for (let round = 0; round < 50 && (await placed(it))[0] !== 'east 0 1.0.0'; round++) {
    await stepOnce(context);
    await it.world();
  }
  await until(it, context, ['soaking']);
  assert.ok((await placed(it)).includes('further 2 1.1.0'), 'latecomers keep to the shares');
  await it.db.begin((tx) => reverseByOperator(tx, operator));
  await until(it, context, ['reversed']);
  assert.deepEqual(await placed(it), ['east 5 1.0.0', 'west 3 1.0.0']);
});

test('what cannot be added is refused before anything changes', limited, async () => {
  const it = await scene({ canaries: ['east-0'] });
  const context = it.context('one');
  await assert.rejects(add(it, { east: [{}] }), { code: 'ERR_UPGRADE_STATE', message: /once they have passed/ });
  await until(it, context, ['moving']);
  const before = JSON.stringify((await it.upgrade()).plan);
  const refused: [Parameters<typeof add>[1], RegExp][] = [
    [{ esat: [{}] }, /No instance takes over from esat, but from: east, west/],
    [{ 'east-1-1': [{}] }, /No instance takes over from east-1-1/],
    [{ east: [{ host: 'nowhere' }] }, /Nothing can be added on nowhere, .*usable: here/],
    [{ east: [{ name: 'west' }] }, /The name west is already taken/],
    [{ east: [{ name: 'west-1-1' }] }, /The name west-1-1 is already taken/],
    [{ east: [{ name: 'No' }] }, /No is not a valid instance name/],
    [{ east: [{ name: 'same' }], west: [{ name: 'same' }] }, /The name same is already taken/],
    [{ east: Array.from({ length: 20 }, () => ({})) }, /east would have 21 destinations, and may have 20/],
  ];
  for (const [wish, message] of refused) {
    await assert.rejects(add(it, wish), { code: 'ERR_UPGRADE_INSTANCE', message });
  }
  assert.equal(JSON.stringify((await it.upgrade()).plan), before);
  await until(it, context, ['soaking']);
  await it.db.begin((tx) => reverseByOperator(tx, operator));
  await assert.rejects(add(it, { east: [{}] }), { code: 'ERR_UPGRADE_STATE', message: /can no longer be changed/ });
  await assert.rejects(it.db.begin(upgradeToJoin), {
    code: 'ERR_UPGRADE_STATE',
    message: /Add it when the upgrade is reversed/,
  });
});

for (const reuseInstances of [false, true]) {
  const how = reuseInstances ? 'beside reused ones' : 'beside new ones';
  test(
    `one that is added by hand takes what is assigned, ${how}, and stays in the end, or in the release before`,
    limited,
    async () => {
      const it = await scene({ reuseInstances, canaries: ['east-0'], wavePercentages: [100] });
      const context = it.context('one');
      assert.equal(await it.db.begin(upgradeToJoin), undefined, 'before the fence it is one of the old release');
      await until(it, context, ['moving']);
      await addByHand(it, 'hand');
      await assign(it, 'west-1', 'hand');
      await assign(it, 'east-1', 'hand');
      await until(it, context, ['soaking']);
      assert.ok((await placed(it)).includes('hand 2 1.1.0'));
      if (reuseInstances) {
        await assert.rejects(assign(it, 'east-2', 'east'), {
          code: 'ERR_INPUT',
          message: /east-2 came from east, which was emptied/,
        });
      }
      await insertTestAccount(it.db, 'new', 'hand');
      await it.db.begin((tx) => reverseByOperator(tx, operator));
      await until(it, context, ['reversed']);
      assert.deepEqual(await placed(it), ['east 4 1.0.0', 'hand 0 1.0.0', 'west 3 1.0.0']);
    },
  );
}

test('one that was added by hand keeps its accounts when the upgrade is finalized', limited, async () => {
  const it = await scene({ canaries: ['east-0'], wavePercentages: [100], oldInstances: 'retire' });
  const context = it.context('one');
  await until(it, context, ['moving']);
  await addByHand(it, 'hand');
  await assign(it, 'west-1', 'hand');
  await until(it, context, ['soaking']);
  await it.db.begin((tx) => finalizeByOperator(tx, operator));
  await until(it, context, ['done']);
  assert.deepEqual(await placed(it), ['east-1-1 3 1.1.0', 'hand 1 1.1.0', 'west-1-1 2 1.1.0']);
});
