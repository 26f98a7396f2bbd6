import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { domainOperations } from '../api/domain.ts';
import { startAdministration } from '../processes/administration/administration-fixture.ts';
import { createCommandClient } from './command-client.ts';
import { runBramble } from './command-line-fixture.ts';
import { exitCode } from './exit-codes.ts';

const admin = await startAdministration();
after(async () => {
  await admin.close();
});

const bramble = (argv: string[], options?: Parameters<typeof runBramble>[2]) => runBramble(admin, argv, options);

test('help of every command has an example, and asking for it is no failure', async () => {
  const { code, output } = await bramble(['--help']);
  assert.equal(code, exitCode.ok);
  assert.match(output, /Example:/);
  for (const argv of [
    ['account', 'create'],
    ['move', 'start'],
    ['upgrade', 'plan'],
    ['srp', 'issue'],
    ['budget', 'set'],
  ]) {
    const help = await bramble([...argv, '--help']);
    assert.equal(help.code, exitCode.ok);
    assert.match(help.output, new RegExp(`Example:\n {2}\\$ bramble ${argv.join(' ')}`));
  }
});

test('unknown commands, missing arguments and wrong numbers end with the exit code for usage', async () => {
  for (const argv of [
    ['nonsense'],
    ['account', 'create'],
    ['account', 'list', '--limit', 'many'],
    ['run', 'nothing'],
  ]) {
    const { code, errors } = await bramble(argv);
    assert.equal(code, exitCode.usage, argv.join(' '));
    assert.notEqual(errors, '');
  }
});

test('an account is created, listed in an aligned table, shown as JSON, and deleted', async () => {
  assert.equal(
    (await bramble(['account', 'create', 'Ada', '--instance', 'two'])).output.trim(),
    'The account ada was created at the instance two.',
  );
  const list = await bramble(['account', 'list']);
  const [header, row] = list.output.split('\n');
  assert.match(header ?? '', /^NAME {2}DISPLAY NAME/);
  assert.equal(header?.indexOf('INSTANCE'), row?.indexOf('two'));
  const asJson = JSON.parse((await bramble(['--json', 'account', 'list'])).output);
  assert.equal(asJson.accounts[0].name, 'ada');
  assert.deepEqual(JSON.parse((await bramble(['account', 'list', '--json'])).output), asJson);
  assert.equal((await bramble(['account', 'delete', 'ada', '--yes'])).code, exitCode.ok);
});

test('failures say what happened with their code on the error stream, or as JSON', async () => {
  const missing = await bramble(['account', 'delete', 'nobody']);
  assert.equal(missing.code, exitCode.notFound);
  assert.equal(missing.output, '');
  assert.match(missing.errors, /^error: There is no account "nobody"\. \(ERR_NOT_FOUND\)\n$/);
  const asJson = await bramble(['--json', 'account', 'delete', 'nobody']);
  assert.equal(JSON.parse(asJson.errors).code, 'ERR_NOT_FOUND');
  await bramble(['group', 'create', 'sales']);
  assert.equal((await bramble(['group', 'create', 'sales'])).code, exitCode.refused);
  assert.equal((await bramble(['--token', 'wrong', 'status'])).code, exitCode.unauthorized);
  assert.equal(
    (await bramble(['status'], { environment: { BRAMBLE_HOME: '/nonexistent' } })).code,
    exitCode.unauthorized,
  );
  assert.equal((await bramble(['--url', 'http://127.0.0.1:1', 'status'])).code, exitCode.unreachable);
});

test('a device is removed only after a clear yes, or with --yes', async () => {
  const id = randomUUID();
  await admin.db`
    insert into account (id, name, display_name, instance_id) select ${id}, 'rem', 'rem', i.id from instance i limit 1`;
  await admin.db`
    insert into device (id, account_id, token, platform, state, scep_challenge)
    values (${id}, ${id}, ${id}, 'apple', 'active', 'c')`;
  const shown = async () => JSON.parse((await bramble(['--json', 'device', 'show', id])).output).state;
  for (const input of ['', 'n\n', 'what?\ny\n']) {
    const { code, errors } = await bramble(['device', 'remove', id, '--silent'], { input });
    assert.equal(code, exitCode.usage);
    assert.match(errors, /will be refused from now on[\s\S]*Nothing was changed/);
  }
  assert.equal(await shown(), 'active');
  const told = await bramble(['device', 'remove', id], { input: 'yes\n' });
  assert.match(told.output, /told to leave when it next connects/);
  assert.equal(await shown(), 'leaving');
  const silent = await bramble(['--json', 'device', 'remove', id, '--silent', '--yes']);
  assert.deepEqual(JSON.parse(silent.output).state, 'gone');
  assert.equal((await bramble(['device', 'remove', id, '--silent', '--tell', '--yes'])).code, exitCode.usage);
});

