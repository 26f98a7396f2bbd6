/** Conditions are told when they begin and when they are over, by the events that they become. */
import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { createMasterKeys } from '../database/sealed-value.ts';
import { seedDomain } from '../devices/device-fixture.ts';
import { clockLook } from './clock-look.ts';
import { type Condition, type Look, tellConditions } from './conditions.ts';
import { hostLook } from './host-look.ts';
import { addTarget } from './target-store.ts';

const database = await createTestDatabase();
const db = openDatabase(database.url, { applicationName: 'bramble/test' });
after(async () => await db.end({ timeout: 5 }));
await seedDomain(db);

beforeEach(async () => {
  await db`truncate event, notice, notice_target, notice_condition, desired_process, supervisor, component cascade`;
});

type Found = () => readonly Condition[] | null;
const lookFor = (found: Found, rest: Partial<Look> = {}): Look => ({
  ...{ kind: 'host-lost', scope: '', confirmSeconds: 0, look: async () => found(), ...rest },
});
const round = async (...looks: Look[]) =>
  await tellConditions(db, looks, (_look, error) => {
    throw error;
  });
const told = async () =>
  (await db<{ text: string }[]>`select kind || ' ' || subject as text from event order by id`).map(({ text }) => text);
const host = { subject: 'b', message: 'b is silent' };
/** As if everything that is stored had happened so much earlier. */
const shift = async (interval: string) =>
  await db`
    update notice_condition
       set since = since - ${interval}::interval, seen_at = seen_at - ${interval}::interval,
           told_at = told_at - ${interval}::interval, again_at = again_at - ${interval}::interval`;

test('a condition is told once when it begins, and once when it is over', async () => {
  const now: { found: Condition[] } = { found: [host] };
  const look = lookFor(() => now.found);
  for (let index = 0; index < 3; index++) await round(look);
  assert.deepEqual(await told(), ['host-lost b']);
  now.found = [];
  for (let index = 0; index < 3; index++) await round(look);
  assert.deepEqual(await told(), ['host-lost b', 'host-back b']);
});

test('it is told again when a reminder is due', async () => {
  const look = lookFor(() => [{ ...host, again: new Date(Date.now() + 86_400_000) }]);
  await round(look);
  await shift('23 hours');
  await round(look);
  assert.equal((await told()).length, 1);
  await shift('2 hours');
  await round(look);
  await round(look);
  assert.deepEqual(await told(), ['host-lost b', 'host-lost b']);
});

test('what passes before it is confirmed is not told, neither its beginning nor its end', async () => {
  const now: { found: Condition[] } = { found: [host] };
  const look = lookFor(() => now.found, { confirmSeconds: 30 });
  await round(look);
  await shift('20 seconds');
  await round(look);
  now.found = [];
  await round(look);
  assert.deepEqual(await told(), []);
  now.found = [host];
  await round(look);
  await shift('31 seconds');
  await round(look);
  assert.deepEqual(await told(), ['host-lost b']);
});

test('a time in which nobody looked confirms nothing', async () => {
  const look = lookFor(() => [host], { confirmSeconds: 30 });
  await round(look);
  await shift('10 minutes');
  await round(look);
  assert.deepEqual(await told(), []);
  await shift('31 seconds');
  await round(look);
  assert.deepEqual(await told(), ['host-lost b']);
});

test('a look that fails or cannot tell ends nothing, and does not hold up the others', async () => {
  await round(lookFor(() => [host]));
  const failures: string[] = [];
  const failing = lookFor(() => {
    throw new Error('away');
  });
  const other = lookFor(() => [{ subject: 'push', message: 'ends' }], { kind: 'certificate-ending' });
  await tellConditions(db, [failing, other], (_look, error) => failures.push((error as Error).message));
  await round(lookFor(() => null));
  assert.deepEqual([failures, await told()], [['away'], ['host-lost b', 'certificate-ending push']]);
});

test('what another host’s look finds is not ended by this one’s', async () => {
  await round(lookFor(() => [host], { scope: 'here' }));
  await round(lookFor(() => [], { scope: 'there' }));
  assert.deepEqual(await told(), ['host-lost b']);
});

test('an administration service of another release than the domain’s tells nothing', async () => {
  const look = lookFor(() => [host]);
  const lookAs = async (release: string) =>
    await tellConditions(db, [look], (_, error) => assert.fail(String(error)), release);
  await assert.rejects(lookAs('0.9.0'), { code: 'ERR_RELEASE_FENCED' });
  assert.deepEqual(await told(), []);
  assert.equal(await lookAs('1.0.0'), true);
  assert.deepEqual(await told(), ['host-lost b']);
});

test('one looks at a time', async () => {
  const rounds: boolean[] = [];
  const outer = lookFor(() => []);
  outer.look = async () => {
    rounds.push(await round(lookFor(() => [host])));
    return [];
  };
  rounds.push(await round(outer));
  assert.deepEqual([rounds, await told()], [[false, true], []]);
});

