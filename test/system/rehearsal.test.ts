/**
 * An upgrade rehearsed with the data of a domain of the sealed release: the new release's program expands a copy, starts both
 * releases on it, and measures; the plan and the check say so, and the domain is as it was.
 */
import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { installArchive } from '../../src/release/archive.ts';
import { until } from '../../src/testing/condition.ts';
import { type Rehearsal, readRehearsal } from '../../src/upgrade/plan/rehearsal-record.ts';
import { type BuiltArchive, sealedArchive, workingTreeArchive } from '../harness/archives.ts';
import { type RunningDomain, startDomain } from '../harness/domain.ts';
import { commandJson } from '../harness/scene.ts';

describe('an upgrade rehearsed with data', { timeout: 600_000 }, () => {
  let folder: string;
  let domain: RunningDomain;
  let from: BuiltArchive;
  let to: BuiltArchive;
  let file: string;
  let secret: string[];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bramble-rehearsed-'));
    // Under root PostgreSQL is another user, who has to pass through.
    await chmod(folder, 0o711);
    secret = ['--passphrase-file', join(folder, 'passphrase')];
    await writeFile(join(folder, 'passphrase'), 'correct horse battery staple\n');
    [from, to] = [await sealedArchive(), await workingTreeArchive()];
    domain = await startDomain({ archive: from.file, instances: 2 });
    await domain.command('account', 'create', 'ada');
    ({ file } = await commandJson<{ file: string }>(domain, 'backup', 'create', '--to', folder, ...secret));
  });
  after(async () => {
    await domain?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  test('without the new release in the home nothing is tried', async () => {
    const { code, stderr } = await domain.command('upgrade', 'rehearse', file, ...secret);
    assert.notEqual(code, 0);
    assert.match(stderr, /ERR_RELEASE_NOT_INSTALLED/);
  });

  test('both releases are started on the expanded copy, and each step is measured', async () => {
    await installArchive(to.file, { home: domain.home });
    const before = await domain.sql`select schema_version, release from domain`;
    const rehearsal = await commandJson<Rehearsal>(domain, 'upgrade', 'rehearse', file, ...secret);
    assert.deepEqual(rehearsal.obstacles, []);
    assert.deepEqual([rehearsal.fromRelease, rehearsal.toRelease, rehearsal.accounts], [from.release, to.release, 1]);
    const found = [from, to].flatMap(({ release }) => [
      new RegExp(`^the administration service of ${release} started on it, listed 1 account `),
      /^its instance server-1 started on it, and its policy service worked$/,
    ]);
    assert.equal(rehearsal.found.length, found.length);
    for (const [index, wanted] of found.entries()) assert.match(rehearsal.found[index] ?? '', wanted);
    assert.equal(rehearsal.moving?.waves, 1);
    const { expandMs, oldStartMs, newStartMs, migrations } = rehearsal.times;
    assert.ok(expandMs > 0 && (oldStartMs ?? 0) > 0 && (newStartMs ?? 0) > 0 && migrations.length > 0);
    assert.deepEqual(await domain.sql`select schema_version, release from domain`, before, 'the domain is as it was');
    assert.deepEqual(
      (await readdir(tmpdir())).filter((name) => name.startsWith('bramble-rehearsal-')),
      [],
    );
    const { stdout: output } = await domain.command('upgrade', 'rehearse', file, ...secret);
    assert.match(output, new RegExp(`^upgrade +${from.release} → ${to.release}: go$`, 'm'));
    assert.match(output, /^fence +the administration would be away for about /m);
  });

  test('the check of the upgrade says what was rehearsed', async () => {
    const recorded = JSON.parse(await readFile(join(domain.home, 'upgrade-rehearsals.json'), 'utf8')) as {
      rehearsals: Rehearsal[];
    };
    assert.equal(recorded.rehearsals.length, 1, 'the newest of a step');
    const [{ domainId } = { domainId: '' }] = recorded.rehearsals;
    const step = { domainId, fromRelease: from.release, toRelease: to.release };
    assert.deepEqual(await readRehearsal(domain.home, step), recorded.rehearsals[0]);
    assert.equal(await readRehearsal(domain.home, { ...step, toRelease: '9.9.9' }), undefined);
    await domain.command('upgrade', 'plan', to.release);
    await domain.command('upgrade', 'start');
    let found: string | undefined;
    await until('the checks have run', 120_000, async () => {
      const report = await commandJson<{ checks?: { name: string; result: string; message: string }[] }>(
        domain,
        'upgrade',
        'report',
      );
      found = report.checks?.find(({ name }) => name === 'rehearsal')?.message;
      return found !== undefined;
    });
    assert.match(
      found ?? '',
      /works on it; rehearsed with the data of .* \(1 account, \d+ rows\): the schema was expanded in /,
    );
  });
});
