/** `bramble upgrade effects`, asked of this release's administration, and of one of an earlier release that lacks it. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { mostLookedThrough, mostSentAgain } from '../api/upgrade-effects.ts';
import type { InstanceId } from '../base/ids.ts';
import { seedDevice } from '../devices/device-fixture.ts';
import { startAdministration } from '../processes/administration/administration-fixture.ts';
import { startTestUpgrade } from '../processes/coordinator/coordinator-endpoint-fixture.ts';
import { ownRelease } from '../registry/own-release.ts';
import { runBramble } from './command-line-fixture.ts';

const admin = await startAdministration();
after(async () => await admin.close());
const { db } = admin;
const [major, minor] = ownRelease.split('.').map(Number);
const later = `${major}.${Number(minor) + 1}.0`;
await startTestUpgrade(db, later);
const [instance] = await db<{ id: InstanceId }[]>`select id from instance where name = 'one'`;
assert.ok(instance);
const { id: instanceId } = instance;
await db`
  insert into upgrade_event (upgrade_id, generation, state, message, at)
  select id, 1, 'admin-fenced', 'x', now() - interval '1 hour' from upgrade`;
/** Whose device has its policy from the later release. */
async function addAffected(account: string): Promise<void> {
  const { accountId, deviceId } = await seedDevice(db, instanceId, account);
  await db`
    insert into delivery (id, account_id, device_id, item, cause, budgeted, state, compiled_by, released_at, handed_out_at, settled_at)
    values (gen_random_uuid(), ${accountId}, ${deviceId}, 'it-policy', 'move', true, 'done', ${later}, now(), now(), now())`;
}
await addAffected('ada');
await db`
  insert into component (name, kind, host, boot_id, process_id, release, link_versions, features, detail, lease_until)
  values ('one', 'server', 'here', 'boot', 1, ${ownRelease}, '{1}', '{}',
          '{"links": [{"router": "r:1", "up": true, "reconnects": 0}], "serving": true}', now() + interval '1 hour')`;
const effects = async (...argv: string[]) => await runBramble(admin, ['upgrade', 'effects', ...argv]);

test('it lists what the new release did, and has it sent again once the upgrade is reversed', async () => {
  const { output } = await effects();
  assert.match(output, new RegExp(`^upgrade +${ownRelease} → ${later}, planned$`, 'm'));
  assert.match(
    output,
    /^deliveries +1 handed out: 1 IT policy, 0 sets of service books, 0 synchronizations, 0 identities$/m,
  );
  assert.match(output, new RegExp(`^on devices +1 item from ${later}$`, 'm'));
  assert.match(output, /^ada +one +1 +0 +0 +0 +1 \/ 0 \/ 0 +0 +0 +0 +1 +0 *$/m);
  assert.match((await effects('ada', 'bea')).errors, /Name one account/);
  assert.match((await effects('--send-again')).errors, /reverse it first/);
  await db`update upgrade set state = 'reversed', finished_at = now()`;
  assert.match(
    (await effects()).output,
    /on devices +1 item .*; `bramble upgrade effects --send-again` replaces them$/m,
  );
  assert.match((await effects('--send-again', 'ada')).output, /^1 delivery is owed to devices of 1 account\.$/m);
  assert.match((await effects()).output, /^on devices +1 item .*, 1 being sent again$/m);
  assert.match((await effects('--send-again')).output, /^Nothing has to be sent again\.$/m);
  await db`update component set detail = '{"serving": false}' where name = 'one'`;
  await db`delete from delivery where state = 'owed'`;
  const left = (await effects('--send-again')).output;
  assert.match(
    left,
    /^Nothing is sent again\. Left out: 1 account at one, not at work in the previous release: repeat this/m,
  );
  const recorded = await db`select from audit_record where operation = 'POST /upgrade/effects/send-again'`;
  assert.ok(recorded.length > 0, 'who had it sent again is recorded');
});

test('more accounts than a request takes are gone through one step after the other', async () => {
  await db`delete from delivery where state = 'owed'`;
  await db`
    insert into account (id, name, display_name, instance_id, epoch)
    select gen_random_uuid(), 'many-' || n, 'x', ${instanceId}, 1 from generate_series(1, ${mostSentAgain + mostLookedThrough}::int) n`;
  await addAffected('zoe');
  await db`update component set detail = jsonb_set(detail, '{serving}', 'true') || '{"links": [{"router": "r:1", "up": true, "reconnects": 0}]}'`;
  assert.match((await effects('--send-again')).output, /^2 deliveries are owed to devices of 2 accounts\.$/m);
  const behind = (await effects('--after', 'ada')).output;
  assert.match(behind, /^zoe +one +1 /m);
  assert.doesNotMatch(behind, /^deliveries /m);
  await db`delete from account where name <> 'ada'`;
});

test('beside an administration of the earlier release the list comes from the database of this home', async () => {
  const server = createServer((request, response) => {
    const isDescription = request.url === '/api/v1/openapi.json';
    response.writeHead(isDescription || request.url === '/healthz' ? 200 : 404, { 'content-type': 'application/json' });
    const missing = {
      code: 'ERR_NOT_FOUND',
      message: `There is nothing at ${request.method} ${request.url}.`,
      details: {},
    };
    response.end(
      JSON.stringify(isDescription ? { openapi: '3.1.0', info: { title: 'x', version: '1.3.0' } } : missing),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const beside = async (...argv: string[]) =>
    await runBramble({ url, token: 'x', home: admin.home }, ['upgrade', 'effects', ...argv]);
  const configuration = { database: { url: admin.databaseUrl }, host: 'here', publicPort: 0, srpPort: 0 };
  await writeFile(join(admin.home, 'config.json'), JSON.stringify(configuration));
  assert.match((await beside()).output, /^ada +one +1 /m);
  const { accounts } = JSON.parse((await beside('ada', '--json')).output) as { accounts: { account: string }[] };
  assert.deepEqual(
    accounts.map(({ account }) => account),
    ['ada'],
  );
  const refused = await beside('--send-again');
  assert.match(refused.errors, /is of 1\.3\.0 again.*`bramble device resend <id> <item>`/s);
});
