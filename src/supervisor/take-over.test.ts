import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { after, type TestContext, test } from 'node:test';
import postgres from 'postgres';
import { until } from '../base/test-condition.ts';
import { exitWithin } from '../base/test-process.ts';
import { createTestDatabase } from '../database/test-database.ts';
import { ask, closedLoop, configure, newHome, supervise, superviseElsewhere } from './supervisor-fixture.ts';

const database = await createTestDatabase();
const sql = postgres(database.url, { max: 2 });
after(async () => await sql.end());

async function desire(host: string, name: string, kind: string, settings: object, release = '1.0.0'): Promise<void> {
  await sql`
    insert into desired_process (name, kind, host, release, state, settings)
    values (${name}, ${kind}, ${host}, ${release}, 'running', ${sql.json(settings as never)})
    on conflict (name) do update set release = excluded.release, settings = excluded.settings`;
}

/** A home whose supervisor is a process of its own, with a router and an instance that can be adopted. */
async function scene(t: TestContext, host: string, release = '1.2.0') {
  const home = await newHome(['1.0.0', '1.1.0']);
  await configure(home, host, { url: database.url });
  const settings = { adoptable: true };
  await desire(host, `${host}-router`, 'router', settings);
  await desire(host, `${host}-server`, 'server', settings);
  const former = superviseElsewhere(t, home, { release });
  const { port } = await former.next('listening', ({ socket }) => socket === 'public');
  const pids = [(await former.next('ready')).pid, (await former.next('ready')).pid].sort();
  return { home, former, port, pids, settings };
}

/** A connection that was accepted before and is asked something afterwards. */
async function openTunnel(port: number): Promise<() => Promise<string>> {
  const socket = net.connect({ port, host: '127.0.0.1' });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', () => resolve()).once('error', reject);
  });
  return async () =>
    await new Promise((resolve, reject) => {
      socket.setEncoding('utf8').once('data', resolve).once('error', reject);
      socket.write('hello');
    });
}

test('a later supervisor takes sockets and processes over, and no connection notices', async (t) => {
  const { home, former, port, pids } = await scene(t, 'take-one');
  const client = closedLoop(port);
  const tunnel = await openTunnel(port);
  const answersBefore = await client.until('1.0.0');
  const supervisor = supervise(t, home, { release: '1.2.1' });
  const adopted = [(await supervisor.next('adopted')).pid, (await supervisor.next('adopted')).pid];
  assert.deepEqual(adopted.sort(), pids);
  assert.equal(await exitWithin(former.process, 60_000, 'the former supervisor'), 0);
  assert.equal(former.all.at(-1)?.type, 'handed-over');
  await supervisor.next('database-ready');
  await until('the domain knows the supervisor', 60_000, async () => {
    const [row] = await sql`select release from supervisor where host = 'take-one'`;
    return row?.['release'] === '1.2.1';
  });
  assert.equal(await client.until('1.0.0'), answersBefore, 'the same router answers');
  assert.match(await tunnel(), /^1\.0\.0 public /);

  // The sockets are the new one's own: a router is replaced, and killed, without a connection refused.
  await desire('take-one', 'take-one-router', 'router', { adoptable: true }, '1.1.0');
  const replaced = await supervisor.next('replaced');
  assert.equal(await client.until('1.1.0'), `1.1.0 public ${replaced.pid}`);
  assert.ok((await client.stop()) > 0);
  process.kill(replaced.pid, 'SIGKILL');
  assert.match(await ask(port), /^1\.1\.0 public /);
  await supervisor.stop();
  assert.deepEqual(await readdir(path.join(home, 'run', 'processes')), []);
});

