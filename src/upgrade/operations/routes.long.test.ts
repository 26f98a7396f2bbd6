import assert from 'node:assert/strict';
import { cp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createToken } from '../../access/administrator-tokens.ts';
import { rightsOf } from '../../api/rights.ts';
import type { ExpectedTimes } from '../../api/upgrade-report.ts';
import { openDatabase } from '../../database/connection.ts';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { readDomain } from '../../domain/domain.ts';
import { readReleaseSigner } from '../../domain/release-signer.ts';
import {
  startCoordinatorEndpoint,
  startTestUpgrade,
} from '../../processes/coordinator/coordinator-endpoint-fixture.ts';
import { readArchive } from '../../release/archive.ts';
import { formatRotation } from '../../release/signature.ts';
import { testSigner, writeTestArchive } from '../../release/signed-archive-fixture.ts';
import { jsonCaller } from '../../rest/json-call-fixture.ts';
import { trustRelease } from '../fence/release-trust.ts';
import { testRehearsal } from '../plan/rehearsal-fixture.ts';
import { recordRehearsal } from '../plan/rehearsal-record.ts';
import { readUpgradeReport } from '../report/report.ts';
import { reportText } from '../report/report-text.ts';
import { readLatestUpgrade } from '../state/upgrade-store.ts';
import { insertTestDomain, insertTestInstance } from '../steps/domain-fixture.ts';
import { startPlanningService } from './planning-service-fixture.ts';

const database = await createTestDatabase();
const db = openDatabase(database.url, { applicationName: 'bramble/test', max: 3 });
await insertTestDomain(db);
await insertTestInstance(db, { name: 'east', accounts: 3 });
const token = String(await db.begin((tx) => createToken(tx, 'ada')));
const endpoint = await startCoordinatorEndpoint(db, (_request, response) => {
  response.end('ok');
  return true;
});
const { home } = endpoint;
const planning = await startPlanningService(db, home);
const { post } = planning;
after(async () => {
  await planning.close();
  await endpoint.close();
  await db.end({ timeout: 5 });
});

async function call(method: string, path: string, body?: object, bearer = token) {
  const { status, body: answered } = await jsonCaller({ url: endpoint.url, token: bearer })(method, path, body);
  const answer = answered as Record<string, unknown>;
  return { status, code: answer['code'], state: answer['state'], answer };
}

const setState = async (state: string) => {
  await db`update upgrade set state = ${state}, generation = generation + 1 where finished_at is null`;
};

/** Where all accounts are. */
const setReleaseOfEast = async (release: string) => {
  await db`update desired_process set release = ${release} where name = 'east'`;
  await db`update component set release = ${release} where name = 'east'`;
};

test('without an upgrade the coordinator answers ERR_UPGRADE_NONE, and a wrong token is refused', async () => {
  assert.deepEqual(
    [(await call('GET', '/upgrade')).status, (await call('GET', '/upgrade')).code],
    [404, 'ERR_UPGRADE_NONE'],
  );
  assert.equal((await call('POST', '/upgrade/pause')).code, 'ERR_UPGRADE_NONE');
  assert.equal((await call('GET', '/upgrade', undefined, 'wrong')).status, 401);
});

test('what is no path is refused with a code, as by an administration service', async () => {
  for (const name of ['%ff', '%', 'a'.repeat(500)]) {
    const { status, code } = await call('PUT', `/accounts/${name}/assignment`, {});
    assert.deepEqual([status, code], [400, 'ERR_INPUT']);
  }
});

test('its address stands in coordinator.json for its owner alone, and what it does not take names the reason', async () => {
  assert.equal(JSON.parse(await readFile(join(home, 'coordinator.json'), 'utf8')).url, endpoint.url);
  assert.equal((await stat(join(home, 'coordinator.json'))).mode & 0o777, 0o600);
  assert.equal((await call('GET', '/accounts')).code, 'ERR_RELEASE_FENCED');
  assert.equal((await call('POST', '/upgrade/plan', {})).code, 'ERR_RELEASE_FENCED');
  assert.equal((await fetch(`${endpoint.url}/healthz`)).status, 200);
});

