import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import postgres from 'postgres';
import { isAlive } from '../../base/process-facts.ts';
import { until } from '../../testing/condition.ts';
import { installBinaries, versionFor } from './binaries.ts';
import { readCluster } from './cluster.ts';
import { findPostmaster, parsePostmasterFile } from './postmaster.ts';
import { type EmbeddedServer, startEmbedded, stopEmbedded } from './server.ts';

const run = promisify(execFile);
const settings = { fsync: 'off', shared_buffers: '16MB' };

async function newFolder(): Promise<string> {
  const parent = await mkdtemp(path.join(os.tmpdir(), 'bramble-embedded-'));
  await chmod(parent, 0o711);
  const folder = path.join(parent, 'postgres');
  after(async () => {
    await stopEmbedded({ folder, mode: 'immediate' });
    await rm(parent, { recursive: true, force: true });
  });
  return folder;
}

/** Making a cluster takes longest: the tests one after the other share one, and each leaves it stopped. */
const folder = await newFolder();

async function query(server: { url: string }, text: string): Promise<unknown[]> {
  const sql = postgres(server.url, { max: 1 });
  try {
    return [...(await sql.unsafe(text))];
  } finally {
    await sql.end();
  }
}

test('the server outlives its starter, is adopted, and recovers under the same address after kill -9', async () => {
  const started = await startElsewhere(folder);
  assert.equal(started.adopted, false);
  assert.equal((await stat(path.join(folder, 'cluster', 'password'))).mode & 0o777, 0o600);

  const adopted = await startEmbedded({ folder, settings });
  assert.deepEqual(adopted, { ...started, adopted: true });
  await query(adopted, 'create table kept (n integer)');
  await query(adopted, 'insert into kept values (7)');

  process.kill(adopted.pid, 'SIGKILL');
  const recovered = await startEmbedded({ folder, settings });
  assert.equal(recovered.adopted, false);
  assert.equal(recovered.url, adopted.url);
  assert.deepEqual(await query(recovered, 'select n from kept'), [{ n: 7 }]);
  const [facts] = await query(
    recovered,
    `select current_setting('server_encoding') as encoding, datcollate as locale from pg_database
      where datname = current_database()`,
  );
  assert.deepEqual(facts, { encoding: 'UTF8', locale: 'C' });

  assert.equal(await stopEmbedded({ folder, mode: 'fast' }), true);
  // It has removed its mark, and ends: on a slow disk that takes a moment.
  await until('its process has ended', 60_000, async () => !(await isAlive(recovered.pid)));
  assert.equal(await stopEmbedded({ folder, mode: 'fast' }), false);
});

test('of several starters at the same time one starts the server and the others adopt it', async () => {
  const fresh = await newFolder();
  const servers = await Promise.all([startElsewhere(fresh), startElsewhere(fresh), startElsewhere(fresh)]);
  assert.deepEqual(servers.map((server) => server.adopted).sort(), [false, true, true]);
  assert.equal(new Set(servers.map((server) => server.url)).size, 1);
  assert.deepEqual(await query({ url: servers[0].url }, 'select 1 as one'), [{ one: 1 }]);
});

test('a taken port is replaced, and a process id that now is another process does no harm', async (t) => {
  const first = await startEmbedded({ folder, settings });
  const cluster = await readCluster(folder);
  assert.ok(cluster);
  const pidFile = path.join(cluster.dataFolder, 'postmaster.pid');
  const pidText = await readFile(pidFile, 'utf8');
  await stopEmbedded({ folder, mode: 'immediate' });
  const squatter = net.createServer().listen(first.port, '127.0.0.1');
  await once(squatter, 'listening');
  t.after(() => squatter.close());
  // What a killed server leaves, with an id that now belongs to a live process: the test's own parent.
  await writeFile(pidFile, pidText.replace(/^\d+/, String(process.ppid)));
  assert.equal(await findPostmaster(cluster.dataFolder), null);

  const second = await startEmbedded({ folder, settings });
  assert.notEqual(second.port, first.port);
  assert.deepEqual(await query(second, 'select 1 as one'), [{ one: 1 }]);
  await stopEmbedded({ folder, mode: 'immediate' });
});

