import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { after, test } from 'node:test';
import postgres from 'postgres';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { startEmbedded, stopEmbedded } from '../../database/embedded/server.ts';
import { inTime } from '../../testing/condition.ts';
import { exitWithin } from '../../testing/process.ts';
import { databaseFolder, runSupervisor } from './supervisor.ts';
import { ask, closedLoop, configure, newHome, supervise, superviseElsewhere } from './supervisor-fixture.ts';

const database = await createTestDatabase();
const sql = postgres(database.url, { max: 2 });
after(async () => await sql.end());

interface Wish {
  kind?: string;
  release?: string;
  state?: 'running' | 'stopped';
  settings?: Record<string, unknown>;
}

async function desire(host: string, name: string, wish: Wish = {}, through = sql): Promise<void> {
  const { kind = 'server', release = '1.0.0', state = 'running', settings = {} } = wish;
  await through`
    insert into desired_process (name, kind, host, release, state, settings)
    values (${name}, ${kind}, ${host}, ${release}, ${state}, ${through.json(settings as never)})
    on conflict (name) do update set release = excluded.release, state = excluded.state, settings = excluded.settings`;
}

async function supervisedHome(host: string): Promise<string> {
  const home = await newHome(['1.0.0', '1.1.0']);
  await configure(home, host, { url: database.url });
  return home;
}

// Before any supervisor starts a process.
process.env['MALLOC_ARENA_MAX'] = '7';

const limited = { timeout: 60_000 };

test('processes are started, stopped on purpose, moved to another release, and restarted after a crash', async (t) => {
  const home = await supervisedHome('alpha');
  const supervisor = supervise(t, home);
  await desire('alpha', 'alpha-server');
  await desire('elsewhere', 'other-server');
  const first = await supervisor.next('started', ({ name }) => name === 'alpha-server');
  await supervisor.next('ready');
  await desire('alpha', 'alpha-server', { state: 'stopped' });
  assert.deepEqual(
    (({ code, expected }) => ({ code, expected }))(await supervisor.next('exited', ({ pid }) => pid === first.pid)),
    { code: 0, expected: true },
  );
  await desire('alpha', 'alpha-server', { release: '1.1.0' });
  const second = await supervisor.next('ready');
  await desire('alpha', 'alpha-server', { release: '1.0.0' });
  await supervisor.next('exited', ({ pid, expected }) => pid === second.pid && expected);
  const third = await supervisor.next('ready');
  process.kill(third.pid, 'SIGKILL');
  assert.equal((await supervisor.next('exited')).expected, false);
  assert.equal((await supervisor.next('restarting')).inMs, 200);
  const fourth = await supervisor.next('ready');
  await sql`delete from desired_process where name = 'alpha-server'`;
  await supervisor.next('exited', ({ pid, expected }) => pid === fourth.pid && expected);
  const log = (await readFile(path.join(home, 'logs', 'alpha-server.log'), 'utf8')).trim().split('\n');
  assert.deepEqual(
    log.map((line) => (JSON.parse(line) as { release: string }).release),
    ['1.0.0', '1.1.0', '1.0.0', '1.0.0'],
  );
  const { database: url, memory } = JSON.parse(log[0] ?? '') as { database: string; memory: string[] };
  assert.equal(url, database.url);
  // What an operator has set for all of them stays.
  assert.deepEqual(memory, ['--max-semi-space-size=8', '7', '1048576']);
  assert.equal(
    supervisor.all.some((event) => 'name' in event && event.name === 'other-server'),
    false,
  );
});

test('a process is started whatever signature lies beside its release', async (t) => {
  const home = await supervisedHome('lambda');
  // As a later release may have brought it, and as a power failure may leave it.
  await writeFile(path.join(home, 'releases', '1.0.0.sig'), 'bramble release signature 2\n');
  await writeFile(path.join(home, 'releases', '1.1.0.sig'), '');
  const supervisor = supervise(t, home);
  await desire('lambda', 'lambda-server');
  await desire('lambda', 'lambda-next', { release: '1.1.0' });
  await supervisor.next('ready');
  await supervisor.next('ready');
});