test('an operator pauses, resumes, finalizes and reverses while no administration service is at work', async () => {
  await startTestUpgrade(db);
  assert.equal((await call('POST', '/upgrade/finalize', {})).code, 'ERR_UPGRADE_STATE');
  await setState('moving');
  assert.equal((await call('POST', '/upgrade/pause', { reason: 'lunch' })).state, 'paused');
  const paused = await call('GET', '/upgrade');
  assert.equal(paused.answer['pauseReason'], 'by ada: lunch');
  assert.equal((await call('POST', '/upgrade/pause', {})).status, 409);
  assert.equal((await call('POST', '/upgrade/resume', {})).state, 'moving');
  assert.equal((await call('POST', '/upgrade/pause', { reason: '  ' })).answer['pauseReason'], 'by ada');
  assert.equal((await call('POST', '/upgrade/resume', {})).state, 'moving');
  await setState('soaking');
  await setReleaseOfEast('1.1.0');
  assert.equal((await call('POST', '/upgrade/finalize')).state, 'finalizing');
  await setReleaseOfEast('1.0.0');
  assert.equal((await call('POST', '/upgrade/reverse', {})).code, 'ERR_UPGRADE_STATE');
  await setState('soaking');
  assert.equal((await call('POST', '/upgrade/reverse')).state, 'reversing');
});

test('an account is assigned by name, also before the waves are divided; another instance is refused', async () => {
  await db`truncate upgrade cascade`;
  await startTestUpgrade(db);
  assert.equal((await call('PUT', '/accounts/east-1/assignment', { instance: 'east-1-1' })).status, 200);
  assert.deepEqual((await readLatestUpgrade(db))?.progress.assignments, { 'east-1': 'east-1-1' });
  assert.equal((await call('PUT', '/accounts/east-1/assignment', { instance: 'east' })).code, 'ERR_INPUT');
  assert.equal((await call('PUT', '/accounts/nobody/assignment', { instance: 'east-1-1' })).code, 'ERR_NOT_FOUND');
  assert.equal((await call('POST', '/upgrade/reverse')).state, 'cancelled');
});

test('options are changed on the way, until they have taken effect; the log says by whom', async () => {
  await startTestUpgrade(db);
  const change = async (body: object) => await call('PATCH', '/upgrade/options', body);
  const early = await change({ soakSeconds: 60 });
  assert.equal(early.code, 'ERR_UPGRADE_STATE');
  assert.match(
    String(early.answer['message']),
    /checks are running: change soakSeconds once they have passed .* or cancel/,
  );
  await db`update upgrade set progress = progress || '{"started": false}' where state = 'planned'`;
  const stopped = await change({ soakSeconds: 60 });
  assert.match(
    String(stopped.answer['message']),
    /was not started: to change soakSeconds, plan it again with --replace/,
  );
  await setState('admin-fenced');
  assert.equal((await change({ soakSeconds: -1 })).status, 400);
  assert.match(String((await change({ soak: 1 })).answer['message']), /^soak is unknown; expected: canaries, /);
  assert.equal((await change({ canaries: ['nobody'] })).code, 'ERR_UPGRADE_CANARY');
  assert.equal((await change({ soakSeconds: 60, canaries: ['east-1'], wavePercentages: [50] })).status, 200);
  const { options } = (await readLatestUpgrade(db))?.plan ?? {};
  assert.deepEqual(
    [options?.soakSeconds, options?.canaries, options?.wavePercentages, options?.waveDeadlineSeconds],
    [60, ['east-1'], [50], 14_400],
  );
  await setState('moving');
  const late = await change({ soakSeconds: 30, wavePercentages: [10] });
  assert.match(String(late.answer['message']), /wavePercentages can no longer be changed: the upgrade is moving/);
  assert.equal((await readLatestUpgrade(db))?.plan.options.soakSeconds, 60, 'all of it or nothing');
  assert.equal((await change({ soakSeconds: 30 })).state, 'moving');
  const events = await db<{ message: string }[]>`
    select message from upgrade_event where message like 'options changed%' order by id`;
  assert.match(
    events[0]?.message ?? '',
    /^options changed by ada: canaries \[\] → \["east-1"\], wavePercentages .* soakSeconds 600 → 60$/,
  );
  assert.equal(events[1]?.message, 'options changed by ada: soakSeconds 60 → 30');
  await setState('planned');
  assert.equal((await call('POST', '/upgrade/reverse')).state, 'cancelled');
});

