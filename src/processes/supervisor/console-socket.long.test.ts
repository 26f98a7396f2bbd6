/** The console's socket through the hands of several processes and supervisors. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import { after, type TestContext, test } from 'node:test';
import postgres from 'postgres';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { exitWithin } from '../../testing/process.ts';
import { ask, closedLoop, configure, newHome, supervise, superviseElsewhere } from './supervisor-fixture.ts';

const database = await createTestDatabase();
const sql = postgres(database.url, { max: 2 });
after(async () => await sql.end());

async function desire(host: string, release = '1.0.0', settings: object = { console: true }): Promise<void> {
  await sql`
    insert into desired_process (name, kind, host, release, state, settings)
    values (${`${host}-administration`}, 'administration', ${host}, ${release}, 'running', ${sql.json(settings as never)})
    on conflict (name) do update set release = excluded.release`;
}

async function homeOf(host: string, changes: object = {}): Promise<string> {
  const home = await newHome(['1.0.0', '1.1.0']);
  await configure(home, host, { url: database.url });
  const file = path.join(home, 'config.json');
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), ...changes }));
  return home;
}

const limited = { timeout: 60_000 };

test('no connection is refused while who answers is replaced, killed and started again', limited, async (t) => {
  const supervisor = supervise(t, await homeOf('console-a'));
  await desire('console-a');
  const { port } = await supervisor.next('listening', ({ socket }) => socket === 'console');
  await supervisor.next('ready');
  const client = closedLoop(port);
  await client.until('1.0.0');
  await desire('console-a', '1.1.0');
  const [, pid] = /console (\d+)$/.exec(await client.until('1.1.0')) ?? [];
  await client.stop();
  // What it had accepted would end with it; what comes now waits for the next.
  process.kill(Number(pid), 'SIGKILL');
  await supervisor.next('exited', (event) => event.pid === Number(pid));
  const waiting = ask(port);
  const again = await supervisor.next('started');
  assert.equal(await waiting, `1.1.0 console ${again.pid}`);
});

test('nobody gets it who does not answer there, though he asks', limited, async (t) => {
  const supervisor = supervise(t, await homeOf('console-f'));
  await sql`
    insert into desired_process (name, kind, host, release, state, settings)
    values ('console-f-server', 'server', 'console-f', '1.0.0', 'running', ${sql.json({ grasps: true })})`;
  await supervisor.next('ready');
  await desire('console-f');
  const { port } = await supervisor.next('listening', ({ socket }) => socket === 'console');
  const { pid } = await supervisor.next('ready', ({ name }) => name === 'console-f-administration');
  process.kill(pid, 'SIGKILL');
  await supervisor.next('exited', (event) => event.pid === pid);
  const waiting = ask(port);
  const again = await supervisor.next('started');
  assert.equal(await waiting, `1.0.0 console ${again.pid}`);
});

test('a supervisor that takes over inherits the socket, and goes on when its holder is killed', limited, async (t) => {
  const home = await homeOf('console-b');
  await desire('console-b', '1.0.0', { console: true, adoptable: true });
  const former = superviseElsewhere(t, home, { release: '1.2.0' });
  const { port } = await former.next('listening', ({ socket }) => socket === 'console');
  await former.next('ready');
  const client = closedLoop(port);
  await client.until('1.0.0');
  const supervisor = supervise(t, home, { release: '1.3.0' });
  await exitWithin(former.process, 60_000, 'the former supervisor');
  const { pid } = await supervisor.next('adopted');
  assert.equal((await supervisor.next('listening', ({ socket }) => socket === 'console')).port, port);
  await client.stop();
  process.kill(pid, 'SIGKILL');
  await supervisor.next('exited', (event) => event.pid === pid);
  const waiting = ask(port);
  const again = await supervisor.next('started');
  assert.equal(await waiting, `1.0.0 console ${again.pid}`);
});

test('one that was adopted is handed the socket that it asked the supervisor before for', limited, async (t) => {
  const { server, port } = await occupied(t);
  const home = await homeOf('console-d', { console: { port } });
  await desire('console-d', '1.0.0', { console: true, adoptable: true });
  const former = superviseElsewhere(t, home, { release: '1.2.0' });
  await former.next('no-console');
  former.process.kill('SIGKILL');
  const supervisor = supervise(t, home, { release: '1.3.0' });
  const { pid } = await supervisor.next('adopted');
  // Nobody but the process that was adopted asks for it.
  await supervisor.next('no-console');
  server.close();
  await supervisor.next('listening', ({ socket }) => socket === 'console');
  await supervisor.next('ready');
  assert.equal(await ask(port), `1.0.0 console ${pid}`);
});

test('a port that is taken keeps nothing else from running, and is taken up when it is free', limited, async (t) => {
  const { server, port } = await occupied(t);
  const supervisor = supervise(t, await homeOf('console-c', { console: { port } }));
  await desire('console-c');
  assert.equal((await supervisor.next('no-console')).code, 'ERR_ADDRESS_IN_USE');
  await desire('console-c', '1.1.0');
  await supervisor.next('started', ({ release }) => release === '1.1.0');
  server.close();
  await supervisor.next('listening', ({ socket }) => socket === 'console');
  await supervisor.next('ready');
  assert.match(await ask(port), /^1\.1\.0 console/);
});

test(
  'while an upgrade is steered from another host, a signpost answers, without the database’s address',
  limited,
  async (t) => {
    const home = await homeOf('console-e');
    const coordinator = { name: 'elsewhere-coordinator', kind: 'coordinator', host: 'elsewhere', release: '1.1.0' };
    await desire('console-e');
    const supervisor = supervise(t, home, { release: '1.1.0' });
    const { port } = await supervisor.next('listening', ({ socket }) => socket === 'console');
    await supervisor.next('ready');
    await sql`insert into desired_process ${sql({ ...coordinator, state: 'running', settings: sql.json({}) })}`;
    await sql`update desired_process set state = 'stopped' where host = 'console-e'`;
    const { name, kind, release, pid } = await supervisor.next('started');
    assert.deepEqual([name, kind, release], ['signpost', 'signpost', '1.1.0']);
    await supervisor.next('ready');
    assert.equal(await ask(port), `1.1.0 console ${pid}`);
    const told = JSON.parse((await readFile(path.join(home, 'logs', 'signpost.log'), 'utf8')).split('\n')[0] ?? '');
    assert.deepEqual([told.settings, told.database], [{ steeredFrom: 'elsewhere' }, null]);
    const client = closedLoop(port);
    await sql`delete from desired_process where host = 'elsewhere'`;
    await sql`update desired_process set state = 'running' where host = 'console-e'`;
    await client.until('1.0.0');
    await client.stop();
  },
);

async function occupied(t: TestContext) {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return { server, port: (server.address() as AddressInfo).port };
}