test('a process that crashes again and again waits longer each time, and another wish starts at once', async (t) => {
  const supervisor = supervise(t, await supervisedHome('beta'));
  await desire('beta', 'beta-server', { settings: { crash: true } });
  const delays: number[] = [];
  while (delays.length < 3) {
    delays.push((await supervisor.next('restarting')).inMs);
  }
  assert.deepEqual(delays, [200, 400, 800]);
  await desire('beta', 'beta-server');
  await supervisor.next('ready');
});

test('a process that hears no SIGTERM, and one that was stopped by SIGSTOP, are killed after the grace', async (t) => {
  const home = await supervisedHome('gamma');
  const supervisor = supervise(t, home, { stopGraceMs: 300 });
  await desire('gamma', 'gamma-deaf', { settings: { deaf: true } });
  await supervisor.next('ready');
  await desire('gamma', 'gamma-frozen');
  process.kill((await supervisor.next('ready')).pid, 'SIGSTOP');
  await supervisor.stop();
  const exits = supervisor.all.filter((event) => event.type === 'exited');
  assert.deepEqual(
    exits.map(({ signal, expected }) => ({ signal, expected })),
    Array(2).fill({ signal: 'SIGKILL', expected: true }),
  );
});

test('a process that falls silent after a heartbeat is killed and started again; one that never sent any is not', async (t) => {
  const supervisor = supervise(t, await supervisedHome('kappa'), { hungAfterMs: 3000, stopGraceMs: 100 });
  // As a process of 1.1 is, which knows no heartbeat: nobody can tell that it hangs.
  await desire('kappa', 'kappa-old', { settings: { hang: true } });
  const old = await supervisor.next('started');
  await desire('kappa', 'kappa-lively', { settings: { heartbeat: 100 } });
  const lively = await supervisor.next('started');
  await desire('kappa', 'kappa-hung', { settings: { heartbeat: 100, hang: true } });
  const hung = await supervisor.next('started');
  assert.deepEqual(await supervisor.next('hung'), {
    ...{ type: 'hung', name: 'kappa-hung', pid: hung.pid, silentMs: 3000 },
  });
  const { signal, expected } = await supervisor.next('exited');
  assert.deepEqual([signal, expected], ['SIGKILL', false]);
  const again = await supervisor.next('ready');
  assert.equal(again.name, 'kappa-hung');
  process.kill(again.pid, 'SIGSTOP');
  assert.equal((await supervisor.next('hung')).pid, again.pid, 'stopped by a signal is silent too');
  for (const { pid } of [old, lively]) {
    assert.equal(
      supervisor.all.some((event) => event.type === 'exited' && event.pid === pid),
      false,
    );
  }
});

test('no connection is lost while routers are replaced, killed and started again', async (t) => {
  const home = await supervisedHome('delta');
  const supervisor = supervise(t, home);
  const { port } = await supervisor.next('listening', ({ socket }) => socket === 'public');
  await desire('delta', 'delta-router', { kind: 'router' });
  const first = await supervisor.next('ready');
  const client = closedLoop(port);
  assert.match(await client.until('1.0.0'), new RegExp(`^1\\.0\\.0 public ${first.pid}$`));
  let replaced = { pid: first.pid };
  for (const release of ['1.1.0', '1.0.0', '1.1.0']) {
    const { pid } = replaced;
    await desire('delta', 'delta-router', { kind: 'router', release });
    replaced = await supervisor.next('replaced');
    await client.until(release);
    await supervisor.next('exited', (event) => event.pid === pid && event.expected);
  }
  assert.ok((await client.stop()) > 100);
  // Connected while no router lives: they wait in the socket's queue, and the supervisor takes none of them.
  process.kill(replaced.pid, 'SIGKILL');
  await supervisor.next('exited', ({ pid }) => pid === replaced.pid);
  const waiting = await Promise.all(Array.from({ length: 20 }, () => ask(port)));
  const restarted = await supervisor.next('started');
  assert.deepEqual(new Set(waiting), new Set([`1.1.0 public ${restarted.pid}`]));
  const log = await readFile(path.join(home, 'logs', 'delta-router.log'), 'utf8');
  assert.equal((JSON.parse(log.split('\n')[0] ?? '') as { database: null }).database, null);
});

