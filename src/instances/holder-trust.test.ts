/** What a holder trusts after the statements that the domain has stored. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { insertStatement } from '../domain/other-domain-authority.ts';
import { createTestAuthority } from '../link/link-fixture.ts';
import { signEnvelope } from '../link/signed-envelope.ts';
import { authorityFingerprint } from '../link/trusted-authorities.ts';
import { trustOf } from './holder-trust.ts';

test('who was away for any number of rollovers trusts the last authority', { timeout: 60_000 }, async (t) => {
  const { url } = await createTestDatabase();
  const db = openDatabase(url, { applicationName: 'test', max: 1 });
  t.after(() => db.end({ timeout: 5 }));
  const [first, last] = [await createTestAuthority('First'), await createTestAuthority('Last')];
  const der = new X509Certificate(last.certificatePem).raw;
  for (let number = 1; number <= 99; number++) {
    const statement = { purpose: 'trusted domain authorities', number, bridges: [], trusted: [der.toString('base64')] };
    const signer = number === 1 ? first : last;
    await insertStatement(db, number, signEnvelope({ ...statement, issues: authorityFingerprint(der) }, signer.key));
  }
  const { number, authorities } = await trustOf(db, first.certificatePem);
  assert.deepEqual([number, authorities.map(authorityFingerprint)], [99, [authorityFingerprint(der)]]);
});
