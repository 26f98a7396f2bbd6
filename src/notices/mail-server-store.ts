/** The mail server as administrators set and see it. */
import type { MailServerView, NewMailServer } from '../api/notices.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import { type MasterKeys, sealValue } from '../database/sealed-value.ts';
import { passwordPlace, readStoredMailServer, refuseOpenPassword } from './mail-server.ts';

/** The present password stays if none is given and it is for the same host and user name. @throws BrambleError ERR_INPUT */
export async function setMailServer(tx: Transaction, keys: MasterKeys, given: NewMailServer): Promise<void> {
  const present = await readStoredMailServer(tx);
  const isSame = present !== undefined && passwordPlace(present) === passwordPlace(given);
  const kept = isSame && given.username !== null ? present : { password: null, keyId: null };
  const sealed =
    given.password === undefined ? undefined : sealValue(keys, passwordPlace(given), Buffer.from(given.password));
  const [password, keyId] = sealed === undefined ? [kept.password, kept.keyId] : [sealed.ciphertext, sealed.keyId];
  refuseOpenPassword(given, password !== null);
  const { host, port, security, sender, username, caPem } = given;
  await tx`
    insert into notice_mail_server (host, port, security, sender, username, password, key_id, ca_pem)
    values (${host}, ${port}, ${security}, ${sender}, ${username}, ${password}, ${keyId}, ${caPem})
    on conflict (singleton) do update
       set host = excluded.host, port = excluded.port, security = excluded.security, sender = excluded.sender,
           username = excluded.username, password = excluded.password, key_id = excluded.key_id, ca_pem = excluded.ca_pem,
           updated_at = now()`;
}

export async function removeMailServer(tx: Transaction): Promise<'removed' | 'not-found'> {
  const { count } = await tx`delete from notice_mail_server`;
  return count === 0 ? 'not-found' : 'removed';
}

export async function shownMailServer(q: Queryable): Promise<MailServerView | null> {
  const stored = await readStoredMailServer(q);
  if (stored === undefined) return null;
  const { password, keyId: _, ...server } = stored;
  return { ...server, hasPassword: password !== null };
}
