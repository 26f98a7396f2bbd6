/**
 * What a reversal must not do: a token that may do little, or has ended, must not become one that may do everything because the
 * release before looks at it.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { masterKeyPath } from '../../src/component/master-key-ring.ts';
import { announcedAddresses } from '../../src/component/service-address.ts';
import { writeMasterKeys } from '../../src/database/sealed-value.ts';
import { startAdministration } from '../../src/processes/administration/administration-fixture.ts';
import { installArchive } from '../../src/release/archive.ts';
import { programName } from '../../src/release/manifest.ts';
import { until } from '../../src/testing/condition.ts';
import { exitWithin } from '../../src/testing/process.ts';
import { sealedArchive } from '../harness/archives.ts';

const admin = await startAdministration();
after(async () => await admin.close());

test('after a reversal, the sealed release refuses every token with a role', { timeout: 120_000 }, async () => {
  const tokens: Record<string, string> = { first: admin.token };
  const make = async (name: string, body: object = {}) => {
    const made = await admin.call('POST', '/tokens', { name, ...body });
    assert.equal(made.status, 201);
    tokens[name] = (made.body as { token: string }).token;
  };
  await admin.call('POST', '/roles', { name: 'own', rights: ['accounts.read'] });
  await make('legacy');
  await make('everything', { role: 'security' });
  await make('limited', { role: 'own' });
  await make('ending', { role: 'junior-helpdesk', expiresAt: new Date(Date.now() + 3_600_000).toISOString() });

  const { file, release } = await sealedArchive();
  await admin.db`update domain set release = ${release}, feature_level = ${release}`;
  await mkdir(join(admin.home, 'keys'));
  await writeMasterKeys(masterKeyPath(admin.home), admin.context.masterKeys);
  const program = join(await installArchive(file, { home: admin.home }), programName);
  const service = spawn(process.execPath, [program, 'run', 'administration'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...process.env,
      BRAMBLE_HOME: admin.home,
      BRAMBLE_HOST: 'test-host',
      BRAMBLE_COMPONENT: 'administration-1',
      BRAMBLE_LOG_LEVEL: 'error',
      DATABASE_URL: admin.databaseUrl,
    },
  });
  after(() => service.kill('SIGKILL'));
  let url: string | undefined;
  await until('the sealed release answers', 60_000, async () => {
    assert.equal(service.exitCode, null);
    [url] = await announcedAddresses(admin.home);
    return url !== undefined;
  });

  const accepted = async (token: string) => {
    const response = await fetch(`${url}/api/v1/accounts`, { headers: { authorization: `Bearer ${token}` } });
    return response.status === 200;
  };
  const answers = await Promise.all(Object.entries(tokens).map(async ([name, token]) => [name, await accepted(token)]));
  assert.deepEqual(Object.fromEntries(answers), {
    ...{ first: true, legacy: true },
    ...{ everything: false, limited: false, ending: false },
  });
  service.kill('SIGTERM');
  await exitWithin(service, 60_000, 'the service of the sealed release');
});
