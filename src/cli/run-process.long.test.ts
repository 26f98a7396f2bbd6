import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { workingTreeProgram } from '../../test/harness/archives.ts';
import { clientOf } from '../api/client-fixture.ts';
import { domainOperations } from '../api/domain.ts';
import { masterKeyOperations } from '../api/master-keys.ts';
import { writeMasterKeys } from '../database/sealed-value.ts';
import { startAdministration } from '../processes/administration/administration-fixture.ts';
import { until } from '../testing/condition.ts';
import { exitWithin } from '../testing/process.ts';
import { exitCode } from './exit-codes.ts';

const admin = await startAdministration();
const running = new Set<ChildProcess>();
after(async () => {
  for (const child of running) child.kill('SIGKILL');
  await admin.close();
});
await mkdir(join(admin.home, 'keys'));
await writeMasterKeys(join(admin.home, 'keys', 'master.json'), admin.context.masterKeys);

interface RunningService {
  child: ChildProcess;
  exited: Promise<number | null>;
  said: () => string;
}

/** As the supervisor starts it: IPC channel, BRAMBLE_* and DATABASE_URL. */
async function startService(name: string, databaseUrl = admin.databaseUrl): Promise<RunningService> {
  const child = fork(await workingTreeProgram(), ['run', 'administration'], {
    env: {
      PATH: process.env['PATH'],
      BRAMBLE_HOME: admin.home,
      BRAMBLE_COMPONENT: name,
      BRAMBLE_HOST: 'test-host',
      BRAMBLE_SETTINGS: '{"port":0}',
      DATABASE_URL: databaseUrl,
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  running.add(child);
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const exited = exitWithin(child, 120_000, name).finally(() => running.delete(child));
  exited.catch(() => undefined);
  return { child, exited, said: () => text };
}

async function readyUrl(service: RunningService): Promise<string> {
  const early = service.exited.then((code) => {
    throw new Error(`it ended with ${code}: ${service.said()}`);
  });
  for (;;) {
    const [message] = (await Promise.race([once(service.child, 'message'), early])) as [{ type: string; url: string }];
    if (message.type === 'ready') return message.url;
    assert.equal(message.type, 'alive', 'the heartbeat that the supervisor watches');
  }
}

test('an administration service says that it is ready, answers, and drains on SIGTERM', async () => {
  const service = await startService('admin-2');
  const url = await readyUrl(service);
  assert.equal((await fetch(`${url}/readyz`)).status, 200);
  const { domain } = await clientOf({ url, token: admin.token }).call(domainOperations.status, {});
  assert.equal(domain.release, admin.context.release);
  const [own] = await admin.db`
    select loopback_url as url, release, stopped_at from component where name = 'admin-2'`;
  assert.deepEqual({ ...own }, { url, release: admin.context.release, stopped_at: null });
  service.child.kill('SIGTERM');
  assert.equal(await service.exited, exitCode.ok, service.said());
  const [stopped] = await admin.db`select stopped_at from component where name = 'admin-2'`;
  assert.notEqual(stopped?.['stopped_at'], null);
});

test('asked to end while it waits for its database, it ends without a failure', async () => {
  const unused = createServer().listen(0, '127.0.0.1');
  await once(unused, 'listening');
  const { port } = unused.address() as AddressInfo;
  unused.close();
  await once(unused, 'close');
  const service = await startService('admin-6', `postgres://nobody@127.0.0.1:${port}/nothing`);
  await until('it says that it waits', 60_000, () => service.said().includes('the database cannot be reached'));
  service.child.kill('SIGTERM');
  assert.equal(await service.exited, exitCode.ok, service.said());
  assert.doesNotMatch(service.said(), /ERR_/);
});

test('it ends when its supervisor goes away', async () => {
  const service = await startService('admin-3');
  await readyUrl(service);
  service.child.disconnect();
  assert.equal(await service.exited, exitCode.ok, service.said());
});

test('its master key is rotated while it runs, to the end', async () => {
  const service = await startService('admin-7');
  const client = clientOf({ url: await readyUrl(service), token: admin.token });
  const { next } = await client.call(masterKeyOperations.rotate, { body: {} });
  await until('everything is sealed by the new key', 60_000, async () => {
    const { state, keys } = await client.call(masterKeyOperations.list, {});
    return state === 'settled' && keys.every(({ id, values }) => (id === next) === values > 0);
  });
  const second = await startService('admin-8');
  await readyUrl(second);
  for (const { child, exited, said } of [service, second]) {
    child.kill('SIGTERM');
    assert.equal(await exited, exitCode.ok, said());
  }
});

test('on a domain of another release it does not start, and a running one ends', async () => {
  const service = await startService('admin-4');
  await readyUrl(service);
  await admin.db`update domain set release = '1.99.0'`;
  assert.equal(await service.exited, exitCode.incompatible, service.said());
  const late = await startService('admin-5');
  assert.equal(await late.exited, exitCode.incompatible);
  assert.match(late.said(), /ERR_RELEASE_MISMATCH/);
  await admin.db`update domain set release = ${admin.context.release}`;
});
