/**
 * Somebody is told, by a domain of real processes: a webhook and a mail server of their own programs' making. And a copy of the
 * domain, which is started to try a backup, tells nobody.
 */
import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startMailReceiver } from '../../src/notices/mail-receiver-fixture.ts';
import { startWebhookReceiver } from '../../src/notices/webhook-receiver-fixture.ts';
import { until } from '../../src/testing/condition.ts';
import { patchedArchive, workingTreeArchive } from '../harness/archives.ts';
import { isAnswering, type RunningDomain, startDomain } from '../harness/domain.ts';
import { startUpgrade, untilUpgrade } from '../harness/upgrade.ts';

const mailUser = { name: 'bramble', password: 'smtp password' };

describe('a domain that tells somebody', { timeout: 600_000 }, () => {
  let folder: string;
  let domain: RunningDomain;
  let release: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bramble-notices-'));
    await chmod(folder, 0o711);
    const { file, ...built } = await workingTreeArchive();
    release = built.release;
    domain = await startDomain({ archive: file, instances: 1 });
  });
  after(async () => {
    await domain?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function bramble(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await domain.command(...args);
    assert.equal(code, 0, stderr);
    return stdout;
  }
  const addHook = async (url: string, name: string) =>
    await bramble('notice', 'add', 'webhook', url, '--name', name, '--key-file', join(folder, `${name}.key`));

  test('a host that falls silent is told by webhook and mail, and again when it is heard of', async () => {
    const hook = await startWebhookReceiver();
    const mail = await startMailReceiver({ secure: true }, mailUser);
    await addHook(hook.url, 'hook');
    await bramble('notice', 'add', 'mail', 'ops@example.org', '--name', 'ops', '--kinds', 'host-lost');
    const [password, ca] = [join(folder, 'password'), join(folder, 'ca.pem')];
    await writeFile(password, `${mailUser.password}\n`);
    await writeFile(ca, mail.caPem);
    await bramble(
      ...['notice', 'mail-server', 'set', '127.0.0.1', '--port', String(mail.port), '--security', 'tls', '--ca', ca],
      ...['--sender', 'bramble@example.org', '--user', mailUser.name, '--password-file', password],
    );
    assert.equal(await bramble('notice', 'test', 'ops'), 'delivered: 250 taken\n');

    await domain.sql`
      insert into desired_process (name, kind, host, release, state, settings)
      select 'west', 'server', 'far-host', release, 'running', '{}' from domain`;
    await domain.sql`
      insert into supervisor (host, release, process_id, node_version, postgres_server, seen_at)
      select 'far-host', release, 1, '26', '18', now() - interval '10 minutes' from domain`;
    const told = (kind: string) =>
      hook.received.some(({ json }) => json.type === kind && json.data.subject === 'far-host');
    await until('it is seen for the first time', 60_000, async () => {
      const seen = await domain.sql`
        update notice_condition set since = since - interval '1 minute' where kind = 'host-lost' and subject = 'far-host'
        returning 1`;
      return seen.length === 1;
    });
    await until('it is told', 180_000, () => told('host.lost') && mail.received.length === 2);
    assert.match(mail.received[1]?.text ?? '', /^Subject: \[Bramble Example\] host-lost far-host\r$/m);
    const elsewhere = hook.received.filter(({ json }) => json.type === 'host.lost' && json.data.subject !== 'far-host');
    assert.deepEqual(elsewhere, [], 'the host that works is not missed');

    await domain.sql`update desired_process set state = 'stopped' where name = 'west'`;
    await until('its end is told', 180_000, () => told('host.back') && mail.received.length === 3);
    for (const name of ['hook', 'ops']) await bramble('notice', 'remove', name);
  });

  test('while no administration service is at work, the coordinator of an upgrade tells that it paused, and the rest', async () => {
    const hook = await startWebhookReceiver();
    await addHook(hook.url, 'upgrade');
    const [major = 0, minor = 0, patch = 0] = release.split('.').map(Number);
    await startUpgrade(domain, await patchedArchive(`${major}.${minor}.${patch + 1}`), { soakSeconds: 3600 });
    await untilUpgrade(domain, ['moving'], { timeoutMs: 280_000 });
    await bramble('upgrade', 'pause');
    const told = (kind: string) => hook.received.some(({ json }) => json.type === kind);
    await until('the pause is told', 60_000, () => told('upgrade.paused'));

    await domain.sql`update desired_process set state = 'stopped' where kind = 'administration'`;
    await until('no administration service is left', 120_000, async () => {
      const alive = await domain.sql`
        select 1 from component where kind = 'administration' and stopped_at is null and lease_until > now()`;
      return alive.length === 0;
    });
    await domain.sql`insert into event (kind, message) values ('backup-failed', 'the disk was full')`;
    await until('the coordinator tells', 60_000, () => told('backup.failed'));
    await domain.sql`update desired_process set state = 'running' where kind = 'administration'`;
    await until('it is back', 120_000, () => isAnswering(domain));
    await bramble('notice', 'remove', 'upgrade');
    await bramble('upgrade', 'reverse');
    await untilUpgrade(domain, ['reversed'], { timeoutMs: 280_000 });
  });

  test('a backup that fails is told; a copy that is started to try a backup sends nothing of what waits in it', async () => {
    const hook = await startWebhookReceiver();
    hook.answer = (response) => void response.writeHead(503).end();
    await addHook(hook.url, 'copied');
    const passphrase = join(folder, 'passphrase');
    await writeFile(passphrase, 'correct horse battery staple\n');
    const secret = ['--passphrase-file', passphrase];
    const failed = await domain.command('backup', 'create', '--to', join(folder, 'missing'), ...secret);
    assert.match(failed.stderr, /ERR_BACKUP/);
    await until('it waits', 60_000, async () => (await bramble('notice', 'list')).includes('503 Service Unavailable'));
    assert.match(hook.received[0]?.json.data.message ?? '', /^A backup that .* was making on .* failed: .*missing/);
    const { file } = JSON.parse(await bramble('backup', 'create', '--to', folder, ...secret, '--json')) as {
      file: string;
    };

    await bramble('notice', 'remove', 'copied');
    hook.received.length = 0;
    await bramble('backup', 'verify', file, ...secret);
    assert.deepEqual(hook.received, []);
  });
});