test('a new target is told what holds already, if it wants that kind', async () => {
  await round(
    lookFor(() => [host]),
    lookFor(() => [{ subject: 'not yet', message: '' }], { scope: 'x', confirmSeconds: 9 }),
  );
  const keys = createMasterKeys();
  const mail = { channel: 'mail', addresses: ['ops@example.org'] } as const;
  await db.begin((tx) => addTarget(tx, keys, { ...mail, addresses: [...mail.addresses], name: 'all', kinds: null }));
  await db.begin((tx) =>
    addTarget(tx, keys, { ...mail, addresses: [...mail.addresses], name: 'some', kinds: ['backup-failed'] }),
  );
  const owed = await db`select t.name, n.subject from notice n join notice_target t on t.id = n.target_id`;
  assert.deepEqual(
    [...owed].map((row) => ({ ...row })),
    [{ name: 'all', subject: 'b' }],
  );
});

const want = async (name: string, host: string, kind = 'server') =>
  await db`
    insert into desired_process (name, kind, host, release, state, settings)
    values (${name}, ${kind}, ${host}, '1.4.0', 'running', '{}')`;
const report = async (host: string, secondsAgo: number) =>
  await db`
    insert into supervisor (host, release, process_id, node_version, postgres_server, seen_at)
    values (${host}, '1.4.0', 1, '26', '18', clock_timestamp() - make_interval(secs => ${secondsAgo}))`;
const register = async (name: string, host: string, lease: string, kind = 'server') =>
  await db`
    insert into component (name, kind, host, boot_id, process_id, release, link_versions, features, lease_until)
    values (${name}, ${kind}, ${host}, 'b', 1, '1.4.0', '{2}', '{}', clock_timestamp() + ${lease}::interval)`;
const lost = async () => ((await hostLook(db).look()) ?? []).map(({ message }) => message);

test('a host is lost when its supervisor is silent', async () => {
  await want('east', 'near');
  await want('west', 'far');
  await report('near', 5);
  await report('far', 60);
  await register('east', 'near', '8 seconds');
  await register('west', 'far', '8 seconds');
  const [message, ...more] = await lost();
  assert.match(message ?? '', /^the host far is silent: its supervisor has not reported since \S+ \S+\. Is it up/);
  assert.deepEqual(more, []);
});

test('a host is lost when all of its components are silent, though its supervisor reports', async () => {
  await want('one', 'far');
  await report('far', 5);
  await register('one', 'far', '-2 minutes');
  await register('two', 'far', '8 seconds', 'connection');
  assert.deepEqual(await lost(), []);
  await db`update component set lease_until = clock_timestamp() - interval '1 minute' where name = 'two'`;
  assert.match(
    (await lost()).join(),
    /^the host far is silent: none of its 2 components shows a sign of life\. Its superv/,
  );
});

test('a host that joined is missed though nothing is to run there, until it is drained', async () => {
  for (const [host, seenSecondsAgo] of [
    ['idle', 60],
    ['heard', 5],
    ['never-up', null],
  ] as const) {
    await db`insert into host (name, public_key, administers) values (${host}, '', false)`;
    if (seenSecondsAgo !== null) await report(host, seenSecondsAgo);
  }
  assert.match(
    (await lost()).join(),
    /^the host idle is silent: its supervisor has not reported since \S+ \S+\. Is it up, and does it reach the database\?$/,
  );
  await db`update host set draining_since = now() where name = 'idle'`;
  assert.deepEqual(await lost(), []);
});

test('a clock that is off is told with the host, one that is a little off is not', async () => {
  await register('one', 'far', '8 seconds');
  await register('two', 'far', '8 seconds');
  await register('three', 'near', '8 seconds');
  await register('four', 'gone', '-8 seconds');
  for (const [name, aheadMs] of [
    ['one', -20],
    ['two', -400_000],
    ['three', 29_000],
    ['four', 400_000],
  ] as const)
    await db`update component set detail = ${db.json({ clockAheadMs: aheadMs })} where name = ${name}`;
  const found = (await clockLook(db).look()) ?? [];
  assert.deepEqual(
    found.map(({ subject }) => subject),
    ['far'],
  );
  assert.match(found[0]?.message ?? '', /^the clock of the host far is 400 s behind the database’s\./);
});

test('routers, components that said goodbye, and hosts on which nothing is to run, are not missed', async () => {
  await want('edge', 'outer', 'router');
  await report('outer', 5);
  await register('edge', 'outer', '-2 minutes', 'router');
  await report('retired', 9999);
  await register('old', 'retired', '-2 minutes');
  await want('stopped', 'quiet');
  await register('stopped', 'quiet', '-2 minutes');
  await db`update component set stopped_at = now() where name = 'stopped'`;
  assert.deepEqual(await lost(), []);
});
