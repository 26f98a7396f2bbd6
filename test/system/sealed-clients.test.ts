/**
 * The command lines of the sealed releases, as black boxes, against the working tree's administration service: whoever
 * scripted one goes on, whatever REST has learned since. Lists are whole, a refusal and an unknown thing are said in words
 * with the code, and the exit status is what that release promised.
 */
import assert from 'node:assert/strict';
import { type ExecFileException, execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { startAdministration } from '../../src/processes/administration/administration-fixture.ts';
import { installArchive } from '../../src/release/archive.ts';
import { programName } from '../../src/release/manifest.ts';
import { checkout } from '../harness/archives.ts';

const limited = { timeout: 300_000 };
const admin = await startAdministration();
const home = await mkdtemp(join(tmpdir(), 'bramble-sealed-'));
after(async () => {
  await admin.close();
  await rm(home, { recursive: true, force: true });
});
/** More than any page has by default. */
const groups = 130;
await admin.db`
  insert into account_group (id, name, rank)
  select gen_random_uuid(), 'group-' || n, n from generate_series(1, ${groups}) n`;

/** Runs the program of an installed release as a shell does. */
async function run(program: string, argv: readonly string[], token = admin.token) {
  const env = { PATH: process.env['PATH'], BRAMBLE_URL: admin.url, BRAMBLE_TOKEN: token, BRAMBLE_HOME: home };
  return await new Promise<{ code: ExecFileException['code']; output: string; errors: string }>((resolve) => {
    execFile(process.execPath, [program, ...argv], { env }, (error, output, errors) =>
      resolve({ code: error === null ? 0 : error.code, output, errors }),
    );
  });
}

for (const release of ['1.1.0', '1.2.1', '1.3.0', '1.4.0']) {
  test(`the command line of ${release} gets what it knows from this service`, limited, async () => {
    const archive = join(checkout, 'releases', `bramble-${release}.tgz`);
    const program = join(await installArchive(archive, { home }), programName);
    const bramble = async (...argv: string[]) => await run(program, argv);
    const refused = async (code: number, message: RegExp, ...argv: string[]) => {
      const { errors, ...answer } = await bramble(...argv);
      assert.deepEqual(answer, { code, output: '' }, errors);
      assert.match(errors, message);
    };
    const account = `user-${release}`;

    const list = await bramble('group', 'list', '--json');
    assert.deepEqual([list.code, list.errors], [0, '']);
    assert.equal((JSON.parse(list.output) as { groups: object[] }).groups.length, groups);
    const made = await bramble('account', 'create', account, '--group', 'group-7', '--json');
    assert.deepEqual([made.code, made.errors], [0, '']);
    assert.equal((JSON.parse(made.output) as { name: string }).name, account);
    const shown = await bramble('account', 'list', '--group', 'group-7');
    assert.match(shown.output, new RegExp(`\n${account.replaceAll('.', '\\.')} `));
    await refused(
      5,
      /^error: The account "user-.* was not created: .* exists\.? \(ERR_NAME_TAKEN\)\n$/,
      ...create(account),
    );
    await refused(4, /^error: .*nobody.* \(ERR_NOT_FOUND\)\n$/, 'account', 'password', 'nobody');
    await refused(2, /^error: .+ \(ERR_[A-Z_]+\)\n$/, ...create('a/b'));
    const stranger = await run(program, ['account', 'list'], `bramble_${'x'.repeat(43)}`);
    assert.match(stranger.errors, /^error: .+ \(ERR_TOKEN_INVALID\)\n$/);
    assert.deepEqual([stranger.code, stranger.output], [6, '']);
  });
}

function create(name: string): string[] {
  return ['account', 'create', name];
}
