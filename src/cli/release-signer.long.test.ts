/** Who signs the domain's releases: shown, changed by hand, and asked for when an archive is verified or installed. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { startAdministration } from '../processes/administration/administration-fixture.ts';
import { formatRotation } from '../release/signature.ts';
import { testSigner, writeTestArchive } from '../release/signed-archive-fixture.ts';
import { runBramble } from './command-line-fixture.ts';
import { exitCode } from './exit-codes.ts';

const admin = await startAdministration();
const folder = await mkdtemp(join(tmpdir(), 'bramble-signer-'));
after(async () => {
  await admin.close();
  await rm(folder, { recursive: true, force: true });
});
const [ada, bea, cyd] = [testSigner(), testSigner(), testSigner()];
const bramble = async (...argv: string[]) => await runBramble(admin, argv);
const release = async (...argv: string[]) => await bramble('release', ...argv);

test('a signer is trusted, followed and forgotten by hand, and each is recorded with who did it', async () => {
  assert.match((await release('signer', 'show')).output, /none yet: the domain will trust/);
  assert.match((await release('signer', 'trust', 'ada')).errors, /fingerprint "ada" must be 64 hexadecimal digits/);
  assert.match(
    (await release('signer', 'trust', ada.fingerprint.replaceAll(':', ''))).output,
    new RegExp(ada.fingerprint),
  );
  const statements = join(folder, 'rotation');
  await writeFile(statements, [formatRotation(bea.fingerprint, ada), formatRotation(cyd.fingerprint, bea)].join('\n'));
  assert.match(
    (await release('signer', 'follow', statements)).output,
    new RegExp(`${cyd.fingerprint}.*named by the previous signer`, 's'),
  );
  const again = await release('signer', 'follow', statements);
  assert.deepEqual(
    [again.code, /do not lead from/.test(again.errors)],
    [exitCode.ok, false],
    'said again, it is as it is',
  );
  await writeFile(statements, formatRotation(ada.fingerprint, bea));
  assert.equal((await release('signer', 'follow', statements)).code, exitCode.refused);
  await writeFile(statements, 'trust me\u001b[2J');
  assert.match((await release('signer', 'follow', statements)).errors, /ERR_RELEASE_SIGNATURE/);
  assert.match((await release('signer', 'forget')).output, /none yet: the domain will trust/);
  const { output } = await bramble('audit', 'list', '--subject', 'release-signer', '--changes');
  for (const operation of ['PUT /release-signer', 'POST /release-signer/rotation', 'DELETE /release-signer']) {
    assert.ok(output.includes(operation), output);
  }
  assert.match(output, new RegExp(cyd.fingerprint));
  assert.match(output, /by first /);
});

test('an archive is judged by what the domain knows, and taken in spite of that only by name', async () => {
  const archive = await writeTestArchive(folder, '1.3.0', { signer: ada });
  await release('signer', 'trust', ada.fingerprint);
  assert.match((await release('verify', archive)).output, new RegExp(`signed by ${ada.fingerprint}, as before`));
  assert.equal((await release('install', archive)).code, exitCode.ok);
  await release('signer', 'trust', bea.fingerprint);
  for (const verb of ['verify', 'install']) {
    const refused = await release(verb, archive);
    assert.deepEqual([refused.code, /ERR_RELEASE_SIGNER/.test(refused.errors)], [exitCode.refused, true]);
    assert.equal((await release(verb, archive, '--accept-signer', ada.fingerprint)).code, exitCode.ok);
  }
  await writeTestArchive(folder, '1.3.0');
  assert.equal((await release('verify', archive)).code, exitCode.refused);
  const taken = await release('verify', archive, '--accept-unsigned', '1.3.0');
  assert.match(taken.output, /not signed, and accepted by name/);
});

test('a rotation can be taken back: the signer that was left is refused, and who was named by mistake too', async () => {
  const [old, next, other] = [testSigner(), testSigner(), testSigner()];
  const statement = formatRotation(next.fingerprint, old);
  await release('signer', 'trust', old.fingerprint);
  const archive = await writeTestArchive(folder, '1.5.0', { signer: next, rotations: [statement] });
  const statements = join(folder, 'taken-back');
  await writeFile(statements, statement);
  assert.equal((await release('signer', 'follow', statements)).code, exitCode.ok);
  const { output } = await release('signer', 'trust', old.fingerprint);
  assert.match(output, new RegExp(`refused.*${next.fingerprint}, unless accepted by name`));
  for (const words of [
    ['verify', archive],
    ['install', archive],
    ['signer', 'follow', statements],
  ]) {
    const refused = await release(...words);
    assert.deepEqual(
      [refused.code, /ERR_RELEASE_SIGNER/.test(refused.errors)],
      [exitCode.refused, true],
      words.join(' '),
    );
  }
  assert.equal((await release('verify', archive, '--accept-signer', next.fingerprint)).code, exitCode.ok);
  // Of one that was never followed.
  const named = await writeTestArchive(folder, '1.5.1', {
    ...{ signer: other, rotations: [formatRotation(other.fingerprint, old)] },
  });
  assert.equal((await release('verify', named)).code, exitCode.ok);
  await release('signer', 'trust', old.fingerprint, '--refuse', other.fingerprint);
  assert.equal((await release('verify', named)).code, exitCode.refused);
  await release('signer', 'forget');
  assert.equal((await release('verify', named)).code, exitCode.refused, 'nor is it a first one');
  await release('signer', 'trust', other.fingerprint);
  assert.equal((await release('verify', named)).code, exitCode.ok);
  const odd = await release('signer', 'trust', old.fingerprint, '--refuse', old.fingerprint);
  assert.match(odd.errors, /refuse must not contain the signer/);
});

test('without a domain an archive is verified and installed all the same, and that nobody was asked is said', async () => {
  const home = await mkdtemp(join(folder, 'home-'));
  const environment = { BRAMBLE_HOME: home };
  const archive = await writeTestArchive(folder, '1.4.0');
  const alone = async (...argv: string[]) => await runBramble(admin, ['release', ...argv], { environment });
  const verified = await alone('verify', archive);
  assert.match(verified.output, /not signed, and no signer is known.*not asked/s);
  assert.equal((await alone('install', archive)).code, exitCode.ok);
  await rm(join(home, 'releases'), { recursive: true });
  // This home belongs to a domain, which does not answer.
  await writeFile(join(home, 'config.json'), '{}');
  const refused = await alone('install', archive);
  assert.deepEqual([refused.code, /could not be asked/.test(refused.errors)], [exitCode.refused, true]);
  assert.equal((await readdir(home)).includes('releases'), false);
  assert.equal((await alone('install', archive, '--accept-unsigned', '1.4.0')).code, exitCode.ok);
});
