import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { advisoryLock, lockClass } from '../database/advisory-locks.ts';
import { openDatabase } from '../database/connection.ts';
import { createEarlierTestDatabase, createTestDatabase } from '../database/database-fixture.ts';
import { untilOneWaits, watched } from '../database/waiting-fixture.ts';
import { seedDomain } from '../devices/device-fixture.ts';
import {
  assertCompatible,
  type ComponentIdentity,
  type ComponentKind,
  componentKinds,
  declareRange,
  forgetComponent,
  listComponents,
  markStopped,
  type RouterIdentity,
  registerComponent,
  registerRouter,
  renewLease,
} from './components.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 8 });
const other = openDatabase(url, { applicationName: 'raising', max: 1 });
after(async () => await Promise.all([db.end(), other.end()]));

const limited = { timeout: 20_000 };
const isNotRemoved = async () => false;
const any = { leastSchemaVersion: 1 };
function identity(name: string, change: Partial<ComponentIdentity> = {}): ComponentIdentity {
  return {
    ...{ name, kind: 'server', host: 'here', bootId: 'boot-1', processId: 1, release: '1.0.0' },
    ...{ linkVersions: [1], features: ['one', 'two'], loopbackUrl: 'http://127.0.0.1:1' },
    ...change,
  };
}
const find = async (name: string) => (await listComponents(db)).find((component) => component.name === name);
const expire = (name: string) =>
  db`update component set lease_until = clock_timestamp() - interval '1 second' where name = ${name}`;

test('without a domain nothing registers', limited, async () => {
  await assert.rejects(registerComponent(db, identity('early'), any), { code: 'ERR_NO_DOMAIN' });
  await seedDomain(db, '1.0.0');
  await declareRange(db, '1.0.0');
});

test('what was registered is listed as it said of itself, with a lease', limited, async () => {
  await registerComponent(db, identity('listed'), any);
  const component = await find('listed');
  assert.ok(component?.alive);
  const { startedAt, leaseUntil, alive, stoppedAt, detail, ...own } = component;
  assert.deepEqual(own, identity('listed'));
  assert.deepEqual([alive, stoppedAt, detail], [true, null, {}]);
  assert.equal(leaseUntil.getTime() > startedAt.getTime(), true);
});

test('a lease is renewed with its detail; one that ran out leaves a component that is not alive', limited, async () => {
  await registerComponent(db, identity('leased'), any);
  await expire('leased');
  assert.equal((await find('leased'))?.alive, false);
  assert.equal(await renewLease(db, identity('leased'), any, { tunnelsOpen: 1 }), 'renewed');
  const renewed = await find('leased');
  assert.deepEqual([renewed?.alive, renewed?.detail], [true, { tunnelsOpen: 1 }]);
});

test('a registration that was taken over, stopped or forgotten is gone for its first owner', limited, async () => {
  for (const change of [{ processId: 2 }, { bootId: 'boot-2' }]) {
    await registerComponent(db, identity('taken'), any);
    await registerComponent(db, identity('taken', change), any);
    assert.equal(await renewLease(db, identity('taken'), any), 'gone');
    assert.equal(await renewLease(db, identity('taken', change), any), 'renewed');
  }
  await registerComponent(db, identity('stopped'), any);
  await markStopped(db, identity('stopped'));
  assert.equal(await renewLease(db, identity('stopped'), any), 'gone');
  assert.equal(await renewLease(db, identity('never'), any), 'gone');
});

test('who says goodbye late stops nobody else, even of the same process id on another boot', limited, async () => {
  await registerComponent(db, identity('replaced'), any);
  await registerComponent(db, identity('replaced', { host: 'there', bootId: 'boot-2' }), any);
  await markStopped(db, identity('replaced'));
  assert.equal((await find('replaced'))?.alive, true);
});

test('the start is kept when the same process registers again, and is new for another one', limited, async () => {
  await registerComponent(db, identity('started'), any);
  await db`update component set started_at = '2020-01-01' where name = 'started'`;
  await registerComponent(db, identity('started', { features: [] }), any);
  assert.equal((await find('started'))?.startedAt.getUTCFullYear(), 2020);
  await registerComponent(db, identity('started', { processId: 9 }), any);
  assert.notEqual((await find('started'))?.startedAt.getUTCFullYear(), 2020);
});

test('a component that was stopped lives again when it registers', limited, async () => {
  await registerComponent(db, identity('again'), any);
  await markStopped(db, identity('again'));
  assert.equal((await find('again'))?.alive, false);
  await registerComponent(db, identity('again'), any);
  assert.deepEqual([(await find('again'))?.alive, (await find('again'))?.stoppedAt], [true, null]);
});

