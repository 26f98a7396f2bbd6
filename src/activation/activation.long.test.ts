import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isBrambleError } from '../base/errors.ts';
import type { DeviceId } from '../base/ids.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { registeredPlatforms } from '../platforms/registered/platforms.ts';
import { parseEnrollmentProfile } from '../protocol/apple/enrollment-profile.ts';
import { verifyAttached } from '../protocol/cms/verification.ts';
import { fingerprintOf } from '../protocol/x509/certificate-fields.ts';
import { type Activation, createActivation } from './activation.ts';
import {
  type ActivationFixture,
  activationPasswordState,
  createActivationFixture,
  testDomain,
} from './activation-fixture.ts';
import { activationTries, consumeActivationPassword, setActivationPassword } from './activation-password.ts';
import { digestActivationPassword, matchesActivationPassword } from './activation-secret.ts';
import { offerDevice } from './device-offer.ts';
import { createPasswordChecks } from './password-checks.ts';

const { url } = await createTestDatabase();
let fixture: ActivationFixture;
let activation: Activation;
before(async () => {
  fixture = await createActivationFixture(url);
  const { db, authorities, here } = fixture;
  activation = createActivation({
    ...{ platforms: registeredPlatforms, isFeatureActive: async () => true },
    db,
    instanceId: here.id,
    domain: async () => testDomain,
    authorities: async () => authorities,
  });
});
after(async () => {
  await fixture.close();
});

function check(accountName: string, password: string, instance = fixture.here) {
  return createPasswordChecks({ db: fixture.db, instanceId: instance.id }).check({ accountName, password });
}

/** A guess that has the password's selector, and a wrong secret. */
const guessOf = (password: string, secret = 'wrong') => `${password.split('-')[0]}-${secret}`;

/** Gives the account a password as 1.1 does: ten characters, and nothing in columns that it does not know. */
async function setOldPassword(name: string, password = 'h7kqm-x2d9w'): Promise<string> {
  const { salt, digest } = await digestActivationPassword(password);
  await fixture.db`
    with locked as materialized (select id from account where name = ${name} for share)
    insert into activation_password as p (account_id, salt, digest, expires_at, tries_left, created_at)
    select locked.id, ${salt}::bytea, ${digest}::bytea, clock_timestamp() + make_interval(secs => ${3600}),
      ${5}::int, clock_timestamp()
    from locked
    on conflict (account_id) do update
      set salt = excluded.salt, digest = excluded.digest, expires_at = excluded.expires_at,
        tries_left = excluded.tries_left, created_at = excluded.created_at`;
  return password;
}

function activate(accountName: string, password: string, platform: 'apple' | 'agent' = 'apple', signed = false) {
  return activation.activate({ accountName, password, platform, signed });
}

async function triesLeft(name: string): Promise<number | undefined> {
  return (await activationPasswordState(fixture.db, name))?.triesLeft;
}

async function deviceCount(accountId: string): Promise<number> {
  const [row] = await fixture.db<{ n: number }[]>`
    select count(*)::int as n from device where account_id = ${accountId} and state <> 'gone'`;
  return row?.n ?? 0;
}

test('the right password costs no try, however it is typed, and a wrong one costs one', async () => {
  const { name, password } = await fixture.account();
  assert.match(password, /^([a-hjkmnp-z2-9]{6}-){2}[a-hjkmnp-z2-9]{6}$/);
  for (const typed of [` ${password.toUpperCase().replace('-', ' ')} `, password.replaceAll('-', '\u2013')]) {
    assert.equal((await check(name, typed)).kind, 'accepted');
  }
  assert.equal(await triesLeft(name), activationTries);
  assert.deepEqual(await check(name, guessOf(password)), { kind: 'wrong', triesLeft: activationTries - 1 });
  assert.equal((await check(name, password)).kind, 'accepted');
  assert.equal(await triesLeft(name), activationTries - 1);
});

test('guesses without the selector cost no try and no digest, however many there are', async () => {
  const { name, password } = await fixture.account();
  const checks = createPasswordChecks({ db: fixture.db, instanceId: fixture.here.id });
  for (const guess of ['', 'wrong', password.slice(1), password.slice(0, 5), password.split('-').reverse().join('-')]) {
    const outcomes = Promise.all([1, 2, 3].map(() => checks.check({ accountName: name, password: guess })));
    assert.deepEqual(await outcomes, [{ kind: 'selector' }, { kind: 'selector' }, { kind: 'selector' }]);
  }
  assert.equal(await triesLeft(name), activationTries);
  assert.equal(checks.comparisons, 0);
  assert.equal((await checks.check({ accountName: name, password })).kind, 'accepted');
  assert.equal(checks.comparisons, 1);
});