test('what TLS a device has used is cleared for one or all, and the list shows repeats', async () => {
  const ids = [randomUUID(), randomUUID()] as const;
  for (const id of ids) {
    await admin.db`
      insert into account (id, name, display_name, instance_id) select ${id}, ${id}, 't', i.id from instance i limit 1`;
    await admin.db`
      insert into device (id, account_id, token, platform, state, scep_challenge, tls_days, tls_required_at)
      values (${id}, ${id}, ${id}, 'apple', 'active', 'c', 3, now())`;
  }
  await admin.db`insert into device_repeat (device_id, repeats, repeated_at) values (${ids[0]}, 4711, now())`;
  const required = async () =>
    (await admin.db`select id from device where tls_required_at is not null`).map((row) => row['id']);
  assert.equal((await bramble(['device', 'clear-tls', ids[0]])).code, exitCode.ok);
  assert.deepEqual(await required(), [ids[1]]);
  const unneeded = await bramble(['device', 'clear-tls', ids[0]]);
  assert.equal(unneeded.code, exitCode.refused);
  assert.match(unneeded.errors, /does not require TLS.*\(ERR_STATE\)/);
  assert.match((await bramble(['device', 'clear-tls', '--all', '--yes'])).output, /may authenticate by signature/);
  assert.deepEqual(await required(), []);
  assert.equal((await bramble(['device', 'clear-tls', randomUUID()])).code, exitCode.notFound);
  assert.equal((await bramble(['device', 'clear-tls', ids[0], '--all'])).code, exitCode.usage);
  assert.equal((await bramble(['device', 'clear-tls'])).code, exitCode.usage);
  const { devices } = JSON.parse((await bramble(['--json', 'device', 'list', '--account', ids[0]])).output);
  assert.equal(devices[0].repeatedMessages, 4711);
  assert.match((await bramble(['device', 'list', '--account', ids[0]])).output, /REPEATED\s[\s\S]*4711/);
});

test('an upgrade that was never planned is not found, and a plan without a target is refused', async () => {
  const none = await bramble(['upgrade', 'status']);
  assert.equal(none.code, exitCode.notFound);
  assert.match(none.errors, /ERR_UPGRADE_NONE/);
  assert.equal((await bramble(['upgrade', 'plan', '--wave', '50', '100'])).code, exitCode.usage);
});

test('without a supervisor there is nothing to stop', async () => {
  const { code, errors } = await bramble(['down']);
  assert.equal(code, exitCode.notFound);
  assert.match(errors, /ERR_NOT_RUNNING/);
});

test('accounts are imported from standard input', async () => {
  const { output, code } = await bramble(['account', 'import', '-'], {
    input: '{"name":"imp-1"}\n{"name":"imp-2","instance":"nine"}\n',
  });
  assert.equal(code, exitCode.ok);
  assert.match(output, /1 account was created, 1 skipped/);
  assert.match(output, /imp-2 {4}unknown-instance/);
});

test('status, components, features, budget, deliveries, events, policies, services, instances, credentials and tokens print', async () => {
  for (const argv of [
    ['status'],
    ['component', 'list'],
    ['features'],
    ['budget', 'show'],
    ['budget', 'set', 'perInstance=9'],
    ['deliveries'],
    ['events'],
    ['policy', 'list'],
    ['policy', 'rules'],
    ['policy', 'set', 'Strict', '--rule', 'passwordRequired=true'],
    ['policy', 'set', 'Strict', '--keep', '--rule', 'passwordMinimumLength=8'],
    ['policy', 'show', 'Strict'],
    ['policy', 'assign', 'Strict', '--group', 'sales'],
    ['service', 'set', 'IPPP', '{"matchDomains":["corp.example.org"]}'],
    ['service', 'list'],
    ['instance', 'list'],
    ['instance', 'add', 'three'],
    ['connection-service', 'add', 'mds-1', '--instances', 'one', '--allow', 'mail.example.org:993'],
    ['connection-service', 'set', 'mds-1', '--instances', 'one,three'],
    ['connection-service', 'set', 'mds-1', '--instance', 'one'],
    ['connection-service', 'list'],
    ['srp', 'list'],
    ['token', 'list'],
    ['device', 'list'],
    ['push'],
    ['move', 'status'],
  ]) {
    const { code, output, errors } = await bramble(argv);
    assert.equal(code, exitCode.ok, `${argv.join(' ')}: ${errors}`);
    assert.notEqual(output.trim(), '');
  }
  assert.match((await bramble(['token', 'list'])).output, /^NAME +ROLE +GROUPS +CREATED +ENDS +REVOKED$/m);
  const { output } = await bramble(['policy', 'show', 'Strict', '--json']);
  assert.deepEqual(JSON.parse(output).rules, { passwordRequired: true, passwordMinimumLength: 8 });
});

