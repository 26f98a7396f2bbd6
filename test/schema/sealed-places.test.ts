/**
 * What the database holds under the master key is on one list, from which a rotation seals it again. A place that is not would
 * lose its values with the key: so every column of bytes is on that list or among those that are not sealed, and every file that
 * seals something is one whose place is known.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { isTestSupport } from '../../scripts/layers/imports.ts';
import { openDatabase } from '../../src/database/connection.ts';
import { createTestDatabase } from '../../src/database/database-fixture.ts';
import { registeredPlatforms } from '../../src/platforms/registered/platforms.ts';
import { sealedPlaces } from '../../src/processes/administration/sealed-places.ts';

const checkout = path.join(import.meta.dirname, '..', '..');
const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 1 });
after(async () => await db.end());
const names = sealedPlaces(registeredPlatforms).map(({ name }) => name);

/** Columns of bytes that nothing has sealed. */
const plain: Readonly<Record<string, string>> = {
  'activation_password.digest': 'of a password',
  'activation_password.salt': 'of a digest',
  'activation_password.selector_digest': 'of a public selector',
  'administrator_browser.digest': 'of a cookie',
  'administrator_passkey.credential': 'public',
  'administrator_passkey.public_key': 'public',
  'administrator_session.digest': 'of a cookie',
  'administrator_token.digest': 'of a token',
  'api_token.digest': 'of a token',
  'audit_cut.chain': 'a digest',
  'audit_seal.chain': 'a digest',
  'audit_seal.content': 'a digest',
  'authority.certificate': 'public',
  'command.body': 'what the device is sent',
  'device.identity_certificate': 'public',
  'device.identity_key': 'a digest',
  'device.push_token': 'of the push service',
  'device_renewal.identity_certificate': 'public',
  'device_renewal.identity_key': 'a digest',
  'device_user.push_token': 'of the push service',
  'host.public_key': 'public',
  'host_invitation.answer': 'encrypted to the host',
  'release_file.contents': 'public',
  'sign_in_challenge.browser': 'of a cookie',
  'sign_in_code.digest': 'of a code',
  'sign_in_try.subject': 'of a name',
  'srp_credential.certificate': 'public',
  'srp_renewal.certificate': 'public',
};

test('every column of bytes is sealed again by a rotation, or is not sealed', async () => {
  const rows = await db<{ name: string }[]>`
    select table_name || '.' || column_name as name from information_schema.columns
     where table_schema = 'public' and data_type = 'bytea' order by 1`;
  const known = [...names.filter((name) => !name.startsWith('setting/')), ...Object.keys(plain)].sort();
  assert.deepEqual(
    rows.map((row) => row.name),
    known,
  );
});

/** Files that seal, with the places that they seal for. */
const sealing: Readonly<Record<string, readonly string[]>> = {
  'src/access/openid/sealed-client-secret.ts': ['openid_provider.secret'],
  'src/access/sign-in/totp.ts': ['administrator.totp'],
  'src/database/sealed-place.ts': names,
  'src/access/idempotency.ts': ['idempotency_key.answer'],
  'src/devices/announcements.ts': ['device.unlock_token', 'device.bootstrap_token'],
  'src/domain/authorities.ts': ['authority.private_key', 'domain_key.private_key', 'domain_key_other.private_key'],
  'src/hosts/sealed-invitation.ts': ['host_invitation.secrets'],
  'src/notices/mail-server-store.ts': ['notice_mail_server.password'],
  'src/notices/sealed-webhook.ts': ['notice_target.sealed'],
  'src/processes/administration/push-settings-store.ts': ['setting/push'],
};

test('every file that seals a value does it for a place that is sealed again', () => {
  const files = globSync('src/**/*.ts', { cwd: checkout })
    .filter((file) => !isTestSupport(file) && file !== 'src/database/sealed-value.ts')
    .filter((file) => /\bsealValue\(/.test(readFileSync(path.join(checkout, file), 'utf8')));
  assert.deepEqual(files.sort(), Object.keys(sealing).sort());
  assert.deepEqual([...new Set(Object.values(sealing).flat())].sort(), [...names].sort());
});
