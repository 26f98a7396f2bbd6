/**
 * What a backup may be restored as, and what not: of a later release, in the middle of an upgrade, of a domain of several hosts. What is
 * refused changes nothing and says what to do.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import postgres from 'postgres';
import { tokenDigest } from '../../src/access/administrator-tokens.ts';
import { createBackupFile } from '../../src/backup/backup-file.ts';
import { newBackupKeys } from '../../src/backup/passphrase-key.ts';
import { openDatabase } from '../../src/database/connection.ts';
import { createTestDatabase } from '../../src/database/database-fixture.ts';
import { migrate } from '../../src/database/migrate.ts';
import { setDomainRelease } from '../../src/domain/domain-changes.ts';
import { installArchive } from '../../src/release/archive.ts';
import { migrationFolder } from '../../src/release/program.ts';
import { thisRelease } from '../../src/release/this-release.ts';
import { sealedArchive, workingTreeArchive } from '../harness/archives.ts';
import { passphrase, type StillDomain, stillDomain } from '../harness/still-domain.ts';

const sealed = await sealedArchive();
const tree = await workingTreeArchive();
const domain = await stillDomain(tree.file);
const earlier = await stillDomain(sealed.file);
const emptyDatabase = async () =>
  (await createTestDatabase({ templateKey: 'empty', prepareTemplate: async () => undefined })).url;

async function backup({ folder, command, secret }: StillDomain, name: string): Promise<string> {
  const file = join(folder, `${name}.backup`);
  const { code, stderr } = await command('backup', 'create', '--out', file, ...secret);
  assert.equal(code, 0, stderr);
  return file;
}

async function restored({ folder, commandIn, secret }: StillDomain, file: string, name: string) {
  const url = await emptyDatabase();
  const args = ['backup', 'restore', '--yes', file, '--database-url', url, ...secret];
  const { code, stdout, stderr } = await commandIn(join(folder, name), ...args);
  assert.equal(code, 0, stderr);
  return { url, stdout };
}

async function ask(url: string, query: string): Promise<readonly Record<string, unknown>[]> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  return await sql.unsafe(query).finally(async () => await sql.end({ timeout: 5 }));
}

describe('restoring a backup', { timeout: 300_000 }, () => {
  test('of a later release, of none, and with an empty passphrase is refused before anything is made', async () => {
    const { folder, commandIn, secret } = domain;
    const refused = async (file: string, expected: RegExp, how: readonly string[] = secret) => {
      const home = join(folder, 'refused');
      const { code, stderr } = await commandIn(home, 'backup', 'restore', '--yes', file, ...how);
      assert.notEqual(code, 0);
      assert.match(stderr, expected);
      assert.deepEqual(await readdir(home).catch(() => []), []);
    };
    const { facts, keys } = await newBackupKeys(passphrase);
    const later = join(folder, 'later.backup');
    const file = await createBackupFile(
      later,
      {
        ...{ format: 1, id: '3b241101-e2bb-4255-8caf-4136c566a962', takenAt: new Date().toISOString(), key: facts },
        domain: {
          ...{ id: '6ecd8c99-4036-403d-bf84-cf8400f67836', name: 'Later', publicUrl: 'https://127.0.0.1:1' },
          ...{ release: '99.0.0', schemaVersion: 900, featureLevel: '99.0.0' },
        },
        madeBy: { release: '99.0.0', user: 'ada', host: 'there' },
      },
      keys,
    );
    await file.add('home', Buffer.from('{}'));
    await file.finish({ migrations: [], tables: [], sequences: [] });
    await refused(
      later,
      /release 99\.0\.0.*Nothing was changed\. Use the program of 99\.0\.0 or later.*ERR_BACKUP_RELEASE/s,
    );
    const noise = join(folder, 'noise.backup');
    await writeFile(noise, randomBytes(100_000));
    await refused(noise, /cannot be read as a backup.*Nothing was changed.*ERR_BACKUP_FILE/s);
    await refused(join(folder, 'missing.backup'), /no such file.*ERR_BACKUP_FILE/s);
    const empty = join(folder, 'empty');
    await writeFile(empty, '\n', { mode: 0o600 });
    const good = await backup(domain, 'good');
    await refused(good, /first line .* is empty.*ERR_BACKUP_PASSPHRASE/s, ['--passphrase-file', empty]);
  });

  test('it asks only once nothing else is in the way, and for a passphrase only where there is a backup', async () => {
    const { folder, home, command, commandIn, secret } = domain;
    const [file, fresh] = [await backup(domain, 'asked'), join(folder, 'fresh')];
    const unasked = async (inHome: string, expected: RegExp, ...args: string[]) => {
      const { stderr } = await commandIn(inHome, 'backup', 'restore', ...args);
      assert.match(stderr, expected);
      assert.doesNotMatch(stderr, /\[y\/N\]/);
    };
    await unasked(home, /is not empty.*ERR_BACKUP_TARGET/s, file);
    const wrong = join(folder, 'wrong');
    await writeFile(wrong, 'another passphrase\n', { mode: 0o600 });
    await unasked(fresh, /not the one.*ERR_BACKUP_PASSPHRASE/s, file, '--passphrase-file', wrong);
    await unasked(fresh, /not empty.*ERR_BACKUP_TARGET/s, file, ...secret, '--database-url', domain.databaseUrl);
    await unasked(fresh, /no such file.*ERR_BACKUP_FILE/s, join(folder, 'missing.backup'));
    const asked = await commandIn(fresh, 'backup', 'restore', file, ...secret);
    assert.match(asked.stderr, /Make the domain "Example".*\[y\/N\].*Nothing was changed/s);
    assert.deepEqual(await readdir(fresh).catch(() => []), []);
    const verified = await command('backup', 'verify', join(folder, 'missing.backup'));
    assert.match(verified.stderr, /no such file.*ERR_BACKUP_FILE/s);
  });

  test('what a command has left in a home without a domain does not keep a backup from being restored there', async () => {
    const { folder, commandIn } = domain;
    const home = join(folder, 'looked-at');
    await mkdir(join(home, 'releases'), { recursive: true });
    assert.match((await commandIn(home, 'down')).stderr, /ERR_NOT_RUNNING/);
    assert.deepEqual(await readdir(home), ['releases', 'supervisor.lock.1']);
    await restored(domain, await backup(domain, 'left'), 'looked-at');
    assert.ok((await readdir(home)).includes('config.json'));
  });

  test('made behind the fence of an upgrade is good: the new release is tried on it, and it is restored', async () => {
    await installArchive(tree.file, { home: earlier.home });
    const applicationName = 'bramble/test';
    const options = { folder: migrationFolder(), release: thisRelease.release, contract: false, applicationName };
    const before = await backup(earlier, 'before');
    await migrate(earlier.databaseUrl, options);
    const expanded = await backup(earlier, 'expanded');
    const db = openDatabase(earlier.databaseUrl, { applicationName, max: 1 });
    await db.begin(async (tx) => await setDomainRelease(tx, thisRelease.release)).finally(async () => await db.end());
    const fenced = await backup(earlier, 'fenced');
    for (const [file, release] of [
      [before, sealed.release],
      [expanded, sealed.release],
      [fenced, tree.release],
    ] as const) {
      const verified = await earlier.command('backup', 'verify', file, ...earlier.secret);
      assert.equal(verified.code, 0, verified.stderr);
      assert.match(verified.stdout, new RegExp(`service of ${release} started on it.*its instance .* started on it`));
      const { url } = await restored(earlier, file, `restored-${file.split('/').at(-1)}`);
      const count = 'select (select count(*)::int from migration) as applied, release from domain';
      const [was] = await ask(url, count);
      assert.equal(was?.['release'], release);
      const [contracting] = await ask(
        url,
        `select count(*)::int as number from migration where name = 'routers' and number = 32`,
      );
      assert.equal(contracting?.['number'], 0, 'what the upgrade had not come to is not applied');
    }
  });

  test('of a domain of several hosts forgets those that had joined: their credentials are revoked, and they join again', async () => {
    const [instance] = await domain.sql`select srp_identifier as identifier from instance`;
    const identifier = String(instance?.['identifier']);
    await domain.sql`insert into host (name, public_key, administers) values ('munich', '\\x00', false)`;
    await domain.sql`update desired_process set host = 'munich' where settings->>'srpIdentifier' = ${identifier}`;
    const { url, stdout } = await restored(domain, await backup(domain, 'hosts'), 'again');
    assert.match(stdout, /munich: stop the supervisor there.*revoked.*`bramble host invite`, `bramble join`/s);
    const valid = `select identifier from srp_credential where revoked_at is null order by 1`;
    const left = (await ask(url, valid)).map((row) => row['identifier']);
    const had = (await ask(domain.databaseUrl, valid)).map((row) => row['identifier']);
    assert.deepEqual(
      left,
      had.filter((one) => one !== identifier),
    );
    assert.ok(had.includes(identifier) && left.length > 0);
    assert.deepEqual([...(await ask(url, 'select * from host'))], []);
    const [setting] = await ask(
      url,
      `select value->'restored'->'joinedHosts' as hosts from setting where key = 'restored'`,
    );
    assert.deepEqual(setting?.['hosts'], ['munich'], 'it is invited again though something is placed there');
    const placed = await ask(url, `select state from desired_process where host = 'munich'`);
    assert.deepEqual([...placed], [{ state: 'stopped' }], 'it starts there once the domain is resumed');
  });

  test('made on a host that had joined makes that host the first, and the former first one is invited like all others', async () => {
    const { folder, home, sql } = domain;
    const joined = join(folder, 'joined');
    await cp(home, joined, { recursive: true });
    await rm(join(joined, 'admin.json'));
    const configuration = JSON.parse(await readFile(join(joined, 'config.json'), 'utf8'));
    await writeFile(join(joined, 'config.json'), JSON.stringify({ ...configuration, host: 'munich' }));
    await writeFile(join(joined, 'keys', 'host.json'), JSON.stringify({ privateKeyPem: 'x', domainAuthorityPem: 'x' }));
    await sql`insert into supervisor (host, release, process_id, node_version, postgres_server)
              values ('silent', '1.4.0', 1, '26', '18')`;
    const file = join(folder, 'joined.backup');
    const made = await domain.commandIn(joined, 'backup', 'create', '--out', file, ...domain.secret);
    assert.equal(made.code, 0, made.stderr);
    const { url, stdout } = await restored(domain, file, 'munich-again');
    assert.match(
      stdout,
      /of the host munich\n.*administration-1, since no administration service was placed on munich/,
    );
    assert.match(stdout, /berlin, silent: stop the supervisor there/);
    const again = join(folder, 'munich-again');
    assert.deepEqual((await readdir(join(again, 'keys'))).sort(), ['master.json']);
    const { token } = JSON.parse(await readFile(join(again, 'admin.json'), 'utf8')) as { token: string };
    const tokens = await ask(url, `select encode(digest, 'hex') as digest from administrator_token`);
    assert.ok(tokens.some(({ digest }) => digest === tokenDigest(token).toString('hex')));
    const administration = `select host, state from desired_process where kind = 'administration'`;
    assert.deepEqual([...(await ask(url, administration))], [{ host: 'munich', state: 'running' }]);
    const valid = `
      select 1 from srp_credential c join desired_process p on p.settings->>'srpIdentifier' = c.identifier
       where p.host = 'berlin' and c.revoked_at is null`;
    assert.ok((await ask(domain.databaseUrl, valid)).length > 0);
    assert.deepEqual([...(await ask(url, valid))], [], 'what ran on the former first host opens nothing');
  });
});
