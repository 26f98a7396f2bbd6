/**
 * The first SRP credential of a process on a host that joined: requested with the host's key, written to the home, and from
 * then on renewed like any other. Where the file is there already, or the host did not join, nothing happens.
 */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { readPresent } from '../base/present-file.ts';
import type { Database } from '../database/connection.ts';
import { writeWholeFile } from '../database/whole-file.ts';
import { requestFirstCredential } from '../instances/credential-renewal.ts';
import { credentialPath } from '../link/credential.ts';
import { pemOf } from '../link/trusted-authorities.ts';
import { readHostKey } from './host-key.ts';
import { hostTrust } from './host-trust.ts';

interface Holder {
  db: Database;
  home: string;
  host: string;
  identifier: string;
}

/** Waits until an administration service has answered. @throws BrambleError ERR_SRP_RENEWAL */
export async function ensureCredential({ db, home, host, identifier }: Holder, signal: AbortSignal): Promise<void> {
  const path = credentialPath(home, identifier);
  if ((await readPresent(path)) !== null) return;
  const key = await readHostKey(home);
  if (key === null) return;
  const { authorities } = await hostTrust(db, key);
  const joined = { name: host, privateKeyPem: key.privateKeyPem, domainAuthorityPem: pemOf(authorities) };
  const credential = await requestFirstCredential(db, identifier, joined, signal);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeWholeFile(path, `${JSON.stringify(credential, null, 2)}\n`, 'w');
}
