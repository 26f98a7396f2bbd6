/** What takes something away asks first, says how much, and does nothing without a clear yes. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { InstanceId } from '../base/ids.ts';
import { seedDevice } from '../devices/device-fixture.ts';
import { startAdministration } from '../processes/administration/administration-fixture.ts';
import { startTestUpgrade } from '../processes/coordinator/coordinator-endpoint-fixture.ts';
import { ownRelease } from '../registry/own-release.ts';
import { runBramble } from './command-line-fixture.ts';
import { exitCode } from './exit-codes.ts';

const admin = await startAdministration();
after(async () => await admin.close());
const bramble = (argv: string[], input?: string) => runBramble(admin, argv, input === undefined ? {} : { input });

const [instance] = await admin.db<{ id: InstanceId }[]>`select id from instance where name = 'one'`;
const { deviceId } = await seedDevice(admin.db, instance?.id as InstanceId, 'lost');
await admin.db`update device set model = 'iPad14,1', serial_number = 'SER77' where id = ${deviceId}`;
const devices = async () => (await admin.db`select state from device where id = ${deviceId}`)[0]?.['state'];

/** Refused without an answer, and without an error after no; what is said stands on a line of its own. */
async function asks(argv: string[], ...says: RegExp[]): Promise<void> {
  for (const [input, nothing] of [
    ['', /\[y\/N\] \nerror: Nothing was changed\. Answer y, or give --yes in scripts\./],
    ['n\n', /\[y\/N\] \nNothing was changed\.\n$/],
  ] as const) {
    const { code, errors } = await bramble(argv, input);
    assert.equal(code, exitCode.usage, errors);
    for (const said of says) assert.match(errors, said);
    assert.match(errors, nothing);
  }
}

test('deleting an IT policy asks where it is assigned, and not where it is not', async () => {
  await bramble(['policy', 'set', 'Field', '--rule', 'passwordRequired=true']);
  await bramble(['account', 'policy', 'lost', 'Field']);
  await asks(['policy', 'delete', 'Field'], /assigned to 1 account and 0 groups: 1 device will/);
  assert.equal((await bramble(['policy', 'delete', 'Field'], 'y\n')).code, exitCode.ok);
  await bramble(['policy', 'set', 'Field', '--rule', 'passwordRequired=true']);
  assert.equal((await bramble(['policy', 'delete', 'Field'])).code, exitCode.ok);
});

test('lifting TLS from all devices counts those that are under management', async () => {
  const { deviceId: gone } = await seedDevice(admin.db, instance?.id as InstanceId, 'gone');
  await admin.db`update device set tls_required_at = now(), tls_days = 3`;
  await admin.db`update device set state = 'gone' where id = ${gone}`;
  await asks(['device', 'clear-tls', '--all'], /1 device that must use TLS/);
  const cleared = await bramble(['device', 'clear-tls', '--all', '--yes']);
  assert.match(cleared.output, /^1 device may authenticate/);
});

test('retiring an instance asks by name', async () => {
  await asks(['instance', 'retire', 'one'], /^Retire one permanently\? \[y\/N\]/);
});

test('removing a device names account, model and serial number; the event says whether it is told', async () => {
  await asks(['device', 'remove', deviceId], /device of lost \(iPad14,1, serial number SER77; /);
  await bramble(['device', 'remove', deviceId, '--yes']);
  const events = await bramble(['events']);
  assert.match(events.output, /serial number SER77\) of lost; it is told to leave when it next connects/);
  await bramble(['device', 'remove', deviceId, '--silent', '--yes']);
  assert.equal(await devices(), 'gone');
});

test('deleting an account says how many devices are lost with it, and how they are told', async () => {
  await admin.db`update device set state = 'active' where id = ${deviceId}`;
  await asks(
    ['account', 'delete', 'lost'],
    /with 1 device, which are not told to leave/,
    /device remove DEVICE --tell/,
  );
  assert.equal(await devices(), 'active');
  assert.equal((await bramble(['account', 'delete', 'lost', '--yes'])).code, exitCode.ok);
  assert.equal(await devices(), undefined);
});

test('finalizing an upgrade asks on a terminal, with --yes or without a terminal it does not', async () => {
  const [major, minor] = ownRelease.split('.').map(Number);
  const later = `${major}.${Number(minor) + 1}.0`;
  const state = async () => (await admin.db`select state from upgrade where finished_at is null`)[0]?.['state'];
  const soak = async () => {
    await admin.db`truncate upgrade cascade`;
    await startTestUpgrade(admin.db, later);
    // No account is at an instance of this release any more.
    await admin.db`delete from account`;
    await admin.db`update upgrade set state = 'soaking'`;
  };
  const finalize = async (input: string, terminal: boolean, ...flags: string[]) =>
    await runBramble(admin, ['upgrade', 'finalize', ...flags], { input, terminal });
  await soak();
  const refused = await finalize('n\n', true);
  assert.equal(refused.code, exitCode.usage);
  const question = `The upgrade to ${later} becomes final; accounts cannot go back to ${ownRelease}. `;
  assert.ok(refused.errors.startsWith(question), refused.errors);
  assert.equal(await state(), 'soaking');
  const confirmed = await finalize('y\n', true);
  assert.equal(confirmed.code, exitCode.ok, confirmed.errors);
  assert.equal(await state(), 'finalizing');
  for (const [terminal, ...flags] of [[true, '--yes'], [false]] as const) {
    await soak();
    const { code, errors } = await finalize('', terminal, ...flags);
    assert.equal(code, exitCode.ok, errors);
    assert.equal(errors, '');
    assert.equal(await state(), 'finalizing');
  }
});

test('what the authorities’ rollover has no room for is refused without a question', async () => {
  for (const argv of [
    ['retire', 'domain'],
    ['switch', 'domain'],
    ['revert', 'domain'],
    ['retire', 'route-signer'],
    ['revert', 'route-signer'],
  ]) {
    const { code, errors } = await bramble(['authority', ...argv], 'y\n');
    assert.equal(code, exitCode.failed, errors);
    assert.match(
      errors,
      /^error: The .* is not being replaced\. `bramble authority roll .* Nothing was changed\. \(ERR_STATE\)\n$/,
    );
  }
  await bramble(['authority', 'roll', 'route-signer', '--yes']);
  assert.match(
    (await bramble(['authority', 'roll', 'route-signer'], 'y\n')).errors,
    /^error: .* is being replaced already: /,
  );
});