test('after kill -9 of the supervisor the next one adopts, at once or in a while', async (t) => {
  const { home, former, port, pids } = await scene(t, 'take-two');
  const client = closedLoop(port);
  former.process.kill('SIGKILL');
  await exitWithin(former.process, 60_000, 'the killed supervisor');
  const supervisor = supervise(t, home, { release: '1.2.0', hungAfterMs: 10_000 });
  const adopted = [(await supervisor.next('adopted')).pid, (await supervisor.next('adopted')).pid];
  assert.deepEqual(adopted.sort(), pids);
  await supervisor.next('database-ready');
  assert.ok((await client.stop()) > 0);
  // One that is adopted is watched as one that was started: whether it ends, and whether it hangs.
  const [killed, stopped] = pids;
  process.kill(killed ?? 0, 'SIGKILL');
  const { pid, expected } = await supervisor.next('exited');
  assert.deepEqual([pid, expected], [killed, false]);
  process.kill(stopped ?? 0, 'SIGSTOP');
  assert.equal((await supervisor.next('hung')).pid, stopped);
  assert.equal((await supervisor.next('exited')).pid, stopped);
});

test('what nobody adopts drains', async (t) => {
  const home = await newHome(['1.0.0']);
  await configure(home, 'take-three', { url: database.url });
  await desire('take-three', 'take-three-server', 'server', { adoptable: true, patienceMs: 300 });
  const former = superviseElsewhere(t, home, { release: '1.2.0' });
  const { pid } = await former.next('ready');
  former.process.kill('SIGKILL');
  await until('the process without a supervisor has ended', 60_000, () => {
    try {
      return !process.kill(pid, 0);
    } catch {
      return true;
    }
  });
});

test('nothing is taken over where a process would end with its supervisor, and a later release only when told to', async (t) => {
  const { home, former, port, settings } = await scene(t, 'take-four');
  await desire('take-four', 'take-four-old', 'server', {});
  const { pid } = await former.next('ready');
  const later = { home, signal: AbortSignal.timeout(60_000), onEvent: () => undefined };
  const { runSupervisor } = await import('./supervisor.ts');
  await assert.rejects(runSupervisor({ ...later, release: '1.2.1' }), (error: { code: string; message: string }) => {
    assert.equal(error.code, 'ERR_TAKE_OVER_INTERRUPTS');
    assert.match(error.message, new RegExp(`server of 1\\.0\\.0 \\(process ${pid}\\)`));
    return true;
  });
  await assert.rejects(runSupervisor({ ...later, release: '1.2.0' }), { code: 'ERR_ALREADY_RUNNING' });
  await assert.rejects(runSupervisor({ ...later, release: '1.1.9' }), { code: 'ERR_TAKE_OVER_NEWER' });
  assert.match(await ask(port), /^1\.0\.0 public /);
  await desire('take-four', 'take-four-old', 'server', settings);
  await former.next('ready', (event) => event.name === 'take-four-old');
  const supervisor = supervise(t, home, { release: '1.1.9', takeOver: true });
  for (let count = 0; count < 3; count++) await supervisor.next('adopted');
});

test('of two supervisors that take over at once one does, and one that does not answer is killed', async (t) => {
  const { home, former, port, pids } = await scene(t, 'take-five');
  const client = closedLoop(port);
  former.process.kill('SIGSTOP');
  const rivals = [1, 2].map(() => superviseElsewhere(t, home, { release: '1.2.1' }));
  const winner = await Promise.race(
    rivals.map(async (rival) => {
      await rival.next('adopted');
      await rival.next('adopted');
      return rival;
    }),
  );
  const loser = rivals.find((rival) => rival !== winner);
  assert.ok(loser);
  assert.notEqual(await exitWithin(loser.process, 60_000, 'the rival'), 0);
  assert.equal(former.process.signalCode, 'SIGKILL');
  const adopted = winner.all.flatMap((event) => (event.type === 'adopted' ? [event.pid] : []));
  assert.deepEqual(adopted.sort(), pids);
  // What was adopted is handed on again.
  const last = supervise(t, home, { release: '1.2.2' });
  assert.equal(await exitWithin(winner.process, 60_000, 'the supervisor that had adopted'), 0);
  await last.next('adopted');
  await last.next('adopted');
  assert.ok((await client.stop()) > 0);
});