test('only a component that does not live is forgotten', limited, async () => {
  await registerComponent(db, identity('forgettable'), any);
  assert.equal(await forgetComponent(db, 'forgettable'), 'alive');
  await expire('forgettable');
  assert.equal(await forgetComponent(db, 'forgettable'), 'forgotten');
  assert.equal(await forgetComponent(db, 'forgettable'), 'not-found');
  await registerComponent(db, identity('goodbye'), any);
  await markStopped(db, identity('goodbye'));
  assert.equal(await forgetComponent(db, 'goodbye'), 'forgotten');
});

test('a component that comes back while it is being forgotten stays', limited, async () => {
  await registerComponent(db, identity('back'), any);
  await expire('back');
  const forgetting = await other.begin(async (tx) => {
    await tx`update component set lease_until = clock_timestamp() + interval '1 minute' where name = 'back'`;
    const waiting = watched(forgetComponent(db, 'back'));
    assert.ok(await untilOneWaits(db, waiting.settled));
    return waiting;
  });
  assert.equal(await forgetting.result, 'alive');
  assert.equal((await find('back'))?.alive, true);
});

function router(name: string, key = 'key-a'): RouterIdentity {
  const { kind: _, ...rest } = identity(name);
  return { ...rest, key };
}
const taken = { code: 'ERR_ROUTER_NAME_TAKEN' };

test('a router is registered by an instance, with its links', limited, async () => {
  await registerRouter(db, router('router'), { links: [], tunnelsOpen: 3 }, isNotRemoved);
  const found = await find('router');
  assert.deepEqual([found?.kind, found?.alive, found?.detail], ['router', true, { links: [], tunnelsOpen: 3 }]);
});

test('a router touches no row but that of a router with its own key, alive or not', limited, async () => {
  for (const kind of componentKinds.filter((each) => each !== 'router' && each !== 'administration')) {
    await registerComponent(db, identity(`own-${kind}`, { kind }), any);
    await assert.rejects(registerRouter(db, router(`own-${kind}`), {}, isNotRemoved), taken);
    await expire(`own-${kind}`);
    await assert.rejects(registerRouter(db, router(`own-${kind}`), {}, isNotRemoved), taken);
    assert.equal((await find(`own-${kind}`))?.kind, kind);
  }
  await registerRouter(db, router('bound', 'key-b'), {}, isNotRemoved);
  await expire('bound');
  await assert.rejects(registerRouter(db, router('bound', 'key-c'), {}, isNotRemoved), taken);
  await registerRouter(db, router('bound', 'key-b'), { again: true }, isNotRemoved);
  assert.deepEqual((await find('bound'))?.detail, { again: true });
  // A renewed key: the old row is forgotten, and bound anew.
  await expire('bound');
  assert.equal(await forgetComponent(db, 'bound'), 'forgotten');
  await registerRouter(db, router('bound', 'key-c'), {}, isNotRemoved);
});

test(
  'a router of 1.1.0, bound by nobody, is bound by the first instance that binds, and stays so',
  limited,
  async () => {
    const asRelease11 = () => db`
    insert into component (name, kind, host, boot_id, process_id, release, link_versions, features, loopback_url, detail,
                           lease_until)
    values ('unbound', 'router', 'there', 'b', 1, '1.1.0', '{1}', '{}', null, '{}', clock_timestamp() + interval '10 s')
    on conflict (name) do update
       set kind = excluded.kind, host = excluded.host, detail = excluded.detail, lease_until = excluded.lease_until`;
    await asRelease11();
    await registerRouter(db, router('unbound', 'key-d'), {}, isNotRemoved);
    await asRelease11();
    await assert.rejects(registerRouter(db, router('unbound', 'key-e'), {}, isNotRemoved), taken);
    await registerRouter(db, router('unbound', 'key-d'), {}, isNotRemoved);
  },
);

test(
  'a router cannot keep a name from a component that has the database, nor make up any number of them',
  limited,
  async () => {
    await registerRouter(db, router('soon-a-server', 'key-f'), {}, isNotRemoved);
    await registerComponent(db, identity('soon-a-server'), any);
    assert.equal((await find('soon-a-server'))?.kind, 'server');
    await assert.rejects(registerRouter(db, router('soon-a-server', 'key-f'), {}, isNotRemoved), taken);
    for (let count = 0; count < 8; count += 1)
      await registerRouter(db, router(`crowd-${count}`, 'key-f'), {}, isNotRemoved);
    await assert.rejects(registerRouter(db, router('crowd-8', 'key-f'), {}, isNotRemoved), taken);
    await registerRouter(db, router('crowd-7', 'key-f'), {}, isNotRemoved);
  },
);

