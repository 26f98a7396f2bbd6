/** Where notices are sent to, as administrators set it. */
import { randomUUID } from 'node:crypto';
import type { NewTarget, NoticeKind, TargetView } from '../api/notices.ts';
import { BrambleError } from '../base/errors.ts';
import type { Queryable, SqlFragment, Transaction } from '../database/connection.ts';
import type { MasterKeys } from '../database/sealed-value.ts';
import type { TellableTarget } from './outbox.ts';
import { openWebhook, sealWebhook } from './sealed-webhook.ts';
import { type Webhook, webhookAddress, withKey } from './webhook.ts';

/** Each takes at most one session of the network at a time. */
const maxTargets = 32;

/** Returns its name. @throws BrambleError ERR_INPUT, ERR_NAME_TAKEN, or ERR_CONFLICT when there are too many */
export async function addTarget(tx: Transaction, keys: MasterKeys, given: NewTarget): Promise<string> {
  const id = randomUUID();
  const target = given.channel === 'webhook' ? webhookTarget(keys, id, given) : mailTarget(given);
  const [present] = await tx<{ count: number }[]>`select count(*)::int as count from notice_target`;
  if ((present?.count ?? 0) >= maxTargets) {
    throw new BrambleError('ERR_CONFLICT', `There are ${maxTargets} targets already: remove one first.`);
  }
  const { count } = await tx`
    insert into notice_target (id, name, channel, addresses, kinds, sealed, key_id)
    values (${id}, ${target.name}, ${given.channel}, ${target.addresses as string[]},
            ${given.kinds as string[] | null}, ${target.sealed}, ${target.keyId})
    on conflict (name) do nothing`;
  if (count === 0) {
    throw new BrambleError('ERR_NAME_TAKEN', `A target named ${target.name} already exists. Choose another name.`);
  }
  // What began before it was there, and still holds.
  await tx`
    insert into notice (target_id, at, kind, subject, message)
    select ${id}, c.told_at, c.kind, c.subject, c.message from notice_condition c
     where c.told_at is not null and (${given.kinds === null} or notice_kind(c.kind) = any(${given.kinds ?? []}::text[]))
     order by c.told_at`;
  return target.name;
}

function webhookTarget(keys: MasterKeys, id: string, given: Extract<NewTarget, { channel: 'webhook' }>) {
  const { url, address, host } = webhookAddress(given.url);
  const webhook: Webhook = { url, key: given.key, ...(given.caPem === undefined ? {} : { caPem: given.caPem }) };
  return { name: given.name ?? host, addresses: [address], ...sealWebhook(keys, id, webhook) };
}

function mailTarget({ name, addresses }: Extract<NewTarget, { channel: 'mail' }>) {
  return { name: name ?? addresses[0] ?? '', addresses, sealed: null, keyId: null };
}

/** What waits for it already is sent nevertheless. */
export async function changeKinds(
  tx: Transaction,
  name: string,
  kinds: readonly NoticeKind[] | null,
): Promise<'changed' | 'not-found'> {
  const { count } = await tx`update notice_target set kinds = ${kinds as string[] | null} where name = ${name}`;
  return count === 0 ? 'not-found' : 'changed';
}

/** The row is locked meanwhile: a rotation of the master key seals it again. @throws BrambleError ERR_STATE if it has no key */
export async function changeKey(
  tx: Transaction,
  keys: MasterKeys,
  name: string,
  key: string,
): Promise<'changed' | 'not-found'> {
  const [row] = await tx<{ id: string; sealed: Buffer | null; keyId: string | null }[]>`
    select id, sealed, key_id as "keyId" from notice_target where name = ${name} for update`;
  if (row === undefined) return 'not-found';
  const { id, sealed, keyId } = row;
  if (sealed === null || keyId === null) {
    throw new BrambleError('ERR_STATE', `The target ${name} is not a webhook: what is sent to it is not signed.`);
  }
  const changed = sealWebhook(keys, id, withKey(openWebhook(keys, id, sealed, keyId), key, new Date()));
  await tx`update notice_target set sealed = ${changed.sealed}, key_id = ${changed.keyId} where id = ${id}`;
  return 'changed';
}

/** What is still to be sent to it goes, too. */
export async function removeTarget(tx: Transaction, name: string): Promise<'removed' | 'not-found'> {
  const [removed] = await tx<{ id: string }[]>`delete from notice_target where name = ${name} returning id`;
  if (removed === undefined) return 'not-found';
  await tx`delete from notice where target_id = ${removed.id}`;
  return 'removed';
}

export async function listTargets(q: Queryable): Promise<TargetView[]> {
  return await q<TargetView[]>`select ${shownColumns(q)} from notice_target t order by t.name`;
}

export async function readTarget(q: Queryable, name: string): Promise<TargetView | undefined> {
  const [row] = await q<TargetView[]>`select ${shownColumns(q)} from notice_target t where t.name = ${name}`;
  return row;
}

/** For a test notice: without a claim, since nothing of the outbox is sent. */
export async function readTellableTarget(q: Queryable, name: string): Promise<TellableTarget | undefined> {
  const [row] = await q<TellableTarget[]>`
    select id, name, channel, addresses, sealed, key_id as "keyId" from notice_target where name = ${name}`;
  return row;
}

function shownColumns(q: Queryable): SqlFragment {
  return q`
    t.name, t.channel, t.addresses, t.kinds, t.failures, t.last_error as "lastError", t.last_error_at as "lastErrorAt",
    t.retry_at as "retryAt", t.last_sent_at as "lastSentAt", t.dropped::float8 as dropped, t.revision::float8 as revision,
    (select count(*)::int from notice n where n.target_id = t.id) as waiting`;
}
