/** The audit over REST: every operation of the API walked, and nothing secret in what is recorded. */

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { addAgedRecords, tamper } from '../../access/audit/aged-audit-fixture.ts';
import { accountOperations } from '../../api/accounts.ts';
import { clientOf } from '../../api/client-fixture.ts';
import { newId } from '../../base/ids.ts';
import { masterKeyPath } from '../../component/master-key-ring.ts';
import { stopOwnCluster, useOwnCluster } from '../../database/database-fixture.ts';
import { writeMasterKeys } from '../../database/sealed-value.ts';
import { seedCommand, seedDevice } from '../../devices/device-fixture.ts';
import { formatRotation } from '../../release/signature.ts';
import { testSigner } from '../../release/signed-archive-fixture.ts';
import { configureForHosts, registerTestRouter, startAdministration } from './administration-fixture.ts';
import { write } from './context.ts';
import { walkOpenid } from './openid-walk-fixture.ts';
import { pushSettingsStore } from './push-settings-store.ts';
import { walkSignIn } from './sign-in-walk-fixture.ts';

// Records are sealed once no transaction of the whole cluster is older.
useOwnCluster();
const admin = await startAdministration();
after(async () => await admin.close());
after(stopOwnCluster);

interface Entry {
  id: string;
  number: number | null;
  kind: string;
  actor: string | null;
  operation: string;
  subjects: string[];
  requestId: string | null;
  detail: { from?: Record<string, string> };
  changes: { operation: string; subjects: string[]; detail: { changes?: Record<string, unknown>[] } }[];
}
async function listed(query = ''): Promise<{ entries: Entry[]; next: string | null }> {
  const { status, body } = await admin.call('GET', `/audit${query}`);
  assert.equal(status, 200);
  return body as { entries: Entry[]; next: string | null };
}

