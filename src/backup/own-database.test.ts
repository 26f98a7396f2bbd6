/** As whom backups enter the database of a home. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { writeRoleCredentials } from '../database/roles/role-credentials.ts';
import type { DatabaseRole } from '../database/roles/role-rights.ts';
import { ownDatabase } from './own-database.ts';

const folder = await mkdtemp(join(tmpdir(), 'bramble-own-database-'));
after(async () => await rm(folder, { recursive: true, force: true }));

async function homeWith(...roles: readonly DatabaseRole[]): Promise<string> {
  const home = await mkdtemp(join(folder, 'home-'));
  const configuration = {
    database: { url: 'postgres://ada@db.example/bramble' },
    host: 'berlin',
    publicPort: 1,
    srpPort: 2,
  };
  await writeFile(join(home, 'config.json'), JSON.stringify(configuration));
  await writeRoleCredentials(home, new Map(roles.map((role) => [role, { user: role, password: 'p' }])));
  return home;
}

test('with roles, as the coordinator; without, as the address says', async () => {
  assert.equal(
    (await ownDatabase(await homeWith('server', 'coordinator'))).url,
    'postgres://coordinator:p@db.example/bramble',
  );
  assert.deepEqual(await ownDatabase(await homeWith()), { url: 'postgres://ada@db.example/bramble', host: 'berlin' });
});

test('a host that joined without the roles of administration is told where backups are made', async () => {
  await assert.rejects(ownDatabase(await homeWith('supervisor', 'server', 'connection')), {
    code: 'ERR_DATABASE_ROLE',
    message: /berlin joined without.*first host.*host invite --administration/,
  });
});
