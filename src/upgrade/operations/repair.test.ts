/**
 * Repair after a bad release, from what it sent to what devices hold in the end: policy services of both releases compile, devices
 * take what they are told, and who compiled what each of them took last is read from the tables.
 */
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { upgradePlanSchema } from '../../api/upgrade-plan.ts';
import { oweDeliveries } from '../../deliveries/owe-deliveries.ts';
import { connect, db, drain, fast, one, reset, startService, two } from '../../deliveries/policy-service-fixture.ts';
import { accountItems } from '../../devices/delivery-items.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { addAccount, addDevice, type TestDevice, type TestInstance } from '../../policies/fleet-fixture.ts';
import { replacePolicyRules } from '../../policies/policy-store.ts';
import { putService } from '../../services/service-store.ts';
import { insertUpgrade } from '../state/upgrade-store.ts';
import { readEffects } from './effects.ts';
import { sendAgain } from './send-again.ts';

const [good, patch, minor] = ['1.0.0', '1.0.1', '1.1.0'];
const platforms = registeredPlatforms;

beforeEach(async () => {
  await reset();
  await db`truncate upgrade, upgrade_event, desired_process, component cascade`;
  await putService(db, '[CICAL]', { host: 'dav.example.com' });
});

/** An instance of this release is at work under its name. */
async function run({ name }: TestInstance, release: string): Promise<void> {
  const detail = { links: [{ router: 'router:3101', up: true, reconnects: 0 }], serving: true };
  await db`
    insert into desired_process (name, kind, host, release, state, settings)
    values (${name}, 'server', 'here', ${release}, 'running', '{}')
    on conflict (name) do update set release = excluded.release`;
  await db`
    insert into component (name, kind, host, boot_id, process_id, release, link_versions, features, detail, lease_until)
    values (${name}, 'server', 'here', 'boot', 1, ${release}, '{1}', '{}', ${db.json(detail)}, now() + interval '1 hour')
    on conflict (name) do update set release = excluded.release`;
}

/** The domain became that of the release an hour ago. */
async function upgradeTo(toRelease: string, progress: object): Promise<void> {
  const plan = upgradePlanSchema.parse({ options: {} });
  await db.begin((tx) => insertUpgrade(tx, { fromRelease: good, toRelease, plan }));
  await db`update upgrade set state = 'soaking', progress = ${db.json(progress as never)}`;
  await db`
    insert into upgrade_event (upgrade_id, generation, state, message, at)
    select id, 1, 'admin-fenced', 'x', now() - interval '1 hour' from upgrade`;
}

const reversed = async () => await db`update upgrade set state = 'reversed', finished_at = now()`;

/** Everything that the service of this release is to send, until nothing is owed any more. */
async function compile(release: string, instance = one): Promise<void> {
  const { tick } = await startService({ release, instance, budget: fast });
  for (let turn = 0; turn < 3; turn++) await tick();
}

const owe = async (
  devices: readonly TestDevice[],
  cause: 'move' | 'policy-change' | 'service-change' | 'manual',
  items = accountItems,
) => await oweDeliveries(db, platforms, { deviceIds: devices.map(({ id }) => id), cause, budgeted: true, items });

/** Of each item, which release compiled what the device took last. */
async function held({ id }: TestDevice): Promise<Record<string, string>> {
  const rows = await db<{ item: string; release: string }[]>`
    select distinct on (d.item) d.item, d.compiled_by as release
      from delivery d join command c on c.delivery_id = d.id
     where d.device_id = ${id} and c.state = 'acknowledged' order by d.item, c.answered_at desc`;
  return Object.fromEntries(rows.map(({ item, release }) => [item, release]));
}

const allOf = (release: string) => Object.fromEntries(accountItems.map((item) => [item, release]));
const again = async (accounts?: string[]) =>
  await db.begin((tx) => sendAgain(tx, platforms, { by: 'ada', accounts, limit: 100 }));
const onDevices = async () => (await readEffects(db, { limit: 10 })).total?.onDevices;
const nobodyLeft = { left: { accounts: 0, instances: [] }, next: null };

async function deviceOf(account: string, instance = one): Promise<TestDevice> {
  return await addDevice(db, await addAccount(db, instance.id, account));
}