test(
  'a host whose router was removed refuses devices, and its ports are opened again for the next one',
  limited,
  async (t) => {
    const home = await supervisedHome('iota');
    const supervisor = supervise(t, home);
    const { port } = await supervisor.next('listening', ({ socket }) => socket === 'public');
    await desire('iota', 'iota-router', { kind: 'router' });
    await supervisor.next('ready');
    await sql`delete from desired_process where name = 'iota-router'`;
    await supervisor.next('exited', ({ expected }) => expected);
    const closed = supervisor.next('closed', ({ socket }) => socket === 'public');
    await inTime('the port is closed', 30_000, closed);
    await assert.rejects(ask(port), { code: 'ECONNREFUSED' });
    await desire('iota', 'iota-router-2', { kind: 'router' });
    const again = await supervisor.next('listening', ({ socket }) => socket === 'public');
    const next = await supervisor.next('ready');
    assert.equal(await ask(again.port), `1.0.0 public ${next.pid}`);
  },
);

test('an instance that yields serves until its successor does, and goes on where that one never does', async (t) => {
  const home = await supervisedHome('sigma');
  const supervisor = supervise(t, home, { successorReadyMs: 1000 });
  const settings = { yields: true };
  await desire('sigma', 'sigma-server', { settings });
  const first = await supervisor.next('ready');
  // Ready, and no router has accepted it: it is ended, the first is not, and it is tried again.
  await desire('sigma', 'sigma-server', { settings, release: '1.1.0' });
  const late = await supervisor.next('ready', ({ pid }) => pid !== first.pid);
  assert.equal((await supervisor.next('exited')).pid, late.pid);
  await supervisor.next('restarting');
  await writeFile(path.join(home, 'linked-1.1.0'), '');
  const { pid } = await supervisor.next('replaced');
  const before = await supervisor.next('exited');
  assert.deepEqual([before.pid, before.expected], [first.pid, true]);
  assert.notEqual(pid, first.pid);
});

test('a process whose predecessor ended while it was on trial is started again when it ends', limited, async (t) => {
  const home = await supervisedHome('tau');
  const supervisor = supervise(t, home, { successorReadyMs: 60_000 });
  const settings = { yields: true };
  await desire('tau', 'tau-server', { settings });
  const first = await supervisor.next('ready');
  await desire('tau', 'tau-server', { settings, release: '1.1.0' });
  const { pid } = await supervisor.next('ready', (event) => event.pid !== first.pid);
  process.kill(first.pid, 'SIGKILL');
  await supervisor.next('exited', (event) => event.pid === first.pid);
  await writeFile(path.join(home, 'linked-1.1.0'), '');
  assert.equal((await supervisor.next('replaced')).pid, pid);
  process.kill(pid, 'SIGKILL');
  await supervisor.next('exited', (event) => event.pid === pid);
  assert.notEqual((await supervisor.next('started')).pid, pid);
});

test('a router whose successor never works, or whose release was changed, stays at work', async (t) => {
  const home = await supervisedHome('epsilon');
  const supervisor = supervise(t, home, { successorReadyMs: 200 });
  const { port } = await supervisor.next('listening', ({ socket }) => socket === 'srp');
  await desire('epsilon', 'epsilon-router', { kind: 'router' });
  const { pid } = await supervisor.next('ready');
  await desire('epsilon', 'epsilon-router', { kind: 'router', release: '1.1.0', settings: { silent: true } });
  await supervisor.next('exited', (event) => event.pid !== pid && event.expected);
  await supervisor.next('restarting');
  await writeFile(path.join(home, 'releases', '1.1.0', 'bramble.mjs'), 'process.exit(0)');
  await desire('epsilon', 'epsilon-router', { kind: 'router', release: '1.1.0' });
  assert.equal((await supervisor.next('refused')).code, 'ERR_RELEASE_ARCHIVE_CHANGED');
  await desire('epsilon', 'epsilon-router', { kind: 'router' });
  assert.equal(await ask(port), `1.0.0 srp ${pid}`);
});

