/** Search: what begins so is found, once, and nothing else; and lists and searches stand up to whatever is asked. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import type { SearchHit } from '../../api/search.ts';
import { newId } from '../../base/ids.ts';
import { seedDevice } from '../../devices/device-fixture.ts';
import { codeOf, startAdministration } from './administration-fixture.ts';
import { search } from './search.ts';

const limited = { timeout: 60_000 };
const admin = await startAdministration();
after(async () => await admin.close());

const people = [
  ['ada', 'Ada Lovelace', 'S-100', 'Phone 1'],
  ['adam', 'Adam %', 's-1_0', 'phone 2'],
  ['grace', 'Grace Hopper', null, 'Tablet'],
  ['özge', 'Özge Çelik', 'S-1%0', null],
  ['under_score', 'ada', 'ADA', 'ada'],
  ['percent%', 'ÖZTÜRK', '%', '_'],
] as const;
const group = newId<string>();
before(async () => {
  const [instance] = await admin.db<{ id: string }[]>`select id from instance where name = 'one'`;
  for (const [name, displayName, serialNumber, model] of people) {
    const { accountId, deviceId } = await seedDevice(admin.db, (instance?.id ?? '') as never, name);
    await admin.db`update account set display_name = ${displayName} where id = ${accountId}`;
    await admin.db`update device set serial_number = ${serialNumber}, model = ${model} where id = ${deviceId}`;
  }
  await admin.db`insert into account_group (id, name, rank) values (${group}, 'few', 1)`;
  await admin.db`insert into group_member select ${group}, id from account where name in ('grace', 'özge')`;
});

const all = { accounts: true, devices: true, within: null };
const shown = ({ kind, field, account }: SearchHit) => `${kind} ${field} ${account}`;
const found = async (q: string, seen: Parameters<typeof search>[2] = all) =>
  (await search(admin.db, { q, limit: 200 }, seen)).hits.map(shown);

test('what begins so is found by the first field that does, whatever the case', async () => {
  assert.deepEqual(await found('ADA'), [
    ...['account name ada', 'account name adam', 'account displayName under_score'],
    'device serialNumber under_score',
  ]);
  assert.deepEqual(await found('lovel'), ['account displayName ada']);
  assert.deepEqual(await found('phone'), ['device model ada', 'device model adam']);
  assert.deepEqual(await found('öz'), ['account name özge', 'account displayName percent%']);
  assert.deepEqual(await found('ÇEL'), ['account displayName özge']);
  assert.deepEqual(await found('udid-grace'), ['device udid grace']);
  assert.deepEqual(await found('ovelace'), []);
});

test('no character is a wildcard', async () => {
  assert.deepEqual(await found('%'), ['account displayName adam', 'device serialNumber percent%']);
  assert.deepEqual(await found('s-1_'), ['device serialNumber adam']);
  assert.deepEqual(await found('_'), ['device model percent%']);
  assert.deepEqual(await found('\\'), []);
});

test('who may not see accounts, devices, or only some groups finds nothing of the others', async () => {
  assert.deepEqual(await found('ada', { ...all, accounts: false }), ['device serialNumber under_score']);
  assert.deepEqual(await found('lov', { ...all, devices: false }), ['account displayName ada']);
  assert.deepEqual(await found('s-', { ...all, within: [group] }), ['device serialNumber özge']);
  assert.deepEqual(await found('g', { ...all, within: [group] }), ['account name grace']);
  for (const q of ['ada', 'phone', 'udid', '%']) assert.deepEqual(await found(q, { ...all, within: [] }), []);
});

test('pages of any size give what one page gives', limited, async () => {
  for (const q of ['a', 'u', 'ad', 's', 'p', 'ö', '%']) {
    const whole = await found(q);
    for (const limit of [1, 2, 5]) {
      const seen: string[] = [];
      let at: string | undefined;
      do {
        const page = await search(admin.db, { q, limit, after: at }, all);
        seen.push(...page.hits.map(shown));
        at = page.next ?? undefined;
      } while (at !== undefined);
      assert.deepEqual(seen, whole, `${q}, ${limit} at a time`);
    }
  }
});

test('what is passed over in vain, however much it is, ends a page and hides nothing behind it', limited, async () => {
  const many = newId<string>();
  await admin.db`
    with made as (
      insert into account (id, name, display_name, instance_id)
      select gen_random_uuid(), 'many-' || n, 'many-' || n, (select id from instance where name = 'one')
        from generate_series(1, 2500) n returning id)
    insert into account_epoch (account_id, epoch, instance_id)
    select id, 1, (select id from instance where name = 'one') from made`;
  await admin.db`update device set model = 'Many things' where serial_number = 'S-100'`;
  await admin.db`insert into account_group (id, name, rank) values (${many}, 'many', 2)`;
  await admin.db`
    insert into group_member
    select ${many}, id from account where name = 'ada' or name like 'many-%' and right(name, 1) <> '0'`;
  try {
    for (const [within, accounts] of [[null, 2500] as const, [[many], 2250] as const]) {
      const hits: SearchHit[] = [];
      let at: string | undefined;
      do {
        const page = await search(admin.db, { q: 'many', limit: 200, after: at }, { ...all, within });
        hits.push(...page.hits);
        at = page.next ?? undefined;
      } while (at !== undefined);
      assert.equal(hits.filter(({ kind }) => kind === 'account').length, accounts);
      assert.deepEqual(hits.filter(({ kind }) => kind === 'device').map(shown), ['device model ada']);
      assert.equal(new Set(hits.map(({ account }) => account)).size, hits.length);
    }
  } finally {
    await admin.db`delete from account where name like 'many-%'`;
    await admin.db`update device set model = 'Phone 1' where serial_number = 'S-100'`;
  }
});

test('whatever is typed is answered or refused', limited, async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 120 }), async (text) => {
      fc.pre(text.isWellFormed());
      const { status } = await admin.call('GET', `/search?q=${encodeURIComponent(text)}`);
      assert.ok(status === 200 || status === 400, `${status}`);
    }),
    { numRuns: 60 },
  );
});

test('limits, sorts and cursors that are none are refused by lists and search', limited, async () => {
  const { body } = await admin.call('GET', '/accounts?limit=1&sort=-createdAt');
  const { next } = body as { next: string };
  for (const path of ['/accounts?', '/devices?', '/accounts/ada/devices?', '/search?q=a&']) {
    const refused = [
      ...['limit=0', 'limit=-1', 'limit=1000000000', 'limit=1.5', 'limit=NaN', 'limit=', 'limit=1&limit=2'],
      ...['after=', 'after=%00', `after=${next}`, `after=${next.slice(0, -4)}`, `after=${'A'.repeat(5000)}`],
      ...['sort=lastSeenAt', 'sort=--name', 'sort=name,id', 'sort=', "sort=name';--", 'offset=10'],
    ];
    for (const query of refused) {
      const { status, body: answer } = await admin.call('GET', path + query);
      assert.equal(status, 400, path + query);
      assert.equal(codeOf(answer), 'ERR_INPUT');
    }
  }
  assert.match(
    String(((await admin.call('GET', `/devices?after=${next}`)).body as { message: string }).message),
    /another list/,
  );
});

test('a name, as releases before 1.5 gave as next, is taken where accounts are listed by name', async () => {
  const { body } = await admin.call('GET', '/accounts?after=grace&limit=1');
  assert.equal((body as { accounts: { name: string }[] }).accounts[0]?.name, 'percent%');
  const [first] = await admin.db<{ id: string }[]>`select id from device order by id limit 1`;
  const devices = (await admin.call('GET', `/devices?after=${first?.id}`)).body as { devices: unknown[] };
  assert.equal(devices.devices.length, people.length - 1);
});