test('a change is recorded with who, from where, what, before and after, and the request id that was answered', async () => {
  await admin.call('POST', '/accounts', { name: 'Grace', displayName: 'Grace H.', instance: 'one' });
  await admin.call('POST', '/it-policies', { name: 'tight', rules: { passwordMinimumLength: 6 } });
  const response = await fetch(`${admin.url}/api/v1/it-policies/tight`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${admin.token}`, 'content-type': 'application/json', 'user-agent': 'curl/8' },
    body: JSON.stringify({ rules: { passwordMinimumLength: 8 } }),
  });
  assert.equal(response.status, 200);
  const [entry] = (await listed('?limit=1')).entries;
  assert.ok(entry);
  assert.equal(entry.requestId, response.headers.get('x-request-id'));
  assert.deepEqual(
    [entry.kind, entry.actor, entry.operation, entry.subjects],
    ['operation', 'first', 'PUT /it-policies/:name', ['tight']],
  );
  const [token] = await admin.db`select id from administrator_token`;
  assert.deepEqual(entry.detail.from, {
    address: '127.0.0.1',
    client: 'curl/8',
    component: 'admin-1',
    host: 'test-host',
    actorKind: 'legacy-token',
    actorId: token?.['id'],
  });
  const [change] = entry.changes;
  assert.deepEqual(change?.detail.changes?.[0]?.['rules'], [
    { passwordMinimumLength: 6 },
    { passwordMinimumLength: 8 },
  ]);
});

test('what is refused or broken off changes nothing and is not recorded', async () => {
  const before = (await listed('?limit=1')).entries[0]?.id;
  assert.equal((await admin.call('POST', '/it-policies', { name: 'tight' })).status, 409);
  assert.equal((await admin.call('DELETE', '/accounts/nobody')).status, 404);
  assert.equal((await admin.call('POST', '/it-policies', { name: 'x', rules: { nonsense: 1 } })).status, 400);
  assert.equal((await listed('?limit=1')).entries[0]?.id, before);
});

test('what the work itself refuses is not recorded either, whatever it locked', async () => {
  await admin.call('POST', '/groups', { name: 'crew', rank: 3 });
  await admin.call('PUT', '/groups/crew/members/Grace');
  const [instance] = await admin.db<{ id: string }[]>`select id from instance where name = 'one'`;
  const { deviceId } = await seedDevice(admin.db, (instance?.id ?? '') as never, 'gone-device');
  await admin.db`update device set state = 'gone' where id = ${deviceId}`;
  await notRecorded('PUT', '/groups/nogroup/members/Grace');
  await notRecorded('POST', '/groups', { name: 'crew' });
  await notRecorded('POST', '/groups', { name: 'other', rank: 3 });
  await notRecorded('POST', '/accounts', { name: 'Grace' });
  await notRecorded('POST', '/accounts', { name: 'Hopper', groups: ['crew', 'nogroup'] });
  await notRecorded('POST', `/devices/${deviceId}/commands`, { requestType: 'DeviceLock' });
  await notRecorded('DELETE', '/tokens/first');
});

test('nothing is written outside of a request', async () => {
  await assert.rejects(
    write(admin.context, async (tx) => void (await tx`delete from account`)),
    /outside of a request/,
  );
});

/** Values that were sent or answered and must stand nowhere. */
const secrets: string[] = [];
/** The same of something that does not exist: refused, and not recorded although rows may have been locked. */
async function refusedWithoutRecord(operation: string, body: unknown): Promise<void> {
  if (!operation.includes('{')) return;
  const [method = '', template = ''] = operation.split(' ');
  const path = template.replaceAll(/\{(\w+)\}/g, (_, part: string) =>
    part === 'id' || part === 'batch' ? newId() : '77777',
  );
  await notRecorded(method, path, body);
}

async function notRecorded(method: string, path: string, body?: unknown): Promise<void> {
  const newest = async () => (await listed('?limit=1')).entries[0]?.id;
  const before = await newest();
  const { status } = await admin.call(method, path, body);
  assert.ok(status >= 400 && status < 500, `${method} ${path}: ${status}`);
  assert.equal(await newest(), before, `${method} ${path} was refused and recorded`);
}

const walked = new Set<string>();

/** Each writing operation with a request that it carries out, once, and answers again to the same idempotency key. */
async function walk(): Promise<void> {
  const call = async (operation: string, path: string, body?: unknown, expected = [200, 201, 204]) => {
    if (!walked.has(operation)) await refusedWithoutRecord(operation, body);
    walked.add(operation);
    const send = async (headers: Record<string, string>) =>
      await admin.call(operation.split(' ')[0] ?? '', path, body, headers);
    const keyed = { 'idempotency-key': newId() };
    const answer = await send(keyed);
    assert.ok(expected.includes(answer.status), `${operation}: ${answer.status} ${JSON.stringify(answer.body)}`);
    const newest = (await listed('?limit=1')).entries[0]?.id;
    assert.deepEqual(await send(keyed), answer, `${operation} is answered again`);
    assert.equal((await listed('?limit=1')).entries[0]?.id, newest, `${operation} changed something again`);
    return answer.body as Record<string, string>;
  };
  const secret = (text: string | undefined): string => {
    assert.ok(text);
    secrets.push(text);
    return text;
  };
  await call('POST /accounts', '/accounts', { name: 'ada', instance: 'one' });
  secret((await call('POST /accounts/{name}/activation-password', '/accounts/ada/activation-password'))['password']);
  await call('POST /groups', '/groups', { name: 'sales', rank: 7 });
  await call('PUT /groups/{name}/members/{account}', '/groups/sales/members/ada');
  await call('POST /it-policies', '/it-policies', { name: 'p', rules: {} });
  await call('PUT /it-policies/{name}', '/it-policies/p', { rules: { passwordRequired: true } });
  await call('PUT /accounts/{name}/it-policy', '/accounts/ada/it-policy', { policy: 'p' });
  await call('PUT /groups/{name}/it-policy', '/groups/sales/it-policy', { policy: 'p' });
  await call('PUT /services/{type}', '/services/SYNC', {
    settings: { host: 'dav.example.org', username: '{account}' },
  });
  await call('DELETE /services/{type}', '/services/SYNC');
  await call('PUT /budget', '/budget', { perInstance: 11 });
  await call('PUT /push', '/push', { url: `https://u:${secret('pushPassword77')}@push.example.org` });
  await call('PATCH /push', '/push', { caPem: null });
  await call('POST /notice-targets', '/notice-targets', {
    channel: 'webhook',
    name: 'hook',
    url: `https://hooks.example.org/${secret('hook-path-66')}`,
    key: secret(`whsec_${Buffer.alloc(32, 'hook-key-55').toString('base64')}`),
  });
  await call('PATCH /notice-targets/{name}', '/notice-targets/hook', { kinds: ['host-lost'] });
  await call('PUT /notice-targets/{name}/key', '/notice-targets/hook/key', {
    key: secret(`whsec_${Buffer.alloc(32, 'hook-key-56').toString('base64')}`),
  });
  await call('DELETE /notice-targets/{name}', '/notice-targets/hook');
  await call('POST /notice-targets', '/notice-targets', {
    channel: 'mail',
    name: 'ops',
    addresses: ['ops@example.org'],
  });
  await call('PUT /mail-server', '/mail-server', {
    ...{ host: '127.0.0.1', port: 1, security: 'none', sender: 'bramble@example.org', username: 'bramble' },
    password: secret('smtp-password-44'),
  });
  await call('POST /notice-targets/{name}/test', '/notice-targets/ops/test');
  await call('DELETE /mail-server', '/mail-server');
  await admin.db`
    insert into supervisor (host, release, process_id, node_version, postgres_server)
    values ('elsewhere', '1.1.0', 1, 'v26', '18')`;
  const service = await call('POST /connection-services', '/connection-services', {
    name: 'mds',
    instances: ['one'],
    host: 'elsewhere',
  });
  await call('PATCH /connection-services/{name}', '/connection-services/mds', {
    allowedHosts: ['mail.example.org:993'],
  });
  const added = await call('POST /instances', '/instances', { name: 'three', host: 'elsewhere' });
  const issued = await call('POST /srp-credentials', '/srp-credentials', { identifier: added['srpIdentifier'] });
  for (const answer of [service, added, issued]) {
    const file = answer['credential'] as unknown as { privateKeyPem: string };
    secret(file.privateKeyPem.split('\n')[1]);
  }
  await call('DELETE /srp-credentials/{serial}', `/srp-credentials/${issued['serial']}`);
  await call('POST /srp-credentials/{identifier}/clear', `/srp-credentials/${added['srpIdentifier']}/clear`);
  await call('POST /instances/{name}/retire', '/instances/three/retire');
  secret((await call('POST /tokens', '/tokens', { name: 'second' }))['token']);
  await walkSignIn({ admin, walked, call, secret });
  await walkOpenid({ admin, walked, call, secret });
  await call('DELETE /tokens/{name}', '/tokens/second');
  await call('POST /roles', '/roles', { name: 'auditor', rights: ['audit.read'] });
  secret((await call('POST /tokens', '/tokens', { name: 'third', role: 'auditor' }))['token']);
  await call('PUT /roles/{name}', '/roles/auditor', { rights: [] });
  await call('DELETE /tokens/{name}', '/tokens/third');
  await call('DELETE /roles/{name}', '/roles/auditor');
  const [signer, next] = [testSigner(), testSigner()];
  await configureForHosts(admin);
  const invited = await call('POST /hosts', '/hosts', {
    name: 'further',
    databaseUrl: 'postgres://db.example/bramble',
  });
  secret(invited['invitation']);
  await admin.db`insert into host (name, public_key, administers) values ('further', '\\x00', true)`;
  await registerTestRouter(admin.db, 'router-1');
  const further = { name: 'router-2', host: 'further', linkHost: 'further.example.org' };
  await call('POST /routers', '/routers', further);
  await call('DELETE /routers/{name}', '/routers/router-2');
  await call('POST /hosts/{name}/drain', '/hosts/further/drain', {});
  await call('POST /administration-services', '/administration-services', { name: 'admin-9', host: 'test-host' });
  await call('POST /administration-services', '/administration-services', { name: 'admin-8', host: 'test-host' });
  await call('DELETE /administration-services/{name}', '/administration-services/admin-9');
  // It does not run, and rotating the master key would wait for it.
  await admin.db`delete from desired_process where name = 'admin-8'`;
  await call('DELETE /hosts/{name}', '/hosts/further');
  await call('PUT /release-signer', '/release-signer', { fingerprint: signer.fingerprint });
  await call('POST /release-signer/rotation', '/release-signer/rotation', {
    statements: formatRotation(next.fingerprint, signer),
  });
  await call('DELETE /release-signer', '/release-signer');

  const [instance] = await admin.db<{ id: string }[]>`select id from instance where name = 'one'`;
  const { deviceId, accountId: deviceAccount } = await seedDevice(
    admin.db,
    (instance?.id ?? '') as never,
    'with-device',
  );
  const command = await call('POST /devices/{id}/commands', `/devices/${deviceId}/commands`, {
    requestType: 'InstallProfile',
    payload: Buffer.from(secret('wifi-password-88')).toString('base64'),
  });
  await call('DELETE /commands/{id}', `/commands/${command['commandUuid']}`);
  await call('POST /devices/{id}/commands', `/devices/${deviceId}/commands`, {
    requestType: 'DeviceLock',
    pin: secret('907856'),
  });
  await call('POST /devices/{id}/resend', `/devices/${deviceId}/resend`, { item: 'it-policy' });

  const handOut = async () => await admin.db`update command set state = 'sent', sent_count = 1, sent_at = now()`;
  await handOut();
  const [lock] = await admin.db<{ id: string }[]>`select id from command where request_type = 'DeviceLock'`;
  await call('POST /commands/{id}/requeue', `/commands/${lock?.id}/requeue`);
  await handOut();
  await call('POST /devices/{id}/commands/requeue', `/devices/${deviceId}/commands/requeue`);
  const { deliveryId } = await seedCommand(admin.db, { deviceId, accountId: deviceAccount } as never, {
    budgeted: true,
    item: 'synchronization',
  });
  await handOut();
  await admin.db`update delivery set state = 'suspect', handed_out_at = now() - interval '1 day' where id = ${deliveryId}`;
  await call('POST /commands/requeue-silent', '/commands/requeue-silent', {});
  await call('DELETE /devices/{id}/commands', `/devices/${deviceId}/commands?handedOut=true`);
  await admin.db`update device set tls_required_at = now(), tls_days = 3`;
  await call('DELETE /devices/{id}/tls-identity', `/devices/${deviceId}/tls-identity`);
  await admin.db`update device set tls_required_at = now(), tls_days = 3`;
  await call('DELETE /tls-identities', '/tls-identities');
  await call('DELETE /devices/{id}', `/devices/${deviceId}?tell=false`);

  const moves = await call('POST /moves', '/moves', { accounts: ['ada'], to: 'two' });
  await call('POST /moves/{batch}/pause', `/moves/${moves['batch']}/pause`);
  await call('POST /moves/{batch}/resume', `/moves/${moves['batch']}/resume`);
  await call('POST /moves/{batch}/back', `/moves/${moves['batch']}/back`);
  await admin.db`
    insert into component (name, kind, host, boot_id, process_id, release, link_versions, features, lease_until)
    values ('gone-1', 'server', 'h', 'b', 1, '1.1.0', '{1}', '{}', now() - interval '1 hour')`;
  await call('DELETE /components/{name}', '/components/gone-1');
  await call('DELETE /groups/{name}/members/{account}', '/groups/sales/members/ada');
  await call('DELETE /groups/{name}', '/groups/sales');
  await call('DELETE /it-policies/{name}', '/it-policies/p');
  await call('DELETE /accounts/{name}', '/accounts/ada');
  // A new authority would wait for what runs.
  await admin.db`update desired_process set state = 'stopped'`;
  await admin.db`delete from component where name = 'router-1'`;
  for (const step of ['roll', 'switch', 'revert', 'switch', 'retire']) {
    await call(`POST /authorities/domain/${step}`, `/authorities/domain/${step}`);
  }
  await mkdir(join(admin.home, 'keys'), { recursive: true });
  await writeMasterKeys(masterKeyPath(admin.home), admin.context.masterKeys);
  for (const key of admin.context.masterKeys.keys.values()) secret(key.toString('base64'));
  await call('POST /master-keys/prune', '/master-keys/prune');
  await call('POST /master-keys', '/master-keys', {});
  await call('POST /authorities/device/roll', '/authorities/device/roll');
  for (const step of ['roll', 'revert', 'retire']) {
    await call(`POST /authorities/route-signer/${step}`, `/authorities/route-signer/${step}`);
  }
  await call('PUT /retention', '/retention', { sampleDays: 20 });
  await addAgedRecords(admin.db, 1, 0);
  await tamper(admin.db, "update audit_seal set sealed_at = now() - interval '60 days' where number = 1");
  const { body: found } = await admin.call('GET', `/audit/cut-place?before=${new Date().toISOString()}`);
  const { number, chain } = (found as { place: { number: number; chain: string } }).place;
  await call('POST /audit/cuts', '/audit/cuts', { number, chain });
  walked.add('POST /accounts/import');
  const lines = Array.from({ length: 60 }, (_, index) => JSON.stringify({ name: `imported-${index}` })).join('\n');
  const imported = await clientOf(admin).upload(accountOperations.import, new Blob([lines]).stream());
  assert.equal(imported.created, 60);
}

test('every operation that writes is recorded, and no secret that was sent or answered stands in the audit', async () => {
  await walk();
  const document = (await (await fetch(`${admin.url}/api/v1/openapi.json`)).json()) as {
    paths: Record<string, Record<string, unknown>>;
  };
  const writing = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods)
      .filter((method) => method !== 'get')
      .map((method) => `${method.toUpperCase()} ${path.replace('/api/v1', '')}`),
  );
  // An upgrade needs an archive and a coordinator: src/upgrade/steps/audited-upgrade.long.test.ts has these.
  // These are asked with a body, and change nothing yet.
  const elsewhere = (operation: string) =>
    operation.includes('/upgrade/') ||
    operation.endsWith('/assignment') ||
    /\/(code\/look|passkeys?\/options|sign-in\/openid)$/.test(operation);
  // An operation that is missing here is to be added to the walk, with the secrets that it takes or answers.
  assert.deepEqual([...walked].sort(), writing.filter((operation) => !elsewhere(operation)).sort());

  const recorded = new Set((await listed('?limit=500')).entries.map((entry) => entry.operation));
  const missing = [...walked].filter((operation) => !recorded.has(operation.replaceAll('{', ':').replaceAll('}', '')));
  assert.deepEqual(missing, []);

  const everything = JSON.stringify(await admin.db`select * from audit_record`);
  assert.ok(secrets.length >= 8);
  for (const secret of [...secrets, admin.token]) {
    for (const form of [secret, Buffer.from(secret).toString('base64').slice(0, -4)]) {
      assert.ok(!everything.includes(form), `${form} stands in the audit`);
    }
  }
});

