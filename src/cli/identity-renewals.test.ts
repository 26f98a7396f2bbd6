/** What an operator sees of identities that end, and how one is renewed by hand. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { startAdministration } from '../processes/administration/administration-fixture.ts';
import { runBramble } from './command-line-fixture.ts';
import { exitCode } from './exit-codes.ts';

const admin = await startAdministration();
after(async () => await admin.close());
const bramble = (...argv: string[]) => runBramble(admin, argv);
const names = ['fresh', 'due', 'ended', 'failing'] as const;
const ids = Object.fromEntries(names.map((name) => [name, randomUUID()])) as Record<(typeof names)[number], string>;
/** Until its identity ends. */
const daysLeft = { fresh: 300, due: 20, ended: -3, failing: 40 };

before(async () => {
  for (const name of names) {
    await admin.db`
      insert into account (id, name, display_name, instance_id) select ${ids[name]}, ${name}, 'x', i.id from instance i limit 1`;
    await admin.db`
      insert into device (id, account_id, token, platform, state, scep_challenge, identity_issued_at, identity_expires_at)
      values (${ids[name]}, ${ids[name]}, ${name}, 'apple', 'active', 'c', now() + make_interval(days => ${daysLeft[name] - 365}),
              now() + make_interval(days => ${daysLeft[name]}))`;
  }
  await admin.db`
    with tried as (
      insert into delivery (id, account_id, device_id, item, cause, budgeted, state, settled_at, failure)
      values (gen_random_uuid(), ${ids.failing}, ${ids.failing}, 'device-identity', 'retry', true, 'failed', now(),
              'the device answered with an error') returning id)
    insert into device_renewal (device_id, delivery_id, challenge, attempts) select ${ids.failing}, id, 'hidden', 2 from tried`;
});

test('devices whose identity ends are listed with what is done about it, and no challenge', async () => {
  const { devices } = JSON.parse((await bramble('--json', 'device', 'list', '--identity-ends', '30')).output);
  assert.deepEqual(devices.map(({ account }: { account: string }) => account).sort(), ['due', 'ended']);
  const all = await bramble('device', 'list');
  assert.match(all.output, /IDENTITY ENDS/);
  assert.match(all.output, /\d{4}-\d\d-\d\d, renewal failed/);
  assert.match(all.output, /\d{4}-\d\d-\d\d, renewal due/);
  const shown = await bramble('device', 'show', ids.failing);
  assert.match(
    shown.output,
    /failed: the device answered with an error; retried from \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S+ on \(2 tries\)/,
  );
  assert.doesNotMatch(all.output + shown.output, /hidden/);
});

test('the status counts identities and certificates, and lists those that need attention', async () => {
  const { output } = await bramble('status');
  assert.match(output, /identities +3 due for renewal: 0 under way, 0 issued and not used yet, 1 failed/);
  assert.match(output, /1 expire within 30 days, 1 have expired \(their devices are still served\)/);
  const { certificates } = JSON.parse((await bramble('status', '--json')).output);
  const next = certificates.map(({ endsAt }: { endsAt: string }) => endsAt.slice(0, 10)).sort()[0];
  assert.ok(output.includes(`certificates  ${certificates.length}; the next expires ${next} (`), output);
  assert.doesNotMatch(output, /CERTIFICATE/);
  assert.doesNotMatch(output, /^none$/m);
  assert.match(output, /^no component is registered$/m);
  await admin.db`
    insert into srp_credential (serial, identifier, certificate, expires_at)
    select 'ff', srp_identifier, '', now() + interval '5 days 1 minute' from instance where name = 'one'`;
  const warned = (await bramble('status')).output.split(/\n\n/).find((part) => part.startsWith('CERTIFICATE'));
  assert.match(
    warned ?? '',
    /^CERTIFICATE +EXPIRES +WARNING\nSRP of one +\S+ +expires in 5 days; .*start its holder.*\n?$/,
  );
});

test('an identity is renewed by hand once every component knows of renewals', async () => {
  await admin.db`
    insert into component (name, kind, host, boot_id, process_id, release, link_versions, features, lease_until)
    values ('old', 'server', 'h', 'b', 1, '1.1.0', '{1}', '{}', now())`;
  const locked = await bramble('device', 'resend', ids.fresh, 'device-identity');
  assert.equal(locked.code, exitCode.refused);
  assert.match(locked.errors, /held back by: old/);
  assert.match((await bramble('status')).output, /3 due for renewal, which starts when the upgrade is finalized/);
  await admin.db`delete from component where name = 'old'`;
  // As 1.1 left the table: between the rise of the feature level and the contraction.
  await admin.db`alter table delivery add constraint earlier check (item <> 'device-identity') not valid`;
  const early = await bramble('device', 'resend', ids.fresh, 'device-identity');
  assert.equal(early.code, exitCode.refused);
  assert.match(early.errors, /the upgrade is being finalized. Try again/);
  await admin.db`alter table delivery drop constraint earlier`;
  assert.equal((await bramble('device', 'resend', ids.fresh, 'device-identity')).code, exitCode.ok);
  const owed = await admin.db`select cause, budgeted, state from delivery where device_id = ${ids.fresh}`;
  assert.deepEqual([...owed], [{ cause: 'manual', budgeted: false, state: 'owed' }]);
  assert.match((await bramble('device', 'show', ids.fresh)).output, /under-way: on its way to the device/);
});