test('the report says in words what the rows say', async () => {
  const upgrade = await readLatestUpgrade(db);
  assert.ok(upgrade);
  const report = await readUpgradeReport(db, upgrade, [
    { name: 'shared', since: '1.1.0', summary: 'x', kinds: ['server'] },
  ]);
  const text = reportText(report);
  assert.match(text, /^Upgrade 1\.0\.0 → 1\.1\.0: cancelled/);
  assert.match(text, /shared: locked by east, upgrade/);
  assert.match(text, /cancelled by ada/);
  assert.equal(report.phases.at(-1)?.state, 'cancelled');
});

const archiveOf = (release: string, options = {}) => writeTestArchive(home, release, options);
const installed = async () => await readdir(join(home, 'releases')).catch((): string[] => []);

test('a plan without a target, of a release that is not installed, or of an archive that is not there is refused', async () => {
  for (const [body, code] of [
    [{}, 'ERR_INPUT'],
    [{ toRelease: '../../etc' }, 'ERR_INPUT'],
    [{ toRelease: '1.1.0' }, 'ERR_RELEASE_NOT_INSTALLED'],
    [{ archive: join(home, 'nothing.tgz') }, 'ERR_RELEASE_ARCHIVE_MISSING'],
  ] as const) {
    assert.equal((await post(body)).code, code);
  }
});

test('a path is absolute, and the release that is named is the archive’s', async () => {
  const archive = await archiveOf('1.1.0');
  const relative = await post({ archive: 'bramble-1.1.0.tgz' });
  assert.deepEqual([relative.code, /must be an absolute path/.test(relative.message ?? '')], ['ERR_INPUT', true]);
  const other = await post({ archive, toRelease: '1.2.0' });
  assert.equal(other.code, 'ERR_INPUT');
  assert.match(
    other.message ?? '',
    /bramble-1\.1\.0\.tgz is the archive of release 1\.1\.0, but 1\.2\.0 is to be planned/,
  );
});

test('a preview installs nothing, and so does a plan that is refused', async () => {
  const archive = await archiveOf('1.1.0');
  assert.equal((await post({ archive, preview: true })).code, undefined);
  assert.equal((await post({ archive: await archiveOf('1.3.0') })).code, 'ERR_RELEASE_STEP');
  assert.equal((await post({ archive, canaries: ['nobody'] })).code, 'ERR_UPGRADE_CANARY');
  assert.equal((await post({ archive, instances: { nowhere: {} } }, '/upgrade/start')).code, 'ERR_UPGRADE_INSTANCE');
  const nowhere = await post({ archive, instances: { east: { host: 'nowhere' } } });
  assert.equal(nowhere.code, 'ERR_UPGRADE_INSTANCE');
  assert.match(nowhere.message ?? '', /Nothing can be added on nowhere, .*usable: /);
  assert.deepEqual(await installed(), []);
});

