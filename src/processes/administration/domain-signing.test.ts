/** What an administration service signs by itself, on a real database, and who can read what it signs with. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, test } from 'node:test';
import * as z from 'zod';
import { openDatabase } from '../../database/connection.ts';
import { readRoleCredentials, urlForRole } from '../../database/roles/role-credentials.ts';
import { establishRoles } from '../../database/roles/role-setup.ts';
import { sqlState } from '../../database/sql-state.ts';
import {
  loadAuthority,
  loadDomainAuthority,
  loadInstanceAuthorities,
  loadRouteSigner,
} from '../../domain/authorities.ts';
import { clearSrpIdentifier, readSignedRevocationList } from '../../instances/srp-credential-store.ts';
import { revocationListShape } from '../../link/messages.ts';
import { openEnvelope, openRoutes, signRoutes } from '../../link/signed-envelope.ts';
import { startAdministration } from './administration-fixture.ts';
import { signForDomain } from './domain-signing.ts';

const admin = await startAdministration();
after(async () => await admin.close());
const { db, context } = admin;
const authorityKey = async () =>
  new X509Certificate((await loadDomainAuthority(db, context.masterKeys)).certificateDer).publicKey;
const insufficientPrivilege = '42501';

test('the revocation list is signed at the beginning, and again when it has risen, not otherwise', async () => {
  assert.equal(await readSignedRevocationList(db), undefined);
  await signForDomain(context);
  const first = await readSignedRevocationList(db);
  assert.equal(first?.number, 0);
  await signForDomain(context);
  assert.deepEqual(await readSignedRevocationList(db), first);

  const [instance] = await db<{ identifier: string }[]>`select srp_identifier as identifier from instance limit 1`;
  const cleared = await db.begin((tx) => clearSrpIdentifier(tx, instance?.identifier ?? ''));
  assert(cleared.kind === 'cleared');
  await signForDomain(context);
  const second = await readSignedRevocationList(db);
  assert.equal(second?.number, cleared.number);
  const list = openEnvelope(second?.envelope, revocationListShape, await authorityKey());
  assert.deepEqual(
    [list.number, list.cleared.map(({ identifier }) => identifier)],
    [cleared.number, [instance?.identifier]],
  );
});

test('a service of another release signs nothing', async () => {
  await db`delete from revocation_list`;
  await assert.rejects(signForDomain({ ...context, release: '99.0.0' }), { code: 'ERR_RELEASE_FENCED' });
  assert.equal(await readSignedRevocationList(db), undefined);
});

test('an instance reads what it works with, and neither it nor a connection service the domain authority’s key', async () => {
  await establishRoles(admin.databaseUrl, admin.home);
  const credentials = await readRoleCredentials(admin.home);
  for (const role of ['server', 'connection'] as const) {
    const own = openDatabase(urlForRole(admin.databaseUrl, credentials.get(role)), { applicationName: 'test', max: 1 });
    await assert.rejects(
      loadDomainAuthority(own, context.masterKeys),
      (error) => sqlState(error) === insufficientPrivilege,
      role,
    );
    if (role === 'server') {
      await loadInstanceAuthorities(own, context.masterKeys);
      assert.equal(await loadAuthority(own, context.masterKeys, 'domain'), undefined);
      const { signer, name } = await loadRouteSigner(own, context.masterKeys);
      assert.equal(name, 'route-signer');
      const answer = signRoutes({ n: 1 }, signer.privateKeyPem, signer.certificateDer);
      assert.deepEqual(
        openRoutes(answer, z.object({ n: z.number() }), await authorityKey(), () => false),
        { n: 1 },
      );
    }
    await own.end();
  }
});
