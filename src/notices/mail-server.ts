/**
 * The server that mail is handed to. Invariant: its password is sealed for this host and user name, so whoever points the
 * row elsewhere, in the database or with a token, does not have it sent there.
 */
import type { MailServerView, NewMailServer } from '../api/notices.ts';
import { fieldError } from '../base/field-error.ts';
import { isOwnHost } from '../base/own-host.ts';
import type { Queryable } from '../database/connection.ts';
import { type MasterKeys, openValue } from '../database/sealed-value.ts';

export interface MailServer extends Omit<MailServerView, 'hasPassword'> {
  password: string | null;
}

type StoredMailServer = Omit<MailServer, 'password'> & { password: Buffer | null; keyId: string | null };

/** Opens the password. @throws BrambleError ERR_MASTER_KEY or ERR_SEALED_VALUE when it cannot be opened */
export async function readMailServer(q: Queryable, keys: MasterKeys): Promise<MailServer | undefined> {
  const stored = await readStoredMailServer(q);
  if (stored === undefined) return undefined;
  const { password, keyId, ...server } = stored;
  const isSealed = password !== null && keyId !== null;
  return { ...server, password: isSealed ? openValue(keys, passwordPlace(server), password, keyId).toString() : null };
}

export async function readStoredMailServer(q: Queryable): Promise<StoredMailServer | undefined> {
  const [row] = await q<StoredMailServer[]>`
    select host, port, security, sender, username, password, key_id as "keyId", ca_pem as "caPem"
      from notice_mail_server`;
  return row;
}

export function passwordPlace({ host, username }: Pick<MailServer, 'host' | 'username'>): string {
  return `notice_mail_server/${host}/${username ?? ''}/password`;
}

/** @throws BrambleError ERR_INPUT for a password that would be sent in the clear, or is for nobody */
export function refuseOpenPassword({ host, security, username }: NewMailServer, hasPassword: boolean): void {
  if (hasPassword && username === null)
    throw fieldError('body', 'username', 'is missing: a password needs a user name');
  if (username !== null && !hasPassword) {
    throw fieldError('body', 'password', 'is missing: there is none for this host and user name yet');
  }
  if (hasPassword && security === 'none' && !isOwnHost(host)) {
    throw fieldError('body', 'security', 'must be tls or starttls: the password would be sent in the clear');
  }
}
