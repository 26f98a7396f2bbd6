/** One attempt at telling a target, on its channel. */
import { messageOf } from '../base/errors.ts';
import type { NameLookups } from '../base/name-lookups.ts';
import type { Database } from '../database/connection.ts';
import type { MasterKeys } from '../database/sealed-value.ts';
import { readDomain } from '../domain/domain.ts';
import { sendMail } from './mail.ts';
import { readMailServer } from './mail-server.ts';
import type { Notice, Telling } from './notice.ts';
import type { TellableTarget } from './outbox.ts';
import { openWebhook } from './sealed-webhook.ts';
import { postWebhook } from './webhook.ts';

export type Teller = (
  told: { readonly target: TellableTarget; readonly notice: Notice },
  signal: AbortSignal,
) => Promise<Telling>;

/** Rejects only when the signal is aborted. */
export function teller({
  db,
  masterKeys,
  names,
}: {
  db: Database;
  masterKeys: MasterKeys;
  names: NameLookups;
}): Teller {
  return async ({ target, notice }, signal) => {
    try {
      const { name: domain } = await readDomain(db);
      const { id, sealed, keyId } = target;
      if (target.channel === 'webhook' && sealed !== null && keyId !== null) {
        const find = (name: string, until: AbortSignal) => names(name, id, until);
        return await postWebhook(openWebhook(masterKeys, id, sealed, keyId), notice, domain, { signal, find });
      }
      if (target.channel === 'mail') {
        const server = await readMailServer(db, masterKeys);
        if (server === undefined)
          return { kind: 'failed', answer: 'no mail server is set: `bramble notice mail-server set`' };
        return await sendMail(server, target.addresses, notice, domain, { signal });
      }
      return { kind: 'failed', answer: `this release has no channel ${target.channel}` };
    } catch (error) {
      signal.throwIfAborted();
      return { kind: 'failed', answer: messageOf(error) };
    }
  };
}
