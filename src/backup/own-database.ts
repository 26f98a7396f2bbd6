/** The domain's database for what copies or changes all of it: as the tables' owner. */
import { BrambleError } from '../base/errors.ts';
import { readRoleCredentials, urlForRole } from '../database/roles/role-credentials.ts';
import { homeDatabase } from '../setup/home-database.ts';

/**
 * Where each kind of process has its own role, the one in `config.json` need have no rights at all. The coordinator's may
 * assume the owner's.
 * @throws BrambleError as {@link homeDatabase}, ERR_DATABASE_ROLE on a host that joined without these roles
 */
export async function ownDatabase(home: string): Promise<{ url: string; host: string }> {
  const { url, embedded, host } = await homeDatabase(home);
  if (embedded) return { url, host };
  const credentials = await readRoleCredentials(home);
  const coordinator = credentials.get('coordinator');
  if (coordinator !== undefined || credentials.size === 0) return { url: urlForRole(url, coordinator), host };
  throw new BrambleError(
    'ERR_DATABASE_ROLE',
    `The host ${host} joined without the database roles of administration, and backups need them: they read every table. Run this on ` +
      'the domain’s first host, or on one that was invited with `bramble host invite --administration`.',
  );
}
