/**
 * Killed in the middle (`kill -9`), at each step that shows from outside, and given again: making, trying and restoring a backup leave
 * nothing that the next one does not remove, and no half-made thing that anybody takes for a whole one.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, statSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import postgres from 'postgres';
import { isAlive } from '../../src/base/process-facts.ts';
import { createTestDatabase } from '../../src/database/database-fixture.ts';
import { stopEmbedded } from '../../src/database/embedded/server.ts';
import { workingTreeProgram } from '../harness/archives.ts';
import { stillDomain } from '../harness/still-domain.ts';

const domain = await stillDomain();
const file = join(domain.folder, 'whole.backup');
const program = await workingTreeProgram();
// So that each step takes long enough to be met.
await domain.sql`
  insert into event (kind, message) select 'filling', encode(sha256(n::text::bytea), 'hex') from generate_series(1, 200000) n`;

/** Kills the command as soon as the condition holds. @throws if it ended before */
async function killedWhen(
  home: string,
  args: readonly string[],
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const child: ChildProcess = spawn(process.execPath, [program, ...args, ...domain.secret], {
    env: { ...process.env, BRAMBLE_HOME: home },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const exited = once(child, 'exit');
  // Often, but not so often that the looking slows down what is looked at.
  while (child.exitCode === null && !(await condition())) await delay(5);
  child.kill('SIGKILL');
  const [, signal] = await exited;
  assert.equal(signal, 'SIGKILL', `bramble ${args.join(' ')} ended by itself: ${said}`);
}

async function succeeds(home: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await domain.commandIn(home, ...args, ...domain.secret);
  assert.equal(code, 0, stderr);
}

/** Process ids of PostgreSQL servers below the folder. */
async function serversIn(folder: string): Promise<number[]> {
  const files = globSync(join(folder, '**/postmaster.pid'));
  return await Promise.all(files.map(async (each) => Number((await readFile(each, 'utf8')).split('\n')[0])));
}

describe('killed and given again', { timeout: 600_000 }, () => {
  test('making a backup leaves a draft, which nobody takes for a backup, and the next one removes', async () => {
    const folder = join(domain.folder, 'drafts');
    await mkdir(folder);
    const drafts = () => globSync('*.part', { cwd: folder });
    await killedWhen(domain.home, ['backup', 'create', '--to', folder], () => drafts().length > 0);
    assert.equal(drafts().length, 1);
    const { stdout } = await domain.command('backup', 'list', folder);
    assert.match(stdout, /There is no backup/);
    await succeeds(domain.home, 'backup', 'create', '--to', folder);
    assert.deepEqual([drafts(), (await readdir(folder)).length], [[], 1]);
    await succeeds(domain.home, 'backup', 'create', '--out', file);
  });

  test('trying one, in three steps one after the other', async () => {
    const scratch = join(domain.folder, 'scratch');
    await mkdir(scratch, { mode: 0o711 });
    const args = ['backup', 'verify', file, '--scratch', scratch];
    const servers: number[] = [];
    for (const [step, path] of Object.entries({
      'the database is made': 'postgres/cluster/data',
      'rows are restored': 'postgres/cluster/data/postmaster.pid',
      'the release is started': 'home/logs/*.log',
    })) {
      const before = new Set(await readdir(scratch));
      const isReached = () =>
        globSync(join(scratch, '*', path)).some((found) => !before.has(relative(scratch, found).split(sep)[0] ?? ''));
      await killedWhen(domain.home, args, isReached);
      servers.push(...(await serversIn(scratch)));
      assert.equal((await readdir(scratch)).length, 1, `what was left before is removed, while ${step}`);
    }
    await succeeds(domain.home, ...args);
    assert.deepEqual(await readdir(scratch), []);
    for (const server of servers) assert.equal(await isAlive(server), false);
  });

  test('restoring one, in four steps one after the other', async (t) => {
    const home = join(domain.folder, 'restored');
    t.after(async () => await stopEmbedded({ folder: join(home, 'postgres'), mode: 'immediate' }));
    const args = ['backup', 'restore', '--yes', file];
    for (const [step, path] of Object.entries({
      'the home is taken': 'restoring-*',
      'the database is made': 'postgres/cluster/data/postmaster.pid',
      'keys are written': 'keys/master.json',
      'the schema is there': 'database/server.json',
    })) {
      const begun = Date.now();
      const isReached = () => globSync(join(home, path)).some((found) => statSync(found).ctimeMs >= begun);
      await killedWhen(home, args, isReached);
      assert.equal(existsSync(join(home, 'config.json')), false, step);
    }
    const up = await domain.commandIn(home, 'up');
    assert.match(up.stderr, /There is no domain in .*ERR_CONFIGURATION/s, 'it cannot be started');
    await succeeds(home, ...args);
    assert.deepEqual(globSync('restoring-*', { cwd: home }), []);
    const again = await domain.commandIn(home, ...args, ...domain.secret);
    assert.match(again.stderr, /is not empty.*ERR_BACKUP_TARGET/s);
  });

  test('restoring one into a database of one’s own', async (t) => {
    const { url } = await createTestDatabase({ templateKey: 'empty', prepareTemplate: async () => undefined });
    const sql = postgres(url, { max: 1, onnotice: () => {} });
    t.after(async () => await sql.end({ timeout: 5 }));
    const home = join(domain.folder, 'external');
    const args = ['backup', 'restore', '--yes', file, '--database-url', url];
    await killedWhen(home, args, async () => {
      const [row] = await sql`select to_regclass('event') is not null as present`;
      return row?.['present'] === true;
    });
    await succeeds(home, ...args);
    const other = await domain.commandIn(join(domain.folder, 'third'), ...args, ...domain.secret);
    assert.match(other.stderr, /it holds a domain already\. Create a new.*Nothing was changed.*ERR_BACKUP_TARGET/s);
  });

  test('two that restore into one home: the second is refused, and the first is not disturbed', async () => {
    const home = join(domain.folder, 'twice');
    const args = ['backup', 'restore', '--yes', file];
    const first = succeeds(home, ...args);
    while (globSync(join(home, 'restoring-*')).length === 0) await delay(5);
    const { stderr } = await domain.commandIn(home, ...args, ...domain.secret);
    assert.match(stderr, /being restored into .* by another command.*ERR_BACKUP_TARGET/s);
    await first;
    await stopEmbedded({ folder: join(home, 'postgres'), mode: 'immediate' });
  });
});