test('a live component is not overwritten by one of another kind; a dead one is', limited, async () => {
  await registerComponent(db, identity('kept'), any);
  const other = identity('kept', { kind: 'connection' });
  await assert.rejects(registerComponent(db, other, any), { code: 'ERR_COMPONENT_NAME_TAKEN' });
  await expire('kept');
  await registerComponent(db, other, any);
  assert.equal((await find('kept'))?.kind, 'connection');
});

test('a coordinator registers, and renews, on the schema of 1.1.0 that it is going to expand', limited, async (t) => {
  const earlier = openDatabase((await createEarlierTestDatabase(8)).url, { applicationName: 'test', max: 2 });
  t.after(async () => await earlier.end());
  await seedDomain(earlier, '1.1.0');
  const coordinator = identity('upgrade-coordinator', { kind: 'coordinator', release: '1.2.0' });
  await registerComponent(earlier, coordinator, { leastSchemaVersion: 99 });
  assert.equal(await renewLease(earlier, coordinator, { leastSchemaVersion: 99 }), 'renewed');
  assert.deepEqual(
    (await listComponents(earlier)).map(({ name, alive }) => [name, alive]),
    [['upgrade-coordinator', true]],
  );
});

test('every kind has a least release, and one before it does not register', limited, async () => {
  await declareRange(db, '1.2.0');
  await db`update domain set release = '1.2.0'`;
  for (const kind of componentKinds.filter((each) => each !== 'administration')) {
    await assert.rejects(registerComponent(db, identity('old', { kind, release: '1.1.9' }), any), {
      code: 'ERR_RELEASE_TOO_OLD',
      details: { least: '1.2.0', own: '1.1.9' },
    });
    for (const release of ['1.2.0', '1.10.0', '2.0.0']) {
      await assertCompatible(db, { kind, release, name: 'new' }, any);
    }
  }
  assert.equal(await find('old'), undefined);
  await declareRange(db, '1.0.0');
  await assertCompatible(db, { kind: 'server', release: '1.1.9', name: 'old' }, any);
});

test('an administration service is of exactly the domain’s release', limited, async () => {
  await db`update domain set release = '1.2.0'`;
  for (const release of ['1.1.0', '1.2.1', '1.3.0']) {
    await assert.rejects(assertCompatible(db, { kind: 'administration', release, name: 'a' }, any), {
      code: 'ERR_RELEASE_MISMATCH',
      details: { database: '1.2.0', own: release },
    });
  }
  await assertCompatible(db, { kind: 'administration', release: '1.2.0', name: 'a' }, any);
});

test(
  'a schema older than a component needs keeps it out, but not the coordinator that will make it',
  limited,
  async () => {
    const newer = { leastSchemaVersion: 7 };
    await assert.rejects(assertCompatible(db, { kind: 'server', release: '1.2.0', name: 's' }, newer), {
      code: 'ERR_SCHEMA_TOO_OLD',
      details: { schema: 6, needed: 7 },
    });
    await assertCompatible(db, { kind: 'coordinator', release: '1.2.0', name: 'c' }, newer);
  },
);

test('a component that an upgrade left behind learns it at its next renewal', limited, async () => {
  await registerComponent(db, identity('behind'), any);
  await declareRange(db, '1.1.0');
  await assert.rejects(renewLease(db, identity('behind'), any), { code: 'ERR_RELEASE_TOO_OLD' });
  await declareRange(db, '1.0.0');
});

test('registering, renewing and routers wait while the feature level is being raised', limited, async () => {
  await registerComponent(db, identity('renewing'), any);
  const attempts: [string, () => Promise<unknown>][] = [
    ['registering', () => registerComponent(db, identity('slipping'), any)],
    ['renewing', () => renewLease(db, identity('renewing'), any)],
    ['router', () => registerRouter(db, router('slipping-router'), {}, isNotRemoved)],
  ];
  for (const [what, attempt] of attempts) {
    const waiting = await other.begin(async (tx) => {
      await tx`select pg_advisory_xact_lock(${lockClass}, ${advisoryLock.featureLevel})`;
      const registering = watched(attempt());
      assert.ok(await untilOneWaits(db, registering.settled), what);
      await tx`update component_range set least_release = '9.0.0' where kind = 'server'`;
      return registering;
    });
    // Only a router is not asked for its release: it knows no database, and its links are negotiated.
    if (what === 'router') await waiting.result;
    else await assert.rejects(waiting.result, { code: 'ERR_RELEASE_TOO_OLD' }, what);
    await declareRange(db, '1.0.0');
  }
  assert.equal(await find('slipping'), undefined);
});

test('the kinds are those that the database allows', limited, async () => {
  await db`update domain set release = '1.0.0'`;
  for (const kind of componentKinds) await registerComponent(db, identity(`kind-${kind}`, { kind }), any);
  const unknown = identity('kind-unknown', { kind: 'proxy' as ComponentKind });
  await assert.rejects(registerComponent(db, unknown, any), { code: '23514' });
});