test('a server of other binaries is started again from the own ones under its address, and data of another major version is refused untouched', async () => {
  const first = await startEmbedded({ folder, settings });
  await query(first, 'create table before_binaries (n integer)');
  await stopEmbedded({ folder, mode: 'fast' });
  const own = await installBinaries(folder, null);
  // As another minor version lies there: a folder of its own, with the same programs in it.
  const other = path.join(folder, 'pg', `${Number.parseInt(own.version, 10)}.0.1`);
  await symlink(path.dirname(own.bin), other);
  after(async () => await rm(other, { force: true }));
  const running = await startEmbedded({ folder, settings, binaries: { version: '0.1', bin: path.join(other, 'bin') } });
  const adopted = await startEmbedded({ folder, settings });
  assert.deepEqual([adopted.adopted, adopted.pid], [true, running.pid], 'who does not ask for it restarts nothing');

  const told: string[] = [];
  const ask = { folder, settings, ownBinaries: true, onReplacing: (to: string) => told.push(to) };
  const replaced = await startEmbedded(ask);
  assert.deepEqual([replaced.adopted, replaced.url, told], [false, running.url, [own.version]]);
  assert.equal(await isAlive(running.pid), false);
  assert.deepEqual(await query(replaced, 'select n from before_binaries'), []);
  assert.deepEqual(await startEmbedded(ask), { ...replaced, adopted: true });
  assert.equal(told.length, 1);
  await stopEmbedded({ folder, mode: 'fast' });

  const version = path.join(folder, 'cluster', 'data', 'PG_VERSION');
  const text = await readFile(version, 'utf8');
  await writeFile(version, '12\n');
  await assert.rejects(versionFor(folder), { code: 'ERR_DATABASE_MAJOR', message: /for version 12, .*pg_dump/s });
  await assert.rejects(startEmbedded(ask), { code: 'ERR_DATABASE_MAJOR' });
  await symlink(path.dirname(own.bin), path.join(folder, 'pg', '12.4.0'));
  assert.equal(await versionFor(folder), '12.4.0', 'binaries that the home has kept are taken');
  await rm(path.join(folder, 'pg', '12.4.0'));
  await writeFile(version, text);
});

test('an aborted start, refused settings and a password that does not fit are errors, not endless attempts', async () => {
  await assert.rejects(startEmbedded({ folder, settings, signal: AbortSignal.abort(new Error('enough')) }), /enough/);
  await assert.rejects(startEmbedded({ folder, settings: { ...settings, max_connections: 'many' } }), {
    code: 'ERR_DATABASE_START',
    message: /max_connections/,
  });
  await startEmbedded({ folder, settings });
  await writeFile(path.join(folder, 'cluster', 'password'), 'another\n');
  await assert.rejects(startEmbedded({ folder, settings }), { code: 'ERR_DATABASE_START' });
});

test('a postmaster file is read line by line, and an incomplete one is no server', () => {
  const text = '4711\n/data\n1700000000\n25431\n\n127.0.0.1\n  12345 1\nready   \n';
  assert.deepEqual(parsePostmasterFile(text), { pid: 4711, port: 25431, status: 'ready' });
  assert.deepEqual(parsePostmasterFile('4711\n'), { pid: 4711, port: 0, status: '' });
  assert.equal(parsePostmasterFile(''), null);
});

/** Starts the server from a process of its own, which then ends. */
async function startElsewhere(where: string): Promise<EmbeddedServer> {
  const module = new URL('./server.ts', import.meta.url).href;
  const code = `import { startEmbedded } from ${JSON.stringify(module)};
    const server = await startEmbedded(${JSON.stringify({ folder: where, settings })});
    console.log(JSON.stringify(server));`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', code]);
  return JSON.parse(stdout) as EmbeddedServer;
}
