import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { credentialPath } from '../link/credential.ts';
import { createTestAuthority, issueTestCredential } from '../link/link-fixture.ts';
import { silentLogger } from '../process/log/logger.ts';
import { keepCredentialFresh } from './credential-upkeep.ts';

const home = await mkdtemp(join(tmpdir(), 'credential-upkeep-'));
after(async () => await rm(home, { recursive: true, force: true }));

test('a credential that was not renewed is tried again before it ends, and every hour while there is time', async () => {
  const credential = await issueTestCredential(await createTestAuthority('domain'), 'S11111111', 1);
  const path = credentialPath(home, credential.identifier);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, JSON.stringify(credential));
  const endsAt = new X509Certificate(credential.certificatePem).validToDate.getTime();
  const minute = 60_000;
  const restOf = async (leftMinutes: number) => {
    const ending = new AbortController();
    let restMs = 0;
    await keepCredentialFresh({
      context: { environment: { home }, log: silentLogger } as never,
      identifier: credential.identifier,
      isDue: async () => true,
      links: { reread: async () => undefined },
      renew: async () => {
        throw new Error('no administration service is at work');
      },
      signal: ending.signal,
      clock: {
        now: () => endsAt - leftMinutes * minute,
        sleep: async (durationMs) => {
          restMs = durationMs;
          ending.abort();
        },
      },
    });
    return restMs / minute;
  };
  assert.deepEqual(
    [await restOf(30 * 1440), await restOf(60), await restOf(4), await restOf(1), await restOf(-1)],
    [60, 15, 1, 1, 60],
  );
});
