/**
 * Nobody overwrites what he has not seen: what was shown with an ETag is changed only if it still has that one, where the
 * change names it (`If-Match`). And nobody is sent again what he has (`If-None-Match`).
 *
 * An ETag is a revision, a dot, and a digest of the answer. The revision says whether somebody changed the thing, the digest also whether
 * something else that is shown with it changed. `If-Match` takes the revision alone too, as lists have it.
 *
 * Invariant: the row is locked before its revision is compared, so nobody changes it in between; a change without `If-Match` is
 * carried out as ever.
 */
import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
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
  if (wanted !== null && !wanted.includes(await etagOf(tx, revised, true))) throw stale();
}

/**
 * The same for what has no revision of its own: the members that it is changed by stand for one.
 * @param read locks it, and reads it as it is shown
 * @throws BrambleError ERR_STALE
 */
export async function refuseChanged(
  { headers }: Pick<FastifyRequest, 'headers'>,
  members: readonly string[],
  read: () => Promise<object | undefined>,
): Promise<void> {
  const wanted = expectedTags(headers);
  if (wanted === null) return;
  const found = await read();
  if (found === undefined || !wanted.includes(etagOfMembers(members, found))) throw stale();
}

function stale(): BrambleError {
  return new BrambleError(
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

/** Of what is as it is shown. */
export function etagOfMembers(members: readonly string[], shown: object): string {
  const values = members.map((member) => (shown as Readonly<Record<string, unknown>>)[member] ?? null);
  return `"${digestOf(JSON.stringify(values))}"`;
}

/** Completes ETags of what is shown, and answers 304 to who has it. Call it before the routes are registered. */
export function answerUnchanged(app: FastifyInstance): void {
  app.addHook('onSend', async ({ method, headers }, reply, payload) => {
    const revision = reply.getHeader('etag');
    const isShown = (method === 'GET' || method === 'HEAD') && reply.statusCode === 200;
    if (!isShown || typeof revision !== 'string' || typeof payload !== 'string') return payload;
    const etag = `${revision.slice(0, -1)}.${digestOf(payload)}"`;
    reply.header('etag', etag);
    if (method !== 'GET' || !isKnown(headers['if-none-match'], etag)) return payload;
    reply.status(304).removeHeader('content-type');
    return null;
  });
}

/** By weak comparison, as the RFC has it; what is no list of ETags names none. */
function isKnown(named: string | undefined, etag: string): boolean {
  return (named ?? '').split(',').some((one) => ['*', etag, `W/${etag}`].includes(one.trim()));
}

/** Short, as it is compared only with what the thing was before. */
function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 22);
}

/** Of what is not there, or was never set: 0. */
async function etagOf(q: Queryable, { table, key }: Revised, locked: boolean): Promise<string> {
  const column = keys[table];
  const [row] = await q<{ revision: number }[]>`
    select revision::float8 as revision from ${q(table)}
     where ${column === null ? q`true` : q`${q(column)} = ${key ?? ''}`} ${locked ? q`for no key update` : q``}`;
  return etagOfRevision(row?.revision ?? 0);
}

/** The revisions in `If-Match`; null for none, and for `*`: what is not there is refused anyway. */
function expectedTags(headers: FastifyRequest['headers']): readonly string[] | null {
  const text = headers['if-match']?.trim();
  if (text === undefined || text === '*') return null;
  // Weak ones never match here, by the RFC.
  const tag = /(?:W\/)?"[\x21\x23-\x7e]*"/;
  if (!new RegExp(`^${tag.source}(?:\\s*,\\s*${tag.source}){0,20}$`).test(text))
    throw fieldError('headers', 'if-match', 'must be an ETag as it was answered, with its quotation marks');
  return text.split(',').map((one) => one.trim().replace(/\.[\w-]*"$/, '"'));
}