test('a password of 1.1 is taken, typed as then, and its five guesses are counted', async () => {
  const { name, password } = await fixture.account();
  const old = await setOldPassword(name);
  assert.equal((await check(name, old.toUpperCase().replace('-', ''))).kind, 'accepted');
  assert.equal((await check(name, password)).kind, 'wrong', 'the selector of the password before counts no more');
  for (let i = 1; i < activationTries; i += 1) assert.equal((await check(name, `guess-${i}`)).kind, 'wrong');
  assert.equal((await check(name, old)).kind, 'exhausted');
  const fresh = await fixture.db.begin((tx) => setActivationPassword(tx, name));
  assert.ok(fresh !== 'not-found');
  assert.equal((await check(name, old)).kind, 'selector');
  assert.equal((await check(name, fresh.password)).kind, 'accepted');
});

test('the digest is over the whole password, as 1.1 compares it', async () => {
  const { id, password } = await fixture.account();
  const [row] = await fixture.db<{ salt: Buffer; digest: Buffer }[]>`
    select salt, digest from activation_password where account_id = ${id}`;
  assert.ok(row);
  assert.equal(await matchesActivationPassword(password, row), true);
});

test('of 20 guesses at once exactly 5 are compared, and then even the right password is refused', async () => {
  const { name, password } = await fixture.account();
  const guesses = Array.from({ length: 20 }, (_, i) => check(name, guessOf(password, `guess-${i}`)));
  const outcomes = await Promise.all(guesses);
  const kinds = outcomes.map((outcome) => outcome.kind);
  assert.equal(kinds.filter((kind) => kind === 'wrong').length, activationTries);
  assert.equal(kinds.filter((kind) => kind === 'exhausted').length, 20 - activationTries);
  assert.equal((await check(name, password)).kind, 'exhausted');
  assert.equal(await triesLeft(name), 0);
});

test('a new password brings new tries and ends the earlier one', async () => {
  const { name, password } = await fixture.account();
  for (let i = 0; i < activationTries; i += 1) await check(name, guessOf(password));
  assert.equal((await check(name, password)).kind, 'exhausted');
  const fresh = await fixture.db.begin((tx) => setActivationPassword(tx, name, 1));
  assert.ok(fresh !== 'not-found');
  assert.equal((await check(name, password)).kind, 'selector');
  assert.equal((await check(name, fresh.password)).kind, 'accepted');
});

test('an expired password is refused, and so are an unknown account and one without a password', async () => {
  const { id, name, password } = await fixture.account();
  await fixture.db`update activation_password set expires_at = now() where account_id = ${id}`;
  assert.equal((await check(name, password)).kind, 'expired');
  await fixture.db`delete from activation_password where account_id = ${id}`;
  assert.equal((await check(name, password)).kind, 'none');
  assert.equal((await check('nobody', password)).kind, 'none');
  assert.equal(await fixture.db.begin((tx) => setActivationPassword(tx, 'nobody')), 'not-found');
});

test('a password is valid for 48 hours, and for 720 at most', async () => {
  const { name } = await fixture.account();
  const validHours = async (hours?: number) => {
    const issued = await fixture.db.begin((tx) => setActivationPassword(tx, name, hours));
    assert.ok(issued !== 'not-found');
    return Math.round((issued.expiresAt.getTime() - Date.now()) / 3_600_000);
  };
  assert.equal(await validHours(), 48);
  assert.equal(await validHours(720), 720);
  for (const hours of [0, 721, -1, Number.NaN]) {
    await assert.rejects(validHours(hours), (error) => isBrambleError(error, 'ERR_ACTIVATION_VALIDITY'));
  }
});

test('another instance names the owner and spends no try', async () => {
  const { id, name, password } = await fixture.account();
  const owner = fixture.here.srpIdentifier;
  assert.deepEqual(await check(name, 'wrong', fixture.there), { kind: 'not-owner', owner });
  assert.equal(await triesLeft(name), activationTries);
  await fixture.mark(id);
  assert.deepEqual(await check(name, 'wrong'), { kind: 'moving' });
  assert.deepEqual(await activate(name, password), { kind: 'moving' });
  assert.equal(await triesLeft(name), activationTries);
});

test('a guess under a move that commits in mid-statement spends no try here', async () => {
  const { id, name, password } = await fixture.account();
  const outcome = await fixture.moveUnder(id, () => check(name, guessOf(password)));
  assert.deepEqual(outcome, { kind: 'not-owner', owner: fixture.there.srpIdentifier });
  assert.equal(await triesLeft(name), activationTries);
});

test('an offer under a move that commits in mid-statement is not written', async () => {
  const { id } = await fixture.account();
  const request = { accountId: id, instanceId: fixture.here.id, platform: 'apple' } as const;
  const outcome = await fixture.moveUnder(id, () => offerDevice(fixture.db, request));
  assert.deepEqual(outcome, { kind: 'not-owner', owner: fixture.there.srpIdentifier });
  assert.equal(await deviceCount(id), 0);
});

