/** What is typed wrongly: it is said in one message with a code, and nothing is done. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { optionsChangeSchema, planOptionsSchema } from '../api/upgrade-options.ts';
import { startAdministration } from '../processes/administration/administration-fixture.ts';
import { writeTestArchive } from '../release/signed-archive-fixture.ts';
import { runBramble } from './command-line-fixture.ts';
import { exitCode } from './exit-codes.ts';

const limited = { timeout: 60_000 };
const admin = await startAdministration();
after(async () => {
  await admin.close();
});

const bramble = (argv: string[], options?: Parameters<typeof runBramble>[2]) => runBramble(admin, argv, options);

test('every argument that does not fit is an error with a code, as JSON where that is wanted', limited, async () => {
  for (const argv of [
    ['nonsense'],
    ['account', 'create'],
    ['account', 'create', 'ada', 'extra', 'more'],
    ['account', 'list', '--limit', 'many'],
    ['move', 'start'],
    ['policy', 'assign', 'Default'],
    ['service', 'set', 'CMIME', 'notjson'],
    ['service', 'set', 'CMIME', '@nosuch.json'],
    ['service', 'set', 'CMIME', `@${tmpdir()}`],
  ]) {
    const said = await bramble(argv);
    assert.deepEqual([said.code, said.output], [exitCode.usage, ''], argv.join(' '));
    assert.match(said.errors, /^error: [A-Z"].*\(ERR_USAGE\)\n$/s, argv.join(' '));
    const asJson = await bramble([...argv, '--json']);
    assert.equal(JSON.parse(asJson.errors).code, 'ERR_USAGE', argv.join(' '));
  }
});

test('a file that cannot be read is said before any service is asked', limited, async () => {
  const nosuch = join(tmpdir(), 'no-such-file');
  const environment = { BRAMBLE_URL: 'http://127.0.0.1:9', BRAMBLE_TOKEN: 'none' };
  for (const [argv, why] of [
    [['account', 'import', nosuch], /there is no such file/],
    [['account', 'import', tmpdir()], /it is a folder/],
    [['audit', 'verify', '--file', nosuch], /there is no such file/],
    [['audit', 'verify', '--file', tmpdir()], /it is a folder/],
  ] as const) {
    const said = await bramble([...argv], { environment });
    assert.equal(said.code, exitCode.usage);
    assert.match(said.errors, why);
    assert.match(said.errors, /\(ERR_INPUT\)\n$/);
  }
});

test('what is shown only once is not made where it could not be written', limited, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-invitation-'));
  after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'there');
  await writeFile(file, 'before');
  const environment = { BRAMBLE_URL: 'http://127.0.0.1:9', BRAMBLE_TOKEN: 'none' };
  const commands = [
    ['host', 'invite', 'berlin-2', '--out'],
    ['instance', 'add', 'berlin-2', '--credential'],
    ['connection-service', 'add', 'mds', '--instances', 'one', '--credential'],
  ];
  for (const argv of commands) {
    const there = await bramble([...argv, file], { environment });
    assert.match(there.errors, /is there already\. Name another file with --.* Nothing was done\. \(ERR_INPUT\)/);
    const nowhere = await bramble([...argv, join(folder, 'missing', 'file')], { environment });
    assert.match(nowhere.errors, /There is no folder .*missing\. Make it, .*\(ERR_INPUT\)/);
  }
  const hook = ['notice', 'add', 'webhook', 'https://hooks.example.org', '--key-file', join(folder, 'missing', 'key')];
  assert.match((await bramble(hook, { environment })).errors, /There is no folder .*\(ERR_INPUT\)/);
});

test('an import says which line is no JSON, and what is skipped', limited, async () => {
  const broken = await bramble(['account', 'import', '-'], { input: '{"name":"x"}\nname,group\n' });
  assert.match(broken.errors, /Line 2 .*it is not JSON/);
  const skipped = await bramble(['account', 'import', '-'], { input: '{"name":"one"}\n{"name":"one"}\n' });
  assert.match(skipped.output, /^1 account was created, 1 skipped\./);
});

test('a policy does not lose its rules by a forgotten option', limited, async () => {
  assert.equal((await bramble(['policy', 'set', 'Field', '--rule', 'passwordRequired=true'])).code, exitCode.ok);
  const forgotten = await bramble(['policy', 'set', 'Field']);
  assert.equal(forgotten.code, exitCode.usage);
  assert.match(forgotten.errors, /would lose its 1 rule\..*--empty/s);
  assert.match((await bramble(['policy', 'show', 'Field'])).output, /passwordRequired/);
  assert.equal((await bramble(['policy', 'set', 'Field', '--empty'])).code, exitCode.ok);
  assert.doesNotMatch((await bramble(['policy', 'show', 'Field'])).output, /passwordRequired/);
});

test('what becomes of the rules of a policy is said, and what would change nothing is refused', limited, async () => {
  const set = (...flags: string[]) => bramble(['policy', 'set', 'Said', ...flags]);
  assert.match((await set()).output, /^The IT policy Said was created without rules; give it some with --rule\.\n$/);
  for (const flags of [[], ['--keep']]) {
    const nothing = await set(...flags);
    assert.equal(nothing.code, exitCode.usage);
    assert.match(nothing.errors, /Nothing is to change: the IT policy Said has no rules\..*\(ERR_USAGE\)/);
  }
  const [camera, password] = ['allowCamera=false', 'passwordRequired=true'];
  assert.match((await set('--rule', camera)).output, /^The IT policy Said was changed: 1 rule now; /);
  assert.match((await set('--rule', password)).output, /changed: 1 rule now, 1 removed \(allowCamera\); /);
  assert.match((await set('--keep', '--rule', camera)).output, /changed: 2 rules now; /);
  assert.match((await set('--keep')).errors, /Nothing is to change: .* has 2 rules\./);
  assert.match((await set('--keep', '--empty')).errors, /--keep and --empty cannot be combined\. \(ERR_USAGE\)/);
  assert.match((await set('--empty')).output, /changed: no rules now, 2 removed \(/);
});

test('allowed hosts can all be taken away, and a change of nothing is none', limited, async () => {
  await bramble(['connection-service', 'add', 'mds', '--instances', 'one', '--allow', 'mail.example.org:993']);
  assert.equal((await bramble(['connection-service', 'set', 'mds'])).code, exitCode.usage);
  assert.equal((await bramble(['connection-service', 'set', 'mds', '--allow-none'])).code, exitCode.ok);
  const { output } = await bramble(['connection-service', 'list', '--json']);
  const { connectionServices } = JSON.parse(output) as {
    connectionServices: { name: string; allowedHosts: string[] }[];
  };
  assert.deepEqual(connectionServices.find(({ name }) => name === 'mds')?.allowedHosts, []);
});

test('a field that does not fit is named as it was typed, in words', limited, async () => {
  await bramble(['account', 'create', 'ida']);
  assert.match(
    (await bramble(['account', 'password', 'ida', '--hours', '0'])).errors,
    /cannot be valid for 0 hours: choose 1 to 720\. \(ERR_ACTIVATION_VALIDITY\)/,
  );
  assert.match(
    (await bramble(['group', 'create', 'half', '--rank', '1.5'])).errors,
    /error: --rank must be an integer, not number\. \(ERR_INPUT\)/,
  );
  for (const name of ['bad name', 'x'.repeat(300)]) {
    const { code, errors } = await bramble(['account', 'create', name]);
    assert.equal(code, exitCode.usage);
    assert.match(errors, /The account ".*" was not created: the name must have .*\(ERR_ACCOUNT_NAME\)/);
  }
  assert.match((await bramble(['account', 'list', '--limit', '0'])).errors, /error: --limit must be at least 1\./);
});

test('what a service finds invalid is named as the option or argument that it was typed as', limited, async () => {
  const device = '6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234';
  const cases: readonly (readonly [string[], string])[] = [
    [
      ['device', 'show', 'nosuch'],
      'The id "nosuch" is not a valid UUID. `bramble device list` shows the ids of devices.',
    ],
    [['device', 'remove', '7'], 'The id "7" is not a valid UUID. `bramble device list` shows the ids of devices.'],
    [['policy', 'send', 'x'], 'The device "x" is not a valid UUID. `bramble device list` shows the ids of devices.'],
    [
      ['device', 'cancel', device, '--command', 'x'],
      '--command "x" is not a valid UUID. `bramble device commands DEVICE` shows the ids of its commands.',
    ],
    [['move', 'back', 'x'], 'The batch "x" is not a valid UUID. `bramble move status` shows the ids of batches.'],
    [
      ['device', 'command', device, 'Lock'],
      `The type "Lock" must be one of 'DeviceLock', 'DeviceInformation', 'ProfileList', 'InstallProfile', ` +
        `'RemoveProfile'.`,
    ],
    [['device', 'command', device, 'InstallProfile'], '--parameter payload is missing.'],
    [
      ['device', 'command', device, 'ProfileList', '--parameter', 'colour=red'],
      '--parameter colour is unknown; expected: none.',
    ],
    [
      ['device', 'resend', device, 'all'],
      'The item "all" must be one of "it-policy", "service-books", "synchronization", "device-identity".',
    ],
    [['device', 'list', '--identity-ends', '-1'], '--identity-ends must be at least 0.'],
    [['move', 'start', '--to', 'one'], 'Give exactly one of --account, --group and --from: whom to move.'],
    [
      ['move', 'start', '--to', 'one', '--group', 'g', '--from', 'two'],
      'Give exactly one of --account, --group and --from: whom to move.',
    ],
    [['move', 'start', '--to', '', '--from', 'one'], '--to "" must not be empty.'],
    [['push', '--set', 'colour=red'], '--set colour is unknown.'],
    [
      ['budget', 'set', 'colour=red'],
      'colour is unknown. The budget has perInstance, perDomain, suspects, perMinuteInstance, perMinuteDomain, ' +
        'suspectAfterSeconds.',
    ],
    [
      ['account', 'list', '--limit', 'many'],
      "Option '--limit <number>' argument 'many' is invalid: use a number. See --help.",
    ],
    [
      ['upgrade', 'plan', '1.9.0', '--any-time', '--window', 'x'],
      "Option '--any-time' cannot be used with option '--window <window...>'. See --help.",
    ],
    [
      ['upgrade', 'plan', '1.9.0', '--place', 'one=two:0'],
      "Option '--place <instance=host>' argument 'one=two:0' is invalid: use instance=host, or instance=host:share with a share from 1 to 999. See --help.",
    ],
    [['upgrade', 'plan'], 'Name the release to upgrade to, or its archive with --archive FILE.'],
    [['group', 'add', '', 'ada'], 'The group "" must not be empty.'],
  ];
  for (const [argv, message] of cases) {
    const { code, errors } = await bramble(argv);
    assert.equal(code, exitCode.usage, argv.join(' '));
    assert.equal(errors.replace(/^error: | \(ERR_\w+\)\n$/g, ''), message, argv.join(' '));
  }
});

test('help shows no empty lists and no switches that are off as defaults', limited, async () => {
  for (const argv of [
    ['policy', 'set'],
    ['connection-service', 'add'],
    ['account', 'list'],
  ]) {
    assert.doesNotMatch((await bramble([...argv, '--help'])).output, /default: (\{\}|\[\]|false)/);
  }
});

test(
  'a domain that is not running is told from one whose token is missing, and from something else that answers',
  limited,
  async () => {
    const stopped = await bramble(['status'], { environment: { BRAMBLE_HOME: tmpdir(), BRAMBLE_TOKEN: 'some' } });
    assert.equal(stopped.code, exitCode.unreachable);
    assert.match(stopped.errors, /The domain is not running/);
    const other = createServer((_request, response) => response.writeHead(404).end());
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    after(() => other.close());
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
    const said = await bramble(['status', '--url', url, '--token', 'some']);
    assert.match(said.errors, /answers 404, but not like a Bramble administration service.*\(ERR_ADMIN_ANSWER\)/s);
  },
);

test('a missing token is told from a file that is missing or has none, and from an empty option', limited, async () => {
  const home = await mkdtemp(join(tmpdir(), 'bramble-no-token-'));
  after(async () => await rm(home, { recursive: true }));
  const status = async (...argv: string[]) =>
    await bramble(['status', ...argv], { environment: { BRAMBLE_HOME: home, BRAMBLE_URL: admin.url } });
  const file = join(home, 'admin.json');
  const missing = await status();
  assert.equal(missing.code, exitCode.unauthorized);
  assert.ok(missing.errors.includes(`No administrator token was given, and there is no file ${file}.`), missing.errors);
  assert.match(missing.errors, /no domain in this home: .*`bramble domain create`.*--token \(BRAMBLE_TOKEN\)/);
  await writeFile(join(home, 'config.json'), '{}');
  assert.match((await status()).errors, /Put the file back, or give a token with --token/);
  await mkdir(join(home, 'keys'));
  await writeFile(join(home, 'keys', 'host.json'), '{}');
  assert.match((await status()).errors, /This host joined the domain: .*`bramble token create NAME`.*BRAMBLE_URL/);
  await writeFile(file, '{}');
  assert.ok((await status()).errors.includes(`and ${file} contains none.`));
  assert.match(
    (await status('--token', '')).errors,
    /^error: --token is empty: give a token, or .*\(ERR_ADMIN_ACCESS\)\n$/,
  );
  assert.match((await status('--url', '')).errors, /^error: --url is empty: give host:port .*\(ERR_ADMIN_ADDRESS\)\n$/);
  const unset = await bramble(['status'], { environment: { BRAMBLE_HOME: home, BRAMBLE_URL: '' } });
  assert.match(unset.errors, /^error: BRAMBLE_URL is empty: /);
});

test(
  'the path of an archive is taken from where it is typed, and options of a plan are an object',
  limited,
  async () => {
    const { errors } = await bramble(['upgrade', 'plan', '--archive', 'no-such.tgz']);
    assert.ok(errors.includes(join(process.cwd(), 'no-such.tgz')), errors);
    assert.match(errors, /\(ERR_RELEASE_ARCHIVE_MISSING\)/);
    for (const options of ['7', '"x"', 'null', '[1]', 'true']) {
      const said = await bramble(['upgrade', 'plan', '1.2.0', '--options', options]);
      assert.deepEqual([said.code, said.output], [exitCode.usage, ''], options);
      assert.match(said.errors, /use a JSON object.*\(ERR_USAGE\)/s);
    }
  },
);

test('the help of a plan, and of its change, names each of its options, as a flag or as JSON', limited, async () => {
  const flags: Record<string, string> = {
    ...{ canaries: '--canary', wavePercentages: '--wave', soakSeconds: '--soak', inPlace: '--in-place' },
    ...{ gate: '--gate', budget: '--budget', addDestinations: '--place' },
    ...{ canaryGroups: '--canary-group', canaryInstances: '--canary-instance' },
    ...{ outOfReach: '--out-of-reach', outOfReachSeconds: '--out-of-reach-after' },
    ...{
      reuseInstances: '--reuse-instances',
      windows: '--window',
      maxAccounts: '--max-accounts',
      maxDevices: '--max-devices',
    },
    ...{ canaryPlatforms: '--canary-platform', canarySoftware: '--canary-software' },
  };
  for (const [command, shape] of [
    ['plan', planOptionsSchema.shape],
    ['set', optionsChangeSchema.shape],
  ] as const) {
    const { output } = await bramble(['upgrade', command, '--help']);
    for (const option of Object.keys(shape)) {
      assert.match(output, RegExp(`${flags[option] ?? option}\\b`), `${command}: ${option}`);
    }
    assert.doesNotMatch(output, /…|soakSeconds/);
  }
});

test('a database that cannot be reached is named, and nothing is left of the attempt', limited, async () => {
  const home = await mkdtemp(join(tmpdir(), 'bramble-no-database-'));
  after(() => rm(home, { recursive: true, force: true }));
  const archive = await writeTestArchive(home, '99.0.0', {});
  const argv = ['domain', 'create', '--archive', archive, '--database-url', 'postgres://a:secret@127.0.0.1:1/none'];
  const said = await bramble([...argv, '--accept-unsigned', '99.0.0'], {
    environment: { BRAMBLE_HOME: join(home, 'home') },
  });
  assert.match(said.errors, /cannot be reached at 127\.0\.0\.1:1\/none: .*ECONNREFUSED.*\(ERR_DATABASE_UNAVAILABLE\)/);
  assert.equal(said.code, exitCode.unreachable);
  assert.deepEqual(await readdir(join(home, 'home')), []);
});
