/** What commands show: what was typed comes back as it is typed, what failed with its reason, times with their zone. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { timeText } from '../base/time-text.ts';
import { seedDevice } from '../devices/device-fixture.ts';
import { startAdministration } from '../processes/administration/administration-fixture.ts';
import { lockHome } from '../processes/supervisor/home-lock.ts';
import { thisRelease } from '../release/this-release.ts';
import { exitWithin } from '../testing/process.ts';
import { runBramble } from './command-line-fixture.ts';
import { exitCode } from './exit-codes.ts';
import { cell } from './text-output.ts';

const limited = { timeout: 120_000 };
const admin = await startAdministration();
after(async () => {
  await admin.close();
});
const [instance] = await admin.db<{ id: string }[]>`select id from instance where name = 'one'`;
const { deviceId } = await seedDevice(admin.db, (instance?.id ?? '') as never, 'texts');

const bramble = (...argv: string[]) => runBramble(admin, argv);

test('a rule is shown as it is typed, with the values that it takes', limited, async () => {
  const { output } = await bramble('policy', 'rules');
  assert.match(output, /passwordMinimumLength +0 to 16 /);
  assert.match(output, /allowCamera +true, false /);
  await bramble('policy', 'set', 'Typed', '--rule', 'allowCamera=true');
  assert.match((await bramble('policy', 'show', 'Typed')).output, /allowCamera +true$/m);
  const refused = await bramble('policy', 'set', 'Typed', '--rule', 'passwordMinimumLength=999');
  assert.match(refused.errors, /"passwordMinimumLength" must be at most 16\. \(ERR_POLICY_RULE_VALUE\)/);
});

test('services are named as they are typed, and the help lists their settings', limited, async () => {
  const help = (await bramble('service', 'set', '--help')).output;
  for (const setting of ['protocol', 'incoming', 'pastDays', 'matchDomains', 'useTls'])
    assert.match(help, RegExp(setting));
  await bramble('service', 'set', 'IPPP', '{"matchDomains":["corp.example.org"]}');
  assert.match((await bramble('service', 'list')).output, /^SERVICE +SETTINGS\nIPPP +\{"matchDomains"/);
  const incomplete = await bramble('service', 'set', 'CICAL', '{}');
  assert.match(incomplete.errors, /service CICAL are invalid: host is missing\..*\(ERR_SERVICE_SETTINGS\)/);
  assert.match((await bramble('service', 'set', 'POP', '{}')).errors, /use one of CMIME, CICAL, SYNC, IPPP\./);
});

test('a profile is sent from its file, and the command that fails says why', limited, async () => {
  const file = join(admin.home, 'wifi.mobileconfig');
  await writeFile(file, '<plist/>');
  const send = ['device', 'command', deviceId, 'InstallProfile', '--parameter'];
  assert.equal((await bramble(...send, 'payload=@/nonexistent')).code, exitCode.usage);
  const { commandUuid } = JSON.parse((await bramble('--json', ...send, `payload=@${file}`)).output) as {
    commandUuid: string;
  };
  const [stored] = await admin.db<{ body: Buffer }[]>`select body from command where id = ${commandUuid}`;
  assert.match(stored?.body.toString() ?? '', new RegExp(Buffer.from('<plist/>').toString('base64')));
  const error = { ErrorCode: 4001, ErrorDomain: 'MCInstallationErrorDomain', USEnglishDescription: 'Profile Invalid' };
  await admin.db`
    update command set state = 'error', answered_at = now(),
      answer = ${admin.db.json({ Status: 'Error', ErrorChain: [error] })}
    where id = ${commandUuid}`;
  const { output } = await bramble('device', 'commands', deviceId);
  assert.match(output, /error .*MCInstallationErrorDomain 4001: Profile Invalid$/m);
});

test('a PIN and a telephone number are texts as they are typed', limited, async () => {
  for (const pin of ['123456', '001234']) {
    const parameters = [
      '--parameter',
      `pin=${pin}`,
      '--parameter',
      'phoneNumber=5550100',
      '--parameter',
      'message="Hi"',
    ];
    const { output } = await bramble('--json', 'device', 'command', deviceId, 'DeviceLock', ...parameters);
    const { commandUuid } = JSON.parse(output) as { commandUuid: string };
    const [stored] = await admin.db<{ body: Buffer }[]>`select body from command where id = ${commandUuid}`;
    for (const text of [pin, '5550100', 'Hi']) {
      assert.ok(stored?.body.toString().includes(`<string>${text}</string>`), text);
    }
  }
  assert.equal((await bramble('device', 'cancel', deviceId)).output, 'Cancelled 2 commands.\n');
});

test('the ids that a list shows are taken as they are shown', limited, async () => {
  assert.equal((await bramble('device', 'resend', deviceId, 'it-policy')).code, exitCode.ok);
  const [, row = ''] = (await bramble('deliveries')).output.split('\n');
  const [, shown = ''] = row.split(/ {2,}/);
  assert.match((await bramble('device', 'show', shown)).output, RegExp(`^id +${deviceId}$`, 'm'));
});

test('a device and the budget are shown with words and units, and nothing as JSON', limited, async () => {
  await admin.db`update device set inventory = '{"DeviceName": "Ada’s", "Capacity": 64}' where id = ${deviceId}`;
  const shown = (await bramble('device', 'show', deviceId)).output;
  assert.match(shown, /^hardware identifier +/m);
  assert.match(shown, /^last seen +/m);
  assert.match(shown, /^inventory *$/m);
  assert.match(shown, /^ {2}DeviceName +Ada’s$/m);
  assert.doesNotMatch(shown, /[{}]|^[a-z]+[A-Z]/m);
  assert.match((await bramble('budget', 'show')).output, /^perMinuteDomain +\d+ deliveries per minute in the domain$/m);
});

test('where there is nothing to cancel no advice is given on what was', limited, async () => {
  const { output } = await bramble('device', 'cancel', deviceId);
  assert.match(output, /^There was nothing to cancel\. .*--handed-out\.\n$/);
  assert.equal((await bramble('device', 'cancel', deviceId, '--handed-out')).output, 'There was nothing to cancel.\n');
});

test('times have their zone, and say the same moment', limited, async () => {
  const iso = '2026-11-25T08:00:00.000Z';
  assert.equal(new Date(timeText(iso).replace(' ', 'T')).toISOString(), iso);
  assert.match(timeText(iso), /(Z|[+-]\d\d:\d\d)$/);
  assert.equal(cell(`waiting, since ${iso}`), `waiting, since ${timeText(iso)}`);
  const shown = (await bramble('device', 'show', deviceId)).output;
  assert.doesNotMatch(shown, /\d\.\d{3}Z/);
});

test('bramble up beside a supervisor says so as every failure is said', limited, async () => {
  const configuration = { database: { url: admin.databaseUrl }, host: 'here', publicPort: 8443, srpPort: 3101 };
  await writeFile(join(admin.home, 'config.json'), JSON.stringify(configuration));
  const lock = await lockHome(admin.home, thisRelease.release);
  const child = fork(fileURLToPath(new URL('main.ts', import.meta.url)), ['up'], {
    env: { PATH: process.env['PATH'], BRAMBLE_HOME: admin.home },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  try {
    const said = { out: '', errors: '' };
    child.stdout?.on('data', (chunk: Buffer) => {
      said.out += chunk.toString();
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      said.errors += chunk.toString();
    });
    const code = await exitWithin(child, 60_000, 'the second supervisor');
    assert.deepEqual([code, said.out], [exitCode.alreadyRunning, '']);
    assert.match(said.errors, /^error: .*\(ERR_ALREADY_RUNNING\)\n$/);
  } finally {
    child.kill('SIGKILL');
    await lock.release();
  }
});