test('a batch of moves is started, watched until it is over, and shown with its skipped accounts', async () => {
  await bramble(['account', 'create', 'mo', '--instance', 'one']);
  const started = await bramble(['--json', 'move', 'start', '--account', 'mo', 'ghost', '--to', 'two']);
  const { batch, skipped } = JSON.parse(started.output);
  assert.deepEqual(skipped, [{ account: 'ghost', reason: 'not-found' }]);
  assert.match((await bramble(['move', 'status', batch])).output, /^moved .*0\/1 {2}0 %\nsettled .*0\/1 {2}0 %/m);
  assert.match((await bramble(['move', 'status'])).output, / SETTLED {2}OPEN /);
  await admin.db`update account_move set state = 'closed' where batch_id = ${batch}`;
  await admin.db`update move_batch set state = 'done' where id = ${batch}`;
  const watched = await bramble(['move', 'status', batch, '--watch']);
  assert.match(watched.output, /settled .*1\/1 {2}100 %/);
});

test('an address without a scheme is taken as HTTP, and what is no address says what one looks like', async () => {
  const { host } = new URL(admin.url);
  assert.equal((await bramble(['--url', host, 'features'])).code, exitCode.ok);
  assert.equal((await bramble(['--url', ` ${host} , http://127.0.0.1:1/`, 'features'])).code, exitCode.ok);
  for (const wrong of ['', 'ftp://127.0.0.1', `${admin.url}/api/v1`, 'two words', 'http://user@127.0.0.1']) {
    const { code, errors } = await bramble(['--url', wrong, 'features']);
    assert.equal(code, exitCode.usage, wrong);
    assert.match(errors, /give host:port.*ERR_ADMIN_ADDRESS/);
  }
});

test('a service that is alive but slow is waited for, also beside one that never answers', async () => {
  const waiting = Promise.withResolvers<void>();
  const slow = createServer(async (_request, response) => {
    await waiting.promise;
    response.end('{}');
  });
  const frozen = createServer(() => undefined);
  const urls = await Promise.all(
    [frozen, slow].map(async (server) => {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    }),
  );
  try {
    const onWaiting = (text: string) => {
      assert.match(text, /^Waiting for an administration service at http/);
      waiting.resolve();
    };
    const client = createCommandClient({ urls, token: 'any' }, { onWaiting });
    assert.deepEqual(await client.send(domainOperations.status, {}), {});
  } finally {
    for (const server of [frozen, slow]) {
      server.closeAllConnections();
      server.close();
    }
  }
});

test('of several addresses the first that answers is taken, also one that was announced in BRAMBLE_HOME', async () => {
  const silent = createServer((_request, response) => response.writeHead(500).end());
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const deaf = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  try {
    const several = await bramble(['--url', `http://127.0.0.1:1,${deaf},${admin.url}`, 'features']);
    assert.equal(several.code, exitCode.ok, several.errors);
    await writeFile(join(admin.home, 'admin.json'), JSON.stringify({ url: 'http://127.0.0.1:1', token: admin.token }));
    await mkdir(join(admin.home, 'administration'));
    await writeFile(
      join(admin.home, 'administration', 'admin-2.json'),
      JSON.stringify({ url: admin.url, processId: process.pid }),
    );
    const found = await bramble(['features'], { environment: { BRAMBLE_HOME: admin.home } });
    assert.equal(found.code, exitCode.ok, found.errors);
  } finally {
    await new Promise((resolve) => silent.close(resolve));
  }
});