test('the push certificate’s key is hidden, sealed as it is', async () => {
  const { recorded } = await import('../../access/audit/record.ts');
  const privateKeyPem = '-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n';
  const operation = { actor: 'x', operation: 'push', subjects: [], from: { component: 'x' }, when: 'wrote' } as const;
  await admin.db.begin((tx) =>
    recorded(tx, operation, () =>
      pushSettingsStore(admin.context).write(tx, {
        url: 'https://push.example.org',
        certificatePem: 'C',
        privateKeyPem,
      }),
    ),
  );
  const [stored] = await admin.db<{ sealed: string }[]>`
    select value->'privateKey'->>'ciphertext' as sealed from setting where key = 'push'`;
  const [entry] = (await listed('?operation=push&limit=1')).entries;
  const text = JSON.stringify(entry);
  assert.match(text, /push\.example\.org/);
  assert.ok(!text.includes('MIGHAgEA') && !text.includes(stored?.sealed ?? ''));
});

test('the list is filtered by who, what, subject and time, and goes on page by page', async () => {
  const by = async (query: string) => (await listed(query)).entries;
  assert.ok((await by('?actor=first&limit=500')).every((entry) => entry.actor === 'first'));
  assert.deepEqual(await by('?actor=nobody'), []);
  const ofImported = await by('?subject=imported-59');
  assert.deepEqual(
    ofImported.map((entry) => entry.operation),
    ['POST /accounts/import'],
  );
  assert.deepEqual([...new Set((await by('?operation=activation_password')).map((entry) => entry.operation))].sort(), [
    'DELETE /accounts/:name',
    'POST /accounts/:name/activation-password',
  ]);
  assert.deepEqual(await by(`?since=${new Date(Date.now() + 3_600_000).toISOString()}`), []);
  assert.deepEqual(await by(`?until=${new Date(Date.now() - 3_600_000).toISOString()}`), []);
  const all = (await by('?limit=500')).map((entry) => entry.id);
  const paged: string[] = [];
  for (let next: string | null = ''; next !== null; ) {
    const page = await listed(`?limit=7${next === '' ? '' : `&before=${next}`}`);
    paged.push(...page.entries.map((entry) => entry.id));
    next = page.next;
  }
  assert.deepEqual(paged, all);
  assert.equal((await admin.call('GET', '/audit?since=yesterday')).status, 400);
  assert.equal((await admin.call('GET', '/audit?before=x')).status, 400);
});
