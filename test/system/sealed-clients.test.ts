/**
 * The command lines of the sealed releases, as black boxes, against the working tree's administration service: whoever
 * scripted one goes on, whatever REST has learned since. Lists are whole, a refusal and an unknown thing are said in words
 * with the code, and the exit status is what that release promised.
 */
import assert from 'node:assert/strict';
import { type ExecFileException, execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
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

/** Asks everybody to come again later. */
const busy = createServer(async (request, response) => {
  const isHealth = request.url === '/healthz';
  const problem = { code: 'ERR_RATE_LIMIT', message: 'Too many requests. Come again in 7 s; nothing was changed.' };
  const text = JSON.stringify(isHealth ? { status: 'ok' } : { ...problem, details: { retryAfterSeconds: 7 } });
  const type = isHealth ? 'application/json' : 'application/problem+json';
  response.writeHead(isHealth ? 200 : 429, { 'content-type': type, 'retry-after': '7' }).end(text);
});
await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve));
after(() => void busy.close());
const busyUrl = `http://127.0.0.1:${(busy.address() as AddressInfo).port}`;

const limitedToken = (
  (await admin.call('POST', '/tokens', { name: 'desk', role: 'junior-helpdesk' })).body as { token: string }
).token;

/** Runs the program of an installed release as a shell does. */
async function run(program: string, argv: readonly string[], { token = admin.token, url = admin.url } = {}) {
  const env = { PATH: process.env['PATH'], BRAMBLE_URL: url, BRAMBLE_TOKEN: token, BRAMBLE_HOME: home };
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
    const stranger = await run(program, ['account', 'list'], { token: `bramble_${'x'.repeat(43)}` });
    assert.match(stranger.errors, /^error: .+ \(ERR_TOKEN_INVALID\)\n$/);
    assert.deepEqual([stranger.code, stranger.output], [6, '']);
    const limitedRun = await run(program, create(`of-${release}`), { token: limitedToken });
    assert.match(limitedRun.errors, /^error: .+ \(ERR_RIGHT_MISSING\)\n$/);
    // They know no rights: it is a failure like any other.
    assert.deepEqual([limitedRun.code, limitedRun.output], [1, '']);
    const late = await run(program, create(`of-${release}`), { url: busyUrl });
    assert.match(late.errors, /^error: Too many requests\. Come again in 7 s.* \(ERR_RATE_LIMIT\)\n$/);
    assert.deepEqual([late.code, late.output], [1, '']);
  });
}

function create(name: string): string[] {
  return ['account', 'create', name];
}

test('whoever names the release of a sealed client is answered as that client, which names none', async () => {
  const named = async (version?: string) =>
    await admin.call('GET', '/groups', undefined, version === undefined ? {} : { 'bramble-version': version });
  const plain = await named();
  assert.equal((plain.body as { groups: object[] }).groups.length, groups);
  for (const version of ['1.1', '1.2', '1.3', '1.4', '1.5']) assert.deepEqual(await named(version), plain, version);
});
