/**
 * Which tables are audited, what of their rows is shown, and how the triggers handle writers that do not identify
 * themselves.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase } from '../../database/connection.ts';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { seedCommand, seedDevice, seedDomain } from '../../devices/device-fixture.ts';
import { recorded } from './record.ts';

const instanceName = 'bramble/server/server-1@host#1';
const database = await createTestDatabase();
const db = openDatabase(database.url, { applicationName: instanceName, max: 2 });
after(async () => await db.end({ timeout: 5 }));
await seedDomain(db);

/** Tables that no administrator writes, or whose writes only follow from a recorded order. */
const notAudited = {
  account_epoch: 'the history of moves, append-only itself',
  account_mark: 'a mover’s mark, gone after milliseconds',
  administrator_browser: 'follows from a recorded sign-in',
  audit_cut: 'the audit: each has a record of its own',
  audit_record: 'the audit',
  audit_seal: 'the audit',
  authority_statement: 'signed by the domain; follows from a recorded order to replace an authority',
  component_interruption: 'telemetry of components',
  delivery: 'follows from a recorded change or an order, which the operation names',
  delivery_hold: 'telemetry of instances',
  delivery_permit: 'the budget’s slots; the budget is a setting',
  device_heard: 'telemetry of instances',
  device_repeat: 'telemetry of instances',
  event: 'append-only itself',
  event_stream: 'which stream of events it is; a restored domain begins another',
  figure_minute: 'sums of telemetry',
  host_master_key: 'follows from a recorded order to rotate the master key',
  host_release: 'told by a supervisor of its host',
  idempotency_key: 'what a request answered, beside the change that it made',
  migration: 'written by the migrator, with digests',
  notice: 'events that are still to be sent',
  notice_condition: 'what was seen and told',
  outcome_report: 'telemetry of routers',
  release_file: 'files of a release, whose arrival is recorded as an operation',
  release_package: 'a release, whose arrival is recorded as an operation',
  request_outcome: 'telemetry of routers',
  request_sample: 'telemetry of instances',
  revocation_list: 'a signature over revocations and clearances, which are audited',
  router_request: 'asked by a supervisor for a router of its host',
  send_rate: 'the budget’s tokens; the budget is a setting',
  sign_in_challenge: 'a step of a sign-in, gone after minutes',
  sign_in_try: 'what was tried of late; refusals of administrators are recorded',
  srp_renewal: 'asked by a component for itself',
  supervisor: 'told by a supervisor of itself',
  upgrade_event: 'append-only itself',
};

test('every table is audited, or stands in the list of those that need not be', async () => {
  const rows = await db<{ name: string; audited: boolean }[]>`
    select c.relname as name,
           exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgname like 'audit\_%') as audited
      from pg_class c
     where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace
     order by c.relname`;
  const unaudited = rows.filter((row) => !row.audited).map((row) => row.name);
  assert.deepEqual(unaudited, Object.keys(notAudited).sort());
});

const operation = { operation: 'test', subjects: [], from: { component: 'test' }, when: 'wrote' } as const;
const record = (actor: string, work: Parameters<typeof recorded>[2]) =>
  db.begin((tx) => recorded(tx, { ...operation, actor }, work));
const changesBy = async (actor: string) =>
  await db<{ operation: string; subjects: string[]; detail: Record<string, unknown> }[]>`
    select c.operation, c.subjects, c.detail
      from audit_record o join audit_record c on c.transaction = o.transaction and c.kind = 'change'
     where o.kind = 'operation' and o.actor = ${actor}
     order by c.id`;

test('a recorded transaction has before and after of what it changed, and only of that', async () => {
  await record('policy', async (tx) => {
    await tx`insert into it_policy (id, name, rules) values (gen_random_uuid(), 'strict', '{"a": true, "b": 1, "c": 2}')`;
  });
  await record('policy-2', async (tx) => {
    await tx`update it_policy set rules = '{"a": false, "b": 1, "d": 3}' where name = 'strict'`;
    await tx`update it_policy set rules = rules where name = 'strict'`;
  });
  const [change, ...more] = await changesBy('policy-2');
  assert.deepEqual(more, []);
  assert.deepEqual([change?.operation, change?.subjects], ['update it_policy', ['strict']]);
  assert.deepEqual(change?.detail, {
    changes: [
      {
        rules: [
          { a: true, c: 2 },
          { a: false, d: 3 },
        ],
      },
    ],
  });
});

