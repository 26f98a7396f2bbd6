/** The mail server's password, sealed again when the master key is rotated. One row. */
import { type SealedPlace, sealedAgain } from '../database/sealed-place.ts';
import { type MailServer, passwordPlace } from './mail-server.ts';

interface Row extends Pick<MailServer, 'host' | 'username'> {
  ciphertext: Buffer;
  keyId: string;
}

export const sealedMailPassword: SealedPlace = {
  name: 'notice_mail_server.password',
  recorded: true,
  count: async (q) =>
    await q<{ keyId: string; count: number }[]>`
      select key_id as "keyId", count(*)::int as count from notice_mail_server where password is not null group by 1`,
  sealAgain: async (tx, keys) => {
    const rows = await tx<Row[]>`
      select host, username, password as ciphertext, key_id as "keyId" from notice_mail_server
       where password is not null and key_id <> ${keys.current}`;
    for (const row of rows) {
      const { ciphertext, keyId } = sealedAgain(keys, passwordPlace(row), row);
      await tx`
        update notice_mail_server set password = ${ciphertext}, key_id = ${keyId} where password = ${row.ciphertext}`;
    }
    return null;
  },
};