test('an activation answers a profile with the addresses of the domain and the token of the device', async () => {
  const { name, password } = await fixture.account();
  const outcome = await activate(name.toUpperCase(), password);
  assert.ok(outcome.kind === 'offer');
  assert.equal(outcome.contentType, 'application/x-apple-aspen-config');
  const [device] = await fixture.db`
    select token, scep_challenge, state, platform from device where id = ${outcome.deviceId}`;
  const token = String(device?.['token']);
  assert.equal(token.length, 43);
  assert.equal(device?.['state'], 'offered');
  const profile = parseEnrollmentProfile(outcome.body);
  assert.equal(profile.serverUrl, `${testDomain.publicUrl}/mdm/${token}/connect`);
  assert.equal(profile.checkInUrl, `${testDomain.publicUrl}/mdm/${token}/checkin`);
  assert.equal(profile.topic, testDomain.wakeChannel);
  assert.equal(profile.scepUrl, `${testDomain.publicUrl}/scep/${token}`);
  assert.equal(profile.challenge, device?.['scep_challenge']);
  assert.equal(profile.keySizeBits, 2048);
  const { domain, device: deviceAuthority } = fixture.authorities;
  assert.deepEqual(
    profile.authorityCertificatesDer.map(fingerprintOf),
    [domain, deviceAuthority].map((authority) => fingerprintOf(authority.certificateDer)),
  );
});

test('a signed profile is the plain one in a signature of the profile signer', async () => {
  const { name, password } = await fixture.account();
  const plain = await activate(name, password);
  const signed = await activate(name, password, 'apple', true);
  assert.ok(plain.kind === 'offer' && signed.kind === 'offer');
  const verified = verifyAttached(signed.body);
  assert.equal(verified.fingerprint, fingerprintOf(fixture.authorities.profileSigner.certificateDer));
  assert.deepEqual(Buffer.from(verified.content), plain.body);
});

test('a repeated download is the same offer, also when two come at once', async () => {
  const { id, name, password } = await fixture.account();
  const outcomes = await Promise.all([activate(name, password), activate(name, password), activate(name, password)]);
  const bodies = outcomes.map((outcome) => (outcome.kind === 'offer' ? outcome.body.toString() : outcome.kind));
  assert.equal(new Set(bodies).size, 1);
  assert.equal(await deviceCount(id), 1);
});

test('a download after the identity was issued is a fresh offer, and the unfinished one is gone', async () => {
  const { id, name, password } = await fixture.account();
  const first = await activate(name, password);
  assert.ok(first.kind === 'offer');
  await fixture.db`update device set state = 'certified' where id = ${first.deviceId}`;
  const second = await activate(name, password);
  assert.ok(second.kind === 'offer');
  assert.notEqual(second.deviceId, first.deviceId);
  assert.equal(await deviceCount(id), 1);
});

test('a completed enrolment ends its password, and spares one that was set for another device', async () => {
  const { name, password } = await fixture.account();
  const outcome = await activate(name, password);
  assert.ok(outcome.kind === 'offer');
  await fixture.db`update device set state = 'active' where id = ${outcome.deviceId}`;
  const complete = (deviceId: DeviceId, instanceId = fixture.here.id) =>
    consumeActivationPassword(fixture.db, { deviceId, instanceId });
  assert.equal(await complete(outcome.deviceId, fixture.there.id), false);
  assert.equal((await check(name, password)).kind, 'accepted');
  assert.equal(await complete(outcome.deviceId), true);
  assert.deepEqual(await activate(name, password), { kind: 'refused', reason: 'none' });
  const next = await fixture.db.begin((tx) => setActivationPassword(tx, name));
  assert.ok(next !== 'not-found');
  assert.equal(await complete(outcome.deviceId), true);
  const second = await activate(name, next.password);
  assert.ok(second.kind === 'offer' && second.deviceId !== outcome.deviceId);
  const [first] = await fixture.db`select state from device where id = ${outcome.deviceId}`;
  assert.equal(first?.['state'], 'active');
});

test('ending a password under a move that commits in mid-statement leaves it', async () => {
  const device = await fixture.offeredDevice();
  const deviceId = device.deviceId as DeviceId;
  const ended = await fixture.moveUnder(device.accountId, () =>
    consumeActivationPassword(fixture.db, { deviceId, instanceId: fixture.here.id }),
  );
  assert.equal(ended, false);
  const left = await fixture.db`select from activation_password where account_id = ${device.accountId}`;
  assert.equal(left.length, 1);
});

test('what cannot be an account name is refused like an unknown one', async () => {
  for (const name of ['', 'a b', 'a\u0000b', '../x', 'x'.repeat(5000)]) {
    assert.deepEqual(await activate(name, 'whatever'), { kind: 'refused', reason: 'none' });
  }
});