test('what looks like a secret is hidden by its name or its form, wherever it stands; what a policy says is not', async () => {
  await record('secrets', async (tx) => {
    await tx`
      insert into it_policy (id, name, rules) values (gen_random_uuid(), 'secrets', ${tx.json({
        passwordRequired: true,
        passwordMinimumLength: 8,
        devicePin: 4711,
        pin: '4712',
        note: 'seen by all',
        proxy: 'https://ada:hunter2@proxy.example.org/x?n=1',
        nested: [{ apiKey: { value: 'leak-1', list: ['leak-2'] } }, { text: `see ${'Zk9'.repeat(20)}` }],
        certificate: '-----BEGIN CERTIFICATE-----\nleak-3',
        web: 'eyJleak-4.e30.x',
      })})`;
  });
  const [change] = await changesBy('secrets');
  const text = JSON.stringify(change?.detail);
  for (const secret of ['4711', '4712', 'hunter2', 'leak-1', 'leak-2', 'leak-3', 'leak-4', 'Zk9Zk9']) {
    assert.ok(!text.includes(secret), `${secret} is in ${text}`);
  }
  assert.ok(change);
  const [{ rules }] = change.detail['changes'] as [{ rules: Record<string, unknown> }];
  assert.deepEqual(
    [rules['passwordRequired'], rules['passwordMinimumLength'], rules['note'], rules['proxy']],
    [true, 8, 'seen by all', 'https://[hidden]@proxy.example.org/x?n=1'],
  );
});

test('a column that nobody listed is hidden, also one of a later release', async () => {
  await db.unsafe("alter table instance add column secret_plan text default 'leak-5'");
  await record('column', async (tx) => {
    await tx`insert into instance (id, name, srp_identifier) values (gen_random_uuid(), 'later', 'S10000009')`;
  });
  await db.unsafe('alter table instance drop column secret_plan');
  const [change] = await changesBy('column');
  assert.match(JSON.stringify(change?.detail), /"secret_plan":"\[hidden\]"/);
  assert.doesNotMatch(JSON.stringify(change?.detail), /leak-5/);
});

test('of many rows in a statement there are number, names and a digest instead of each row', async () => {
  await record('many', async (tx) => {
    await tx`
      insert into account (id, name, display_name, instance_id)
      select gen_random_uuid(), 'many-' || n, 'Many', (select id from instance where name = 'here') from generate_series(1, 51) n`;
  });
  const [change, ...more] = await changesBy('many');
  assert.deepEqual(more, []);
  assert.equal(change?.subjects.length, 51);
  assert.ok(change?.subjects.includes('many-51'));
  const [expected] = await db<{ sha256: string }[]>`
    select encode(sha256(convert_to(string_agg(line, e'\n' order by line collate "C"), 'utf8')), 'hex') as sha256
      from (select jsonb_build_object('id', id, 'name', name, 'display_name', display_name, 'instance_id', instance_id,
                                      'epoch', epoch, 'created_at', created_at)::text as line
              from account where name like 'many-%') l`;
  assert.deepEqual(change?.detail, { rows: 51, sha256: expected?.sha256 });
});

test('a transaction that is rolled back, and one that only reads, leave no record', async () => {
  await assert.rejects(
    record('undone', async (tx) => {
      await tx`insert into account_group (id, name, rank) values (gen_random_uuid(), 'undone', 4711)`;
      throw new Error('undone');
    }),
    /undone/,
  );
  await record('reader', async (tx) => void (await tx`select 1 from account`));
  assert.equal(
    (await db`select 1 from audit_record where actor in ('undone', 'reader') or 'undone' = any(subjects)`).length,
    0,
  );
});

