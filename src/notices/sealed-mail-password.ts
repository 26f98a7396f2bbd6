/** The mail server's password, sealed again when the master key is rotated. */
import { sealedColumn } from '../database/sealed-place.ts';
import { type MailServer, passwordPlace } from './mail-server.ts';

export const sealedMailPassword = sealedColumn<Pick<MailServer, 'host' | 'username'>>({
  table: 'notice_mail_server',
  column: 'password',
  keyId: 'key_id',
  recorded: true,
  boundTo: ['host', 'username'],
  place: passwordPlace,
});