test('a patch in place: policies, service books and synchronizations are sent again, to a subset first, then to all', async () => {
  const [anna, bert, carl] = [await deviceOf('anna'), await deviceOf('bert'), await deviceOf('carl')];
  const everybody = [anna, bert, carl];
  await run(one, good);
  await owe(everybody, 'move');
  await compile(good);
  for (const device of everybody) await drain(device);
  await upgradeTo(patch, { replacements: [replacementOf(one)] });
  await run(one, patch);
  await replacePolicyRules(db, 'Default', { passwordRequired: true, passwordMinimumLength: 12 });
  await owe(everybody, 'policy-change', ['it-policy']);
  await putService(db, '[CICAL]', { host: 'calendar.example.com' });
  await owe(everybody, 'service-change', ['service-books']);
  await owe(everybody, 'manual', ['synchronization']);
  await compile(patch);
  for (const device of [anna, bert]) await drain(device);
  assert.deepEqual(await held(anna), allOf(patch));

  await reversed();
  await run(one, good);
  assert.equal(await onDevices(), 6);
  assert.deepEqual(await again(['anna']), { accounts: 1, deliveriesOwed: 3, ...nobodyLeft });
  await compile(good);
  for (const device of [anna, bert]) await drain(device);
  assert.deepEqual([await held(anna), await held(bert)], [allOf(good), allOf(patch)]);

  assert.deepEqual(await again(), { accounts: 2, deliveriesOwed: 6, ...nobodyLeft });
  await compile(good);
  await drain(bert);
  assert.equal((await drain(carl)).length, 3, 'what the patch had queued for it was withdrawn');
  for (const device of everybody) assert.deepEqual(await held(device), allOf(good));
  assert.equal(await onDevices(), 0);
  assert.deepEqual(await again(), { accounts: 0, deliveriesOwed: 0, ...nobodyLeft });
});

const replacementOf = ({ id, name }: TestInstance) => ({
  ...{ instanceId: id, name, host: 'here', wave: 1, processes: [name] },
  beganAt: new Date(Date.now() - 3_500_000).toISOString(),
});

test('an upgrade in phases: moving home repairs by itself, and what a device refused there is sent again', async () => {
  const [dora, emil] = [await deviceOf('dora'), await deviceOf('emil')];
  await run(one, good);
  await run(two, minor);
  await upgradeTo(minor, {
    newInstances: [
      {
        name: two.name,
        instanceId: two.id,
        replaces: one.name,
        replacesId: one.id,
        processes: [two.name],
        origin: 'added',
      },
    ],
  });
  await moveTo(two);
  await compile(minor, two);
  for (const device of [dora, emil]) await drain(device, two);
  assert.deepEqual(await held(dora), allOf(minor));

  await moveTo(one);
  await db`delete from component where name = ${two.name}`;
  await reversed();
  await compile(good);
  // Its new service books are refused, and the other device is away.
  let command = await connect(dora);
  while (command !== undefined) {
    const isRefused = await isItem(command.commandUuid, 'service-books');
    command = await connect(dora, isRefused ? 'failed' : 'done', command.commandUuid);
  }
  assert.deepEqual(await held(dora), { ...allOf(good), 'service-books': minor });
  const { accounts } = await readEffects(db, { limit: 10 });
  assert.deepEqual(
    accounts.map(({ account, onDevices: count, sendingAgain }) => [account, count, sendingAgain]),
    [
      ['dora', 1, 0],
      ['emil', 3, 3],
    ],
  );
  assert.deepEqual(await again(), { accounts: 1, deliveriesOwed: 1, ...nobodyLeft });
  await compile(good);
  for (const device of [dora, emil]) await drain(device);
  for (const device of [dora, emil]) assert.deepEqual(await held(device), allOf(good));
  assert.equal(await onDevices(), 0);
});

async function moveTo(instance: TestInstance): Promise<void> {
  await db`update account set instance_id = ${instance.id}, epoch = epoch + 1`;
  const devices = await db<TestDevice[]>`select id, account_id as "accountId", token from device`;
  await owe(devices, 'move');
}

async function isItem(commandId: string, item: string): Promise<boolean> {
  const rows = await db`
    select 1 from command c join delivery d on d.id = c.delivery_id where c.id = ${commandId} and d.item = ${item}`;
  return rows.length > 0;
}