test('a preview and the status say what the newest rehearsal measured, be it later than the plan', async () => {
  const archive = await archiveOf('1.1.0');
  const { domainId } = await readDomain(db);
  const rehearse = async (expandMs: number) =>
    await recordRehearsal(home, { ...testRehearsal, domainId, times: { ...testRehearsal.times, expandMs } });
  const { expected: unmeasured } = await post({ archive, preview: true, soakSeconds: 7 });
  assert.equal(unmeasured?.rehearsed, null);
  assert.deepEqual([unmeasured?.waves?.count, unmeasured?.waves?.soakSeconds], [2, 7]);
  await rehearse(2000);
  assert.equal((await post({ archive, preview: true })).expected?.rehearsed?.awaySeconds, 3.5);
  assert.equal((await post({ archive })).expected?.rehearsed?.awaySeconds, 3.5);
  await rehearse(4000);
  const status = async () => (await call('GET', '/upgrade')).answer['expected'] as ExpectedTimes | undefined;
  assert.equal((await status())?.rehearsed?.awaySeconds, 5.5, 'of the newest rehearsal');
  await setState('moving');
  assert.equal(await status(), undefined);
  await db`truncate upgrade cascade`;
});

test('a plan that was not started is replaced only when that is said', async () => {
  const archive = await archiveOf('1.1.0');
  assert.equal((await post({ archive, toRelease: '1.1.0' })).state, 'planned');
  assert.deepEqual(await installed(), ['1.1.0']);
  for (const url of ['/upgrade/plan', '/upgrade/start']) {
    const again = await post({ archive, soakSeconds: 7 }, url);
    assert.equal(again.code, 'ERR_UPGRADE_OPEN');
    assert.match(again.message ?? '', /1\.1\.0 has been planned since.*--replace/);
  }
  assert.equal((await readLatestUpgrade(db))?.plan.options.soakSeconds, 600);
  assert.equal((await post({ archive, soakSeconds: 7, replace: true })).state, 'planned');
  assert.equal((await readLatestUpgrade(db))?.plan.options.soakSeconds, 7);
  assert.equal((await post({ archive }, '/upgrade/start')).code, 'ERR_UPGRADE_OPEN');
  assert.equal((await post({}, '/upgrade/start')).state, 'planned');
  assert.equal(
    (await post({ archive }, '/upgrade/start')).state,
    'planned',
    'said again, it goes on with what it began',
  );
  for (const given of [{ replace: true }, { preview: true }]) {
    assert.equal((await post({ archive, ...given })).code, 'ERR_UPGRADE_OPEN', 'it was started');
  }
});

test('before its instances exist, the report counts every account as still at the old release', async () => {
  await db`truncate upgrade cascade`;
  assert.equal((await post({ archive: await archiveOf('1.1.0') })).state, 'planned');
  const upgrade = await readLatestUpgrade(db);
  assert.ok(upgrade);
  const report = await readUpgradeReport(db, upgrade, []);
  assert.deepEqual(report.accounts, { moved: 0, reversed: 0, failed: 0, atOldRelease: 3 });
  assert.match(reportText(report), /still at 1\.0\.0: 3/);
});

test('what start and plan do not take is refused by name, and nothing is started, planned or installed', async () => {
  await db`truncate upgrade cascade`;
  const archive = await archiveOf('1.1.0');
  assert.equal((await post({ archive })).state, 'planned');
  const before = await readLatestUpgrade(db);
  const refused: [body: object, url: string, message: RegExp][] = [
    [{ override: ['backup'] }, '/upgrade/start', /^override is unknown; expected: .*\boverrides\b/],
    [{ soakSeconds: 7 }, '/upgrade/start', /^soakSeconds is unknown without archive or toRelease/],
    [{ replace: true }, '/upgrade/start', /^replace is unknown without archive or toRelease/],
    [{ archive, preview: true }, '/upgrade/start', /^preview is unknown/],
    [{ archive, replace: true, wave: [50] }, '/upgrade/start', /^wave is unknown/],
    [{ archive, replace: true, overrides: ['backup'] }, '/upgrade/plan', /^overrides is unknown/],
    [{ overrides: ['nonsense'] }, '/upgrade/start', /^There is no check named nonsense\./],
    [{ overrides: 'backup,nonsense' }, '/upgrade/start', /^There is no check named nonsense\./],
  ];
  for (const [body, url, message] of refused) {
    const answer = await post(body, url);
    assert.equal(answer.code, 'ERR_INPUT', JSON.stringify([body, answer]));
    assert.match(answer.message ?? '', message);
  }
  const after = await readLatestUpgrade(db);
  assert.deepEqual(
    [after?.id, after?.generation, after?.progress.step.at],
    [before?.id, before?.generation, 'to-start'],
  );
  assert.equal((await post({ overrides: ['backup'] }, '/upgrade/start')).state, 'planned');
  assert.deepEqual((await readLatestUpgrade(db))?.progress.overrides, ['backup']);
});

