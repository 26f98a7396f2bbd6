import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { credentialPath, readCredential } from '../link/credential.ts';
import { createTestAuthority, issueTestCredential } from '../link/link-fixture.ts';
import { authorityFingerprint, certificatesIn, type Trust } from '../link/trusted-authorities.ts';
import { silentLogger } from '../process/log/logger.ts';
import { keepCredential } from './authority-following.ts';

const home = await mkdtemp(join(tmpdir(), 'authority-following-'));
const db = openDatabase((await createTestDatabase()).url, { applicationName: 'authority-following', max: 2 });
after(async () => {
  await db.end({ timeout: 1 });
  await rm(home, { recursive: true, force: true });
});

test('a credential that is renewed while the domain says whom to trust keeps the key of its certificate', async () => {
  const [former, next] = await Promise.all([createTestAuthority('former'), createTestAuthority('next')]);
  const [present, fresh] = await Promise.all([former, next].map((of) => issueTestCredential(of, 'S11111111', 1)));
  assert.ok(present && fresh);
  const { identifier } = present;
  const path = credentialPath(home, identifier);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, JSON.stringify(present));
  const authorities = [next, former].flatMap(({ certificatePem }) => certificatesIn(certificatePem));
  const [issuing] = authorities;
  assert.ok(issuing);
  const answer: Trust = { number: 1, authorities, issues: authorityFingerprint(issuing), bridges: [] };
  const [asked, renewed, followed] = [0, 1, 2].map(() => Promise.withResolvers<void>());
  assert.ok(asked && renewed && followed);
  const reread = [renewed, followed];
  const ending = new AbortController();
  const kept = keepCredential({
    context: { environment: { home }, log: silentLogger, db } as never,
    identifier,
    trust: async () => {
      asked.resolve();
      await renewed.promise;
      return answer;
    },
    isDue: async ({ certificatePem }) => certificatePem === present.certificatePem,
    renew: async () => {
      await asked.promise;
      return fresh;
    },
    links: { reread: async () => reread.shift()?.resolve() },
    signal: ending.signal,
  });
  await followed.promise;
  ending.abort();
  await kept;
  const { certificatePem, privateKeyPem, domainAuthorityPem } = await readCredential(home, identifier);
  const certificate = new X509Certificate(certificatePem);
  assert.equal(certificate.fingerprint256, new X509Certificate(fresh.certificatePem).fingerprint256);
  assert.ok(certificate.checkPrivateKey(createPrivateKey(privateKeyPem)), 'the key is the certificate’s');
  assert.deepEqual(certificatesIn(domainAuthorityPem), authorities);
});
