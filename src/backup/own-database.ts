/** The domain's database for what copies or changes all of it: as the tables' owner. */
import { readRoleCredentials, urlForRole } from '../database/roles/role-credentials.ts';
import { homeDatabase } from '../setup/home-database.ts';

/**
 * Where each kind of process has its own role, the one in `config.json` need have no rights at all. The coordinator's may
 * assume the owner's.
 * @throws BrambleError as {@link homeDatabase}, ERR_DATABASE_ROLE
 */
export async function ownDatabase(home: string): Promise<{ url: string; host: string }> {
  const { url, embedded, host } = await homeDatabase(home);
  if (embedded) return { url, host };
  return { url: urlForRole(url, (await readRoleCredentials(home)).get('coordinator')), host };
}