test('a plan keeps the first signer, takes the one that follows it, and refuses others and unsigned ones unless named', async () => {
  const [ada, bea, eve] = [testSigner(), testSigner(), testSigner()];
  const notes = async () => (await readLatestUpgrade(db))?.plan.notes.join(' ') ?? '';
  const signer = async () => (await readReleaseSigner(db)).fingerprint;
  const begin = async () => {
    await db`truncate upgrade cascade`;
    await rm(join(home, 'releases'), { recursive: true, force: true });
  };
  await begin();
  await post({ archive: await archiveOf('1.1.0') });
  assert.match(await notes(), /1\.1\.0 is not signed, and no signer is known/);
  assert.equal(await signer(), null);

  await begin();
  const archive = await archiveOf('1.1.0', { signer: ada });
  assert.equal((await post({ archive, preview: true })).code, undefined);
  assert.equal(await signer(), null, 'a preview keeps nothing');
  assert.equal((await post({ archive })).state, 'planned');
  assert.equal(await signer(), ada.fingerprint);
  assert.match(await notes(), new RegExp(`signed by ${ada.fingerprint}, the first signer`));
  assert.deepEqual((await installed()).sort(), ['1.1.0', '1.1.0.sig']);
  assert.equal((await post({}, '/upgrade/start')).state, 'planned');

  await begin();
  await archiveOf('1.1.0');
  for (const url of ['/upgrade/plan', '/upgrade/start']) {
    assert.equal((await post({ archive }, url)).code, 'ERR_RELEASE_SIGNER');
    await archiveOf('1.1.0', { signer: eve });
    const answer = await post({ archive }, url);
    assert.equal(answer.code, 'ERR_RELEASE_SIGNER');
    assert.match(answer.message ?? '', new RegExp(`--accept-signer ${eve.fingerprint}`));
    await archiveOf('1.1.0');
  }
  assert.equal((await post({ archive, acceptUnsigned: '1.2.0' })).code, 'ERR_INPUT');
  assert.equal(await readLatestUpgrade(db), undefined);
  assert.deepEqual(await installed(), []);
  assert.equal((await post({ archive, acceptUnsigned: '1.1.0' })).state, 'planned');
  assert.equal((await post({}, '/upgrade/start')).state, 'planned', 'what was taken by name is not asked about again');
  assert.equal(await signer(), ada.fingerprint, 'and the signer is trusted as before');

  await begin();
  await archiveOf('1.1.0', { signer: bea, rotations: [formatRotation(bea.fingerprint, ada)] });
  assert.equal((await post({ archive })).state, 'planned');
  assert.equal(await signer(), bea.fingerprint);

  // What is installed is judged again when it is started: here by what an administrator has come to trust meanwhile.
  await db`update setting set value = value || ${db.json({ fingerprint: ada.fingerprint })} where key = 'release-signer'`;
  await cp(`${await archiveOf('1.1.0', { signer: eve })}.sig`, join(home, 'releases', '1.1.0.sig'));
  assert.equal((await post({}, '/upgrade/start')).code, 'ERR_RELEASE_SIGNER');
  assert.equal((await readLatestUpgrade(db))?.progress.step.at, 'to-start');
  assert.equal((await post({ acceptSigner: eve.fingerprint }, '/upgrade/start')).state, 'planned');
  assert.equal((await readLatestUpgrade(db))?.progress.step.at, 'started');
  await db`update setting set value = value || ${db.json({ fingerprint: bea.fingerprint })} where key = 'release-signer'`;

  await begin();
  await archiveOf('1.1.0', { signer: eve });
  assert.equal((await post({ archive, acceptSigner: bea.fingerprint })).code, 'ERR_RELEASE_SIGNER');
  assert.equal((await post({ archive, acceptSigner: eve.fingerprint })).state, 'planned');
  assert.equal(await signer(), eve.fingerprint);
  await db`delete from setting where key = 'release-signer'`;
});