test('an administrator’s write that no trigger sees still says who and what; a component’s look does not', async () => {
  const touch = (when: 'wrote' | 'changed') =>
    db.begin((tx) =>
      recorded(tx, { ...operation, actor: when, when }, async () => {
        await tx`insert into delivery_permit (scope, number) values (${when}, 1)`;
      }),
    );
  await touch('wrote');
  await touch('changed');
  const rows = await db`select actor from audit_record where actor in ('wrote', 'changed')`;
  assert.deepEqual(
    rows.map((row) => row['actor']),
    ['wrote'],
  );
});

test('what devices and instances write of devices and commands is not recorded, but what an administrator does is', async () => {
  const [{ id: here } = { id: '' }] = await db<{ id: string }[]>`select id from instance where name = 'here'`;
  const [before] = await db<
    { count: number }[]
  >`select count(*)::int as count from audit_record where not operation like '%account'`;
  const device = await seedDevice(db, here as never, 'ada');
  const { commandId } = await seedCommand(db, device);
  await db`update device set last_seen_at = now(), os_version = '19' where id = ${device.deviceId}`;
  await db`update command set state = 'acknowledged' where id = ${commandId}`;
  const [afterwards] = await db<
    { count: number }[]
  >`select count(*)::int as count from audit_record where not operation like '%account'`;
  assert.equal(afterwards?.count, before?.count);

  await record(
    'ender',
    async (tx) => void (await tx`update device set state = 'gone', push_token = '\\x01' where id = ${device.deviceId}`),
  );
  const [change] = await changesBy('ender');
  assert.deepEqual(change?.subjects, [device.deviceId, 'ada']);
  assert.deepEqual(change?.detail, { changes: [{ state: ['active', 'gone'], push_token: [null, '[hidden]'] }] });
});

test('a move of an account is told by its epochs alone; a changed name is a change', async () => {
  const count = async () => (await db`select 1 from audit_record where operation = 'update account'`).length;
  const before = await count();
  await db`update account set epoch = epoch + 1 where name = 'ada'`;
  assert.equal(await count(), before);
  await db`update account set display_name = 'Ada' where name = 'ada'`;
  assert.equal(await count(), before + 1);
});

test('a writer that does not say who it is, as a release without audit, leaves its traces with its own name', async () => {
  await db`insert into account_group (id, name, rank) values (gen_random_uuid(), 'of-1.1', 99)`;
  const [row] = await db`select kind, actor, detail from audit_record where subjects = array['of-1.1']`;
  assert.deepEqual([row?.['kind'], row?.['actor'], row?.['detail'].application], ['unrecorded', null, instanceName]);
});

test('a role without any right on the audit is recorded, and cannot write into it by itself', async () => {
  const role = `${database.name}_narrow`;
  await db.unsafe(
    `create role ${role}; grant usage on schema public to ${role}; grant insert, select on account_group to ${role}`,
  );
  const asRole = (work: Parameters<typeof db.begin>[1]) =>
    db.begin(async (tx) => {
      await tx.unsafe(`set local role ${role}`);
      // A schema of the session's own in front must not take the record's place.
      await tx.unsafe(
        'create temporary table audit_record (kind text, operation text, subjects text[], detail jsonb) on commit drop',
      );
      await work(tx);
    });
  try {
    await asRole(async (tx) => {
      await tx`insert into account_group (id, name, rank) select gen_random_uuid(), 'narrow-' || n, 500 + n from generate_series(1, 3) n`;
    });
    await assert.rejects(
      asRole(
        async (tx) => void (await tx`insert into public.audit_record (kind, operation) values ('marker', 'forged')`),
      ),
      /permission denied/,
    );
  } finally {
    await db.unsafe(`drop owned by ${role}; drop role ${role}`);
  }
  const rows = await db`select subjects from audit_record where 'narrow-1' = any(subjects)`;
  assert.deepEqual(
    rows.map((row) => row['subjects']),
    [['narrow-1', 'narrow-2', 'narrow-3']],
  );
});
