/** A device's model and a name of an earlier release that try to command the terminal: no command prints what they want. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { seedDevice } from '../devices/device-fixture.ts';
import { startAdministration } from '../processes/administration/administration-fixture.ts';
import { runBramble } from './command-line-fixture.ts';
import { styleFor, table } from './text-output.ts';

const hostile = 'X\u001b[2J\u001b]0;owned\u0007\r\nfake  row\u202e\u2028\u009b31m\u200b';
const admin = await startAdministration();
after(async () => await admin.close());
const [instance] = await admin.db<{ id: string }[]>`select id from instance where name = 'one'`;
const { deviceId } = await seedDevice(admin.db, (instance?.id ?? '') as never, 'ada');
await admin.db`
  update device set model = ${hostile}, product = ${hostile}, os_version = ${hostile}, serial_number = ${hostile},
         inventory = ${admin.db.json({ [hostile]: hostile })}
   where id = ${deviceId}`;
// As 1.1 took them.
await admin.db`update account set display_name = ${hostile} where name = 'ada'`;
await admin.db`insert into account_group (id, name, rank) values (gen_random_uuid(), ${hostile}, 9)`;
await admin.db`insert into it_policy (id, name, rules) values (gen_random_uuid(), ${hostile}, '{}')`;
await admin.db`insert into event (kind, subject, message) values (${hostile}, ${hostile}, ${hostile})`;
await admin.db`
  insert into component (name, kind, host, boot_id, process_id, release, link_versions, features, lease_until)
  values (${hostile}, 'server', ${hostile}, 'b', 1, '1.1.0', '{1}', '{}', now())`;
await admin.db`
  insert into delivery (id, account_id, device_id, item, cause, budgeted, state, failure, settled_at)
  select gen_random_uuid(), account_id, id, 'it-policy', 'manual', false, 'failed', ${hostile}, now() from device`;

const bramble = (...argv: string[]) => runBramble(admin, argv);

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not come out
const obeyed = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u200b\u202a-\u202e]/u;

const commands = [
  ['device', 'list'],
  ['device', 'show', deviceId],
  ['device', 'commands', deviceId],
  ['account', 'list'],
  ['account', 'show', 'ada'],
  ['group', 'list'],
  ['policy', 'list'],
  ['events'],
  ['status'],
  ['component', 'list'],
  ['features'],
  ['deliveries', '--state', 'failed'],
  ['audit', 'list'],
  ['audit', 'list', '--changes'],
  ['audit', 'verify'],
  ['audit', 'export'],
  ['device', 'show', hostile],
  ['account', 'delete', hostile],
  ['component', 'forget', hostile],
  ['group', 'add', hostile, 'nobody'],
  ['nonsense', hostile],
] as const;

for (const argv of commands) {
  test(`bramble ${argv.slice(0, 2).join(' ').replaceAll(hostile, '…')} prints nothing that a terminal obeys`, async () => {
    for (const extra of [[], ['--json']]) {
      const { output, errors } = await bramble(...argv, ...extra);
      assert.doesNotMatch(output, obeyed);
      assert.doesNotMatch(errors, obeyed);
      // What somebody typed into this very command is theirs.
      if (!argv.some((word) => word === hostile)) assert.doesNotMatch(output, /^fake {2}row/m);
    }
  });
}

test('a hostile model makes one row, and --json still has the value itself', async () => {
  const { output } = await bramble('device', 'list');
  assert.equal(output.trimEnd().split('\n').length, 2);
  const { devices } = JSON.parse((await bramble('device', 'list', '--json')).output) as {
    devices: { osVersion: string }[];
  };
  assert.equal(devices[0]?.osVersion, hostile);
});

test('what a person types is refused with the character’s name, and what is there already can still be named', async () => {
  for (const [path, body, field] of [
    ['/accounts', { name: 'eve', displayName: 'Eve\u202e' }, 'body.displayName'],
    ['/accounts', { name: 'e\u200bve' }, 'body.name'],
    ['/groups', { name: 'x\u001b' }, 'body.name'],
    ['/it-policies', { name: 'x\u2066' }, 'body.name'],
    ['/tokens', { name: 'x\u009b' }, 'body.name'],
  ] as const) {
    const { status, body: answer } = await admin.call('POST', path, body);
    const { message, details } = answer as { message: string; details: { field: string } };
    assert.deepEqual([status, details.field], [400, field]);
    assert.match(message, /contains U\+(202E|200B|001B|2066|009B), which is not displayed/);
  }
  assert.equal((await admin.call('GET', `/groups/${encodeURIComponent(hostile)}/members`)).status, 200);
  assert.equal((await admin.call('DELETE', `/it-policies/${encodeURIComponent(hostile)}`)).status, 200);
});

test('columns are as wide as a terminal draws them', () => {
  const plain = styleFor({}, {});
  const rows = table(
    plain,
    ['name', 'x'],
    [
      ['山田', '1'],
      ['👩‍👩‍👧', '2'],
      ['e\u0301', '3'],
      ['abcdef', '4'],
    ],
  ).split('\n');
  assert.deepEqual(rows.slice(1), ['山田    1', '👩‍👩‍👧      2', 'e\u0301       3', 'abcdef  4']);
});