test('whose release nobody has vouched for is planned and started by who may say whose releases run', async () => {
  const servers = await startPlanningService(db, home, rightsOf('server-only'));
  const begin = async () => {
    await db`truncate upgrade cascade`;
    await rm(join(home, 'releases'), { recursive: true, force: true });
  };
  try {
    for (const options of [{}, { signer: testSigner() }]) {
      await begin();
      const archive = await archiveOf('1.1.0', options);
      for (const url of ['/upgrade/plan', '/upgrade/start']) {
        assert.equal((await servers.post({ archive }, url)).code, 'ERR_RIGHT_MISSING', url);
      }
      assert.deepEqual(await installed(), []);
    }
    assert.equal((await readReleaseSigner(db)).fingerprint, null);
    await begin();
    assert.equal((await post({ archive: await archiveOf('1.1.0') })).state, 'planned');
    assert.equal((await servers.post({}, '/upgrade/start')).code, 'ERR_RIGHT_MISSING', 'planned by somebody else');
    await begin();
    const signer = testSigner();
    assert.equal((await post({ archive: await archiveOf('1.1.0', { signer }) })).state, 'planned');
    assert.equal((await servers.post({}, '/upgrade/start')).state, 'planned', 'trusted by the plan');
  } finally {
    await servers.close();
    await db`truncate upgrade cascade`;
    await db`delete from setting where key = 'release-signer'`;
  }
});

test('of two first signers at once one is the first', async () => {
  const fresh = await Promise.all(
    ['1.1.0', '1.1.1'].map(async (release) => await readArchive(await archiveOf(release, { signer: testSigner() }))),
  );
  const outcomes = await Promise.allSettled(fresh.map((found) => db.begin((tx) => trustRelease(tx, found))));
  assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  await db`delete from setting where key = 'release-signer'`;
});

test('a body where none is taken is refused by name', async () => {
  await db`truncate upgrade cascade`;
  await startTestUpgrade(db);
  await setState('soaking');
  for (const verb of ['finalize', 'reverse']) {
    const { status, answer } = await call('POST', `/upgrade/${verb}`, { preview: true });
    assert.equal(status, 400);
    assert.match(String(answer['message']), /^preview is unknown/);
  }
  assert.equal((await readLatestUpgrade(db))?.state, 'soaking');
});

test('what is said to an upgrade that is over is answered with what it came to, and since when', async () => {
  await db`truncate upgrade cascade`;
  await startTestUpgrade(db);
  for (const [state, says] of [
    ['done', 'done and final'],
    ['reversed', 'reversed'],
    ['cancelled', 'cancelled'],
  ] as const) {
    await db`update upgrade set state = ${state}, finished_at = '2026-01-02T03:04:05Z'`;
    for (const verb of ['reverse', 'finalize', 'pause', 'resume']) {
      const { code, answer } = await call('POST', `/upgrade/${verb}`);
      assert.equal(code, 'ERR_UPGRADE_NONE');
      assert.match(
        String(answer['message']),
        new RegExp(`the last one, to 1\\.1\\.0, is ${says}, since 2026-01-02 03:04 UTC\\. Plan`),
      );
    }
  }
});
