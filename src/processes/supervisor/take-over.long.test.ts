import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { after, type TestContext, test } from 'node:test';
import postgres from 'postgres';
import { isAlive } from '../../base/process-facts.ts';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { until } from '../../testing/condition.ts';
import { exitWithin } from '../../testing/process.ts';
import { readAdoptable } from './adoptable-processes.ts';
import { runSupervisor } from './supervisor.ts';
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
async function scene(t: TestContext, host: string, ofRouter: object = {}) {
  const home = await newHome(['1.0.0', '1.1.0']);
  await configure(home, host, { url: database.url });
  const settings = { adoptable: true };
  await desire(host, `${host}-router`, 'router', { ...settings, ...ofRouter });
  await desire(host, `${host}-server`, 'server', settings);
  const former = superviseElsewhere(t, home, { release: '1.2.0' });
  const { port: srpPort } = await former.next('listening', ({ socket }) => socket === 'srp');
  const { port } = await former.next('listening', ({ socket }) => socket === 'public');
  const pids = [(await former.next('ready')).pid, (await former.next('ready')).pid].sort();
  return { home, former, port, srpPort, pids, settings };
}

/** Changes the configuration for the next supervisor. */
async function reconfigure(home: string, changes: object): Promise<void> {
  const file = path.join(home, 'config.json');
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), ...changes }));
}

/** A connection accepted before, with a request sent afterwards. */
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
  // The one before it may still answer until it has drained.
  await supervisor.next('exited', ({ expected }) => expected);
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
  // An adopted process is watched like one that was started: for its end, and for hanging.
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

test('a router that fails at first to hand its sockets on is asked again, and no connection notices', async (t) => {
  const { home, former, port, pids } = await scene(t, 'take-six', { offer: 'late' });
  const client = closedLoop(port);
  await client.until('1.0.0');
  const supervisor = supervise(t, home, { release: '1.2.1' });
  assert.equal((await supervisor.next('listening', ({ socket }) => socket === 'public')).port, port);
  assert.ok((await client.stop()) > 0);
  assert.equal(await exitWithin(former.process, 60_000, 'the former supervisor'), 0);
  const adopted = supervisor.all.flatMap((event) => (event.type === 'adopted' ? [event.pid] : []));
  assert.deepEqual(adopted.sort(), pids);
});

test('where sockets cannot be handed on, the router is stopped and its port opened anew', async (t) => {
  const { home, port: publicPort, srpPort, pids } = await scene(t, 'take-seven', { offer: 'no sender' });
  await reconfigure(home, { publicPort, srpPort });
  const supervisor = supervise(t, home, { release: '1.2.1', inheritMs: 1, portWaitMs: 60_000 });
  assert.deepEqual((await supervisor.next('not-inherited')).sockets, ['srp', 'public']);
  const { pid, name } = await supervisor.next('ready', (event) => !pids.includes(event.pid));
  assert.equal(name, 'take-seven-router');
  assert.equal(await ask(publicPort), `1.0.0 public ${pid}`);
});

const oneLoopback = process.platform !== 'linux' && 'this system has one loopback address';
test('a listening address that was changed holds from the take-over on', { skip: oneLoopback }, async (t) => {
  const { home, port: publicPort, srpPort, pids } = await scene(t, 'take-eight');
  await reconfigure(home, { publicPort, srpPort, listenAddress: '127.0.0.2' });
  const supervisor = supervise(t, home, { release: '1.2.1' });
  const { pid } = await supervisor.next('ready', (event) => !pids.includes(event.pid));
  assert.equal(await ask(publicPort, '127.0.0.2'), `1.0.0 public ${pid}`);
  await assert.rejects(ask(publicPort), { code: 'ECONNREFUSED' });
});

test('balancers that were added are told to routers at the take-over, each replaced without a refused connection', async (t) => {
  const { home, port, pids } = await scene(t, 'take-balanced', { tunnelHost: 'tunnel.test' });
  await reconfigure(home, { balancers: ['192.0.2.0/28'] });
  const client = closedLoop(port);
  const supervisor = supervise(t, home, { release: '1.2.1' });
  const { pid, name } = await supervisor.next('replaced');
  await client.until(`1.0.0 public ${pid}`);
  assert.ok((await client.stop()) > 0);
  const lines = (await readFile(path.join(home, 'logs', `${name}.log`), 'utf8')).trim().split('\n');
  const told = lines.map((line) => (JSON.parse(line) as { settings: object }).settings);
  const before = { adoptable: true, tunnelHost: 'tunnel.test' };
  assert.deepEqual(told, [before, { ...before, balancers: ['192.0.2.0/28'] }]);
  assert.ok(pids.some((other) => other !== pid) && !pids.includes(pid));
  const server = await readFile(path.join(home, 'logs', 'take-balanced-server.log'), 'utf8');
  assert.equal(server.trim().split('\n').length, 1, 'the instance went on');
});

/** What a supervisor that starts finds: processes whose supervisor was killed, and a port that another program has. */
async function squatted(t: TestContext, host: string) {
  const home = await newHome(['1.0.0']);
  await configure(home, host, { url: database.url });
  await desire(host, `${host}-server`, 'server', { adoptable: true, patienceMs: 60_000 });
  const killed = superviseElsewhere(t, home, { release: '1.2.0' });
  const { pid } = await killed.next('ready');
  await until('it has announced that it can be adopted', 60_000, async () => {
    return (await readAdoptable(home)).some((marked) => marked.pid === pid);
  });
  killed.process.kill('SIGKILL');
  await exitWithin(killed.process, 60_000, 'the killed supervisor');
  const squatter = net.createServer().listen(0, '127.0.0.1');
  await once(squatter, 'listening');
  t.after(() => squatter.close());
  await reconfigure(home, { srpPort: (squatter.address() as net.AddressInfo).port });
  return { home, pid, squatter };
}

