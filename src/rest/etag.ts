/**
 * Nobody overwrites what he has not seen: what was shown with an ETag is changed only if it still has that one, where the
 * change names it (`If-Match`).
 *
 * Invariant: the row is locked before its revision is compared, so nobody changes it in between; a change without `If-Match` is
 * carried out as ever.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { BrambleError } from '../base/errors.ts';
import { fieldError } from '../base/field-error.ts';
import type { Queryable, Transaction } from '../database/connection.ts';

/** What has revisions, by table, and the column that it is found by. */
const keys = {
  account_group: 'name',
  it_policy: 'name',
  service: 'type',
  notice_target: 'name',
  notice_mail_server: null,
  connection_service: 'name',
  openid_provider: 'name',
  setting: 'key',
} as const;

/** One of them; of a table with one row without a key. */
interface Revised {
  readonly table: keyof typeof keys;
  readonly key?: string;
}

/** Before the thing itself is read: an ETag may be older than what it comes with, never newer. */
export async function answerEtag(q: Queryable, reply: FastifyReply, revised: Revised): Promise<void> {
  reply.header('etag', await etagOf(q, revised, false));
}

/** @throws BrambleError ERR_STALE */
export async function refuseStale(
  tx: Transaction,
  { headers }: Pick<FastifyRequest, 'headers'>,
  revised: Revised,
): Promise<void> {
  const wanted = expectedTags(headers);
  if (wanted === null || wanted.includes(await etagOf(tx, revised, true))) return;
  throw new BrambleError(
    'ERR_STALE',
    'It was changed or deleted after it was shown with this ETag. Nothing was changed: read it again, and decide anew.',
  );
}

/**
 * For a change of what has no ETag.
 * @throws BrambleError ERR_STALE, as no condition can hold
 */
export function refuseCondition({ headers }: Pick<FastifyRequest, 'headers'>): void {
  if (expectedTags(headers) === null) return;
  throw new BrambleError('ERR_STALE', 'What this changes has no ETag, so If-Match cannot hold: leave it out.');
}

export function etagOfRevision(revision: number): string {
  return `"${revision}"`;
}

/** Of what is not there, or was never set: 0. */
async function etagOf(q: Queryable, { table, key }: Revised, locked: boolean): Promise<string> {
  const column = keys[table];
  const [row] = await q<{ revision: number }[]>`
    select revision::float8 as revision from ${q(table)}
     where ${column === null ? q`true` : q`${q(column)} = ${key ?? ''}`} ${locked ? q`for no key update` : q``}`;
  return etagOfRevision(row?.revision ?? 0);
}

/** Those of `If-Match`; null for none, and for `*`: what is not there is refused anyway. */
function expectedTags(headers: FastifyRequest['headers']): readonly string[] | null {
  const text = headers['if-match']?.trim();
  if (text === undefined || text === '*') return null;
  // Weak ones never match here, by the RFC.
  const tag = /(?:W\/)?"[\x21\x23-\x7e]*"/;
  if (!new RegExp(`^${tag.source}(?:\\s*,\\s*${tag.source}){0,20}$`).test(text))
    throw fieldError('headers', 'if-match', 'must be an ETag as it was answered, with its quotation marks');
  return text.split(',').map((one) => one.trim());
}
