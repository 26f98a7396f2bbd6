/** Routers on further hosts: added, dialled by everybody, taking over from one that died with its host, and removed. */
import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { hostOperations } from '../../src/api/hosts.ts';
import { instanceOperations } from '../../src/api/instances.ts';
import { moveOperations } from '../../src/api/moves.ts';
import { routerOperations } from '../../src/api/routers.ts';
import { readRouterFile, routerFilePath } from '../../src/link/router-file.ts';
import { until } from '../../src/testing/condition.ts';
import { emptyDatabase, type OverTwoHosts, startOverTwoHosts } from '../harness/at-work.ts';
import type { RunningDomain } from '../harness/domain.ts';
import { openEntrance } from '../harness/entrance.ts';
import { assertNothingLost, untilServed } from '../harness/evidence.ts';
import type { RunningFleet } from '../harness/fleet.ts';
import type { FurtherHost } from '../harness/further-host.ts';

const fleetOptions = { devices: 6, accounts: 6, seed: 'routers', interval: '500ms' };
const externalDatabase = await emptyDatabase();

describe('a domain with routers on two hosts', { timeout: 400_000 }, () => {
  let at: OverTwoHosts;
  let domain: RunningDomain;
  let fleet: RunningFleet;
  let berlin: FurtherHost;

  before(async () => {
    at = await startOverTwoHosts({ externalDatabase, fleet: fleetOptions });
    ({ domain, fleet, berlin } = at);
  });
  after(async () => await at?.stop());

  const routers = async () => (await domain.api.call(routerOperations.list, {})).routers;
  const untilAtWork = async (...names: string[]) =>
    await until(`${names.join(' and ')} are at work, and nobody else`, 90_000, async () => {
      const present = await routers().catch(() => []);
      return (
        present.map(({ name }) => name).join() === names.join() && present.every(({ state }) => state === 'at-work')
      );
    });
  /** Of every component that dials, that it is linked to so many routers and dials no other. */
  const untilLinkedTo = async (count: number) =>
    await until(`everybody is linked to ${count} routers`, 60_000, async () => {
      const rows = await domain.sql<{ name: string; up: number; all: number }[]>`
        select name, count(*)::int as all, (count(*) filter (where (link ->> 'up')::boolean))::int as up
          from component, jsonb_array_elements(detail -> 'links') link
         where kind in ('server', 'connection') and lease_until > clock_timestamp() group by name`;
      return rows.length > 0 && rows.every(({ up, all }) => up === count && all === count);
    });
  const firstHost = async () => {
    const { hosts } = await domain.api.call(hostOperations.list, {});
    return hosts.find(({ state }) => state === 'first')?.name ?? '';
  };
  /** Where devices come, and where the second router listens. */
  const entrance = () => ({ host: '127.0.0.1', port: Number(new URL(domain.publicUrl).port) });
  const second = async () => {
    const found = (
      await domain.sql<{ port: number }[]>`select public_port as port from router where name = 'router-2'`
    )[0];
    return { host: '127.0.0.1', port: found?.port ?? 0 };
  };

  test('a router is refused on a host that has one or that nobody knows, and where nobody could dial; the last one stays', async () => {
    const add = async (host: string, linkHost: string) =>
      (await domain.command('router', 'add', 'router-2', '--host', host, '--link-host', linkHost)).stderr;
    assert.match(await add(await firstHost(), '127.0.0.1'), /has a router already, router-1/);
    assert.match(await add('nowhere', '127.0.0.1'), /no host "nowhere"/);
    assert.match(await add('berlin', 'https://berlin:3101'), /without a port/);
    assert.match((await domain.command('router', 'remove', 'router-1', '--yes')).stderr, /it is the last one/);
    assert.match((await domain.command('router', 'remove', 'router-9', '--yes')).stderr, /no router "router-9"/);
  });

  test('an added one gets its certificate by a key of its own, and everybody dials it, whoever is added later', async () => {
    const added = await domain.command('router', 'add', 'router-2', '--host', 'berlin', '--link-host', '127.0.0.1');
    assert.equal(added.code, 0, added.stderr);
    await untilAtWork('router-1', 'router-2');
    await domain.api.call(instanceOperations.add, { body: { name: 'berlin-1', host: 'berlin' } });
    await until('the new instance is at work', 60_000, async () => {
      const rows =
        await domain.sql`select 1 from component where name = 'berlin-1' and lease_until > clock_timestamp()`;
      return rows.length === 1;
    });
    await untilLinkedTo(2);
    const path = routerFilePath(berlin.home, 'router-2');
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    const [own, others] = [await readRouterFile(path), await readRouterFile(routerFilePath(domain.home, 'router-1'))];
    assert.equal(own.domainAuthorityPem, others.domainAuthorityPem);
    assert.notEqual(own.privateKeyPem, others.privateKeyPem);
    const again = await domain.command('router', 'add', 'router-3', '--host', 'berlin', '--link-host', '127.0.0.1');
    assert.match(again.stderr, /has a router already, router-2/);
    const supervisors = await domain.sql`select payload from router_request`;
    assert.ok(!JSON.stringify(supervisors).includes('PRIVATE'));
  });

  test('when the first host dies, devices of the other are served through its router', async () => {
    await domain.api.call(moveOperations.start, { body: { from: 'server-1', to: 'berlin-1' } });
    await until('all accounts have moved', 120_000, async () => {
      const rows = await domain.sql`
        select 1 from account a join instance i on i.id = a.instance_id where i.name <> 'berlin-1'`;
      return rows.length === 0;
    });
    await untilServed(domain, fleet);
    const [router] = await domain.sql<
      { pid: number }[]
    >`select process_id as pid from component where name = 'router-1'`;
    domain.supervisor.kill('SIGKILL');
    process.kill(router?.pid ?? 0, 'SIGKILL');
    const moved = await openEntrance(entrance(), [await second()]);
    try {
      await untilServed(domain, fleet);
    } finally {
      await moved.close();
    }
    await domain.startSupervisor();
    await untilAtWork('router-1', 'router-2');
    await untilLinkedTo(2);
    await untilServed(domain, fleet);
  });

  test('the first router is removed, nobody dials it any more, and devices are served by the other', async () => {
    const removed = await domain.command('router', 'remove', 'router-1', '--yes');
    assert.equal(removed.code, 0, removed.stderr);
    const moved = await openEntrance(entrance(), [await second()]);
    try {
      await untilAtWork('router-2');
      await untilLinkedTo(1);
      await untilServed(domain, fleet);
      await assertNothingLost(domain, fleet);
      const rows = await domain.sql`select 1 from component where name = 'router-1'`;
      assert.equal(rows.length, 0, 'what it still reported holds nothing back');
      assert.match((await domain.command('router', 'remove', 'router-2', '--yes')).stderr, /it is the last one/);
      assert.match((await domain.command('host', 'remove', 'berlin', '--yes')).stderr, /router-2/);
    } finally {
      await moved.close();
    }
  });

  test('the first host gets its router back, and devices are served by it as before', async () => {
    const added = await domain.command(
      ...['router', 'add', 'router-1', '--host', await firstHost(), '--link-host', '127.0.0.1'],
    );
    assert.equal(added.code, 0, added.stderr);
    await untilAtWork('router-1', 'router-2');
    await untilLinkedTo(2);
    await untilServed(domain, fleet);
    await assertNothingLost(domain, fleet);
  });

  test('the requests of the second router are answered once', async () => {
    const log = await readFile(join(domain.home, 'logs', 'administration-1.log'), 'utf8');
    assert.equal(log.match(/router certificate issued on request/g)?.length, 1);
  });
});