test('a second supervisor on the home is refused, a taken port and a bad configuration are named', async (t) => {
  const home = await supervisedHome('zeta');
  const supervisor = supervise(t, home);
  await supervisor.next('listening', ({ socket }) => socket === 'public');
  const run = async (where: string) =>
    await runSupervisor({ home: where, signal: AbortSignal.timeout(60_000), onEvent: () => undefined, portWaitMs: 0 });
  await assert.rejects(run(home), { code: 'ERR_ALREADY_RUNNING' });

  const other = await supervisedHome('eta');
  const squatter = net.createServer().listen(0, '127.0.0.1');
  await once(squatter, 'listening');
  t.after(() => squatter.close());
  const { port } = squatter.address() as net.AddressInfo;
  const file = path.join(other, 'config.json');
  const configuration = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  await writeFile(file, JSON.stringify({ ...configuration, publicPort: port }));
  await assert.rejects(run(other), { code: 'ERR_ADDRESS_IN_USE', details: { address: '127.0.0.1', port } });
  await writeFile(file, '{"host": 1}');
  await assert.rejects(run(other), { code: 'ERR_CONFIGURATION' });
});

test('instances and services are stopped before routers', async (t) => {
  const home = await supervisedHome('theta');
  const supervisor = supervise(t, home);
  await desire('theta', 'a-router', { kind: 'router' });
  await desire('theta', 'b-server');
  await desire('theta', 'c-connection', { kind: 'connection' });
  for (const _ of ['router', 'server', 'connection']) {
    await supervisor.next('ready');
  }
  await supervisor.stop();
  const order = supervisor.all.flatMap((event) => (event.type === 'exited' ? [event.name] : []));
  assert.equal(order.length, 3);
  assert.equal(order.at(-1), 'a-router');
});

test('the embedded database is started again after kill -9; a killed supervisor leaves it and no process', async (t) => {
  const home = await newHome(['1.0.0']);
  const settings = { fsync: 'off', shared_buffers: '16MB' };
  await configure(home, 'iota', { embedded: true, settings });
  t.after(async () => await stopEmbedded({ folder: databaseFolder(home), mode: 'immediate' }));
  const { url } = await startEmbedded({ folder: databaseFolder(home), settings });
  const own = postgres(url, { max: 1, onnotice: () => undefined });
  t.after(async () => await own.end());
  await own`create table desired_process (name text primary key, kind text, host text, release text, state text,
    settings jsonb)`;

  const killed = superviseElsewhere(t, home);
  const before = await killed.next('database-ready');
  assert.equal(before.adopted, true);
  await desire('iota', 'iota-server', {}, own);
  const server = await killed.next('ready');
  process.kill(before.pid ?? 0, 'SIGKILL');
  await killed.next('database-lost');
  const back = await killed.next('database-ready');
  assert.equal(back.adopted, false);
  assert.equal(
    killed.all.some((event) => event.type === 'exited'),
    false,
  );
  killed.process.kill('SIGKILL');
  await exitWithin(killed.process, 60_000, 'the killed supervisor');

  const supervisor = supervise(t, home);
  const adopted = await supervisor.next('database-ready');
  assert.deepEqual([adopted.adopted, adopted.pid], [true, back.pid]);
  const again = await supervisor.next('ready');
  assert.notEqual(again.pid, server.pid);
  await supervisor.stop();
  const notes = (await readFile(path.join(home, 'notes'), 'utf8')).trim().split('\n');
  assert.deepEqual(notes, ['iota-server end', 'iota-server end']);
  assert.equal(await stopEmbedded({ folder: databaseFolder(home), mode: 'fast' }), false);
});