test('a supervisor that waits for a port hands on what it has adopted', async (t) => {
  const { home, pid, squatter } = await squatted(t, 'take-nine');
  const waiting = superviseElsewhere(t, home, { release: '1.2.0' });
  await waiting.next('waiting-for-port');
  const supervisor = supervise(t, home, { release: '1.2.1' });
  assert.equal(await exitWithin(waiting.process, 60_000, 'the supervisor that waited'), 0);
  assert.equal((await supervisor.next('adopted')).pid, pid);
  squatter.close();
  await supervisor.next('database-ready');
});

test('a supervisor that is stopped while it waits for a port stops what it has adopted', async (t) => {
  const { home, pid } = await squatted(t, 'take-ten');
  const supervisor = supervise(t, home, { release: '1.2.0' });
  await supervisor.next('waiting-for-port');
  await supervisor.stop();
  assert.equal(await isAlive(pid), false);
});

test('a supervisor that is stopped before processes report themselves stops those too', async (t) => {
  const { home, pid } = await squatted(t, 'take-eleven');
  process.kill(pid, 'SIGSTOP');
  const controller = new AbortController();
  const done = runSupervisor({ home, signal: controller.signal, onEvent: () => undefined, stopGraceMs: 1 });
  await until('the supervisor hears processes', 60_000, async () => {
    return (await readdir(path.join(home, 'run'))).includes('supervisor.sock');
  });
  controller.abort(new Error('the test is over'));
  await done;
  assert.equal(await isAlive(pid), false);
});

/** As a full disk leaves them. */
async function emptyMarks(home: string): Promise<void> {
  const folder = path.join(home, 'run', 'processes');
  for (const name of await readdir(folder)) await writeFile(path.join(folder, name), '');
}

test('processes that could not say that they can be adopted are adopted all the same', async (t) => {
  const { home, former, port, pids } = await scene(t, 'take-twelve');
  const client = closedLoop(port);
  await client.until('1.0.0');
  await emptyMarks(home);
  former.process.kill('SIGKILL');
  await exitWithin(former.process, 60_000, 'the killed supervisor');
  const supervisor = supervise(t, home, { release: '1.2.0' });
  const adopted = [(await supervisor.next('adopted')).pid, (await supervisor.next('adopted')).pid];
  assert.deepEqual(adopted.sort(), pids);
  await supervisor.next('database-ready');
  assert.ok((await client.stop()) > 0);
});

test('a process that reports itself late is adopted while nothing has its place', async (t) => {
  const { home, pid, squatter } = await squatted(t, 'take-thirteen');
  await emptyMarks(home);
  process.kill(pid, 'SIGSTOP');
  const supervisor = supervise(t, home, { release: '1.2.0' });
  await supervisor.next('waiting-for-port');
  process.kill(pid, 'SIGCONT');
  assert.equal((await supervisor.next('adopted')).pid, pid);
  squatter.close();
  await supervisor.next('database-ready');
});

/**
 * An instance and its successor, of which only the instance serves, and another one that is stopped: a supervisor that
 * comes now hears the two, and adopts nothing before the third goes on.
 */
async function successorOnTrial(t: TestContext, host: string) {
  const home = await newHome(['1.0.0', '1.1.0']);
  await configure(home, host, { url: database.url });
  const settings = { adoptable: true, patienceMs: 60_000 };
  const [name, other] = [`${host}-server`, `${host}-other`];
  const noted = async (what: string) => {
    await until(`${name} ${what}`, 60_000, async () =>
      (await readFile(path.join(home, 'notes'), 'utf8')).includes(`${name} ${what}\n`),
    );
  };
  await writeFile(path.join(home, 'linked-1.0.0'), '');
  await desire(host, name, 'server', { ...settings, yields: true });
  const former = superviseElsewhere(t, home, { release: '1.2.0' });
  const first = await former.next('ready');
  await noted('serves 1.0.0');
  await desire(host, name, 'server', { ...settings, yields: true }, '1.1.0');
  const second = await former.next('ready');
  await desire(host, other, 'server', settings);
  const third = await former.next('ready');
  process.kill(third.pid, 'SIGSTOP');
  former.process.kill('SIGKILL');
  await exitWithin(former.process, 60_000, 'the killed supervisor');
  const supervisor = supervise(t, home, { release: '1.2.0', gatherMs: 60_000 });
  await noted('adopted 1.0.0');
  await noted('adopted 1.1.0');
  return {
    first: first.pid,
    second: second.pid,
    serve: async () => {
      await writeFile(path.join(home, 'linked-1.1.0'), '');
      await noted('serves 1.1.0');
    },
    /** The process of the name that is kept. */
    kept: async () => {
      process.kill(third.pid, 'SIGCONT');
      return (await supervisor.next('adopted', (event) => event.name === name)).pid;
    },
  };
}

test('of a process and its successor without a supervisor, the one is kept that serves when both are heard', async (t) => {
  const { first, second, kept } = await successorOnTrial(t, 'take-fourteen');
  assert.equal(await kept(), first);
  await until('the successor has ended', 60_000, async () => !(await isAlive(second)));
});

test('a successor that serves only after it introduced itself is kept, and its predecessor ends', async (t) => {
  const { first, second, serve, kept } = await successorOnTrial(t, 'take-fifteen');
  await serve();
  assert.equal(await kept(), second);
  await until('the predecessor has ended', 60_000, async () => !(await isAlive(first)));
  assert.ok(await isAlive(second));
});
