/**
 * A change that may be sent again: with an idempotency key, the same request of the same administrator is carried out once,
 * and answered the same for a day.
 *
 * Invariants: the key is written in the transaction of the change, so there is none without the other. Two services that get
 * the same request at once meet in the key's row: the second waits, and then answers what the first did. What was asked is
 * kept in no form that the master key does not seal: it may be a password that can be guessed from a digest.
 */
import { createHash } from 'node:crypto';
import { deserialize, serialize } from 'node:v8';
import type { FastifyRequest } from 'fastify';
import { BrambleError } from '../base/errors.ts';
import { fieldError } from '../base/field-error.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import { hasTable } from '../database/has-table.ts';
import { sealedColumn } from '../database/sealed-place.ts';
import { type MasterKeys, openValue, sealValue } from '../database/sealed-value.ts';
import { actorOf } from './actor.ts';

/** What keeps keys: a service whose schema has the table. */
export interface KeyKeeper {
  readonly masterKeys: MasterKeys;
  readonly release: string;
}

/** A request that carries a key. */
export interface KeyedRequest {
  readonly actor: string;
  readonly key: string;
  readonly operation: string;
  /** SHA-256 of what was asked, for as long as the request is in memory. */
  readonly digest: Buffer;
}

/** As long as a client may come back with a request. */
const keptHours = 24;
const keyForm = /^[\x21-\x7e]{1,200}$/;

/**
 * The key of a request that changes something; null where it has none.
 * @throws BrambleError ERR_INPUT for a key that is none, or where what is sent is a stream, which nobody can compare
 */
export function keyedRequest(request: FastifyRequest, operation: string): KeyedRequest | null {
  const { method, url, headers, body, routeOptions } = request;
  const given = headers['idempotency-key'];
  // Of a password not even a digest is kept; and who signs in anew is answered anew.
  const takesPassword = request.actor === null || routeOptions.config.takesPassword === true;
  if (given === undefined || method === 'GET' || takesPassword) return null;
  const key = /^"(.*)"$/.exec(String(given))?.[1] ?? String(given);
  if (!keyForm.test(key)) throw refused('must be 1 to 200 visible ASCII characters');
  if (routeOptions.schema?.consumes !== undefined) throw refused('cannot be taken with a stream');
  const { kind, id } = actorOf(request);
  const asked = JSON.stringify([method, url, headers['if-match'] ?? null, body ?? null]);
  return { actor: `${kind} ${id}`, key, operation, digest: createHash('sha256').update(asked).digest() };
}

function refused(why: string): BrambleError {
  return fieldError('headers', 'idempotency-key', why);
}

/**
 * Does the work of the request's transaction of this number, or returns what it did when it was asked for before.
 * @throws BrambleError ERR_IDEMPOTENCY_KEY when the key was used for something else; ERR_CONFLICT when what was done cannot be
 *   told again
 */
export async function once<Result>(
  tx: Transaction,
  keeper: KeyKeeper,
  { actor, key, operation, digest }: KeyedRequest,
  step: number,
  work: () => Promise<Result>,
): Promise<Result> {
  const own = { actor, key, step };
  // Asked before anything is written: a transaction that only answers again leaves no record in the audit.
  const earlier = (await findDone(tx, own)) ?? (await claim());
  if (earlier !== undefined) return told(keeper, placeOf(own), earlier, digest) as Result;
  const result = await work();
  const { ciphertext, keyId } = sealValue(keeper.masterKeys, placeOf(own), Buffer.concat([digest, serialize(result)]));
  await tx`
    update idempotency_key set answer = ${ciphertext}, key_id = ${keyId}
     where actor = ${actor} and key = ${key} and step = ${step}`;
  return result;

  /** Waits for whoever is at it. */
  async function claim(): Promise<Done | undefined> {
    const { count } = await tx`
      insert into idempotency_key as k (actor, key, step, operation, release)
      values (${actor}, ${key}, ${step}, ${operation}, ${keeper.release})
      on conflict (actor, key, step) do update
         set operation = excluded.operation, release = excluded.release, answer = null, key_id = null, created_at = now()
       where ${isOver(tx, tx`k.created_at`)}`;
    return count === 1 ? undefined : await findDone(tx, own);
  }
}

function isOver(q: Queryable, createdAt = q`created_at`) {
  return q`${createdAt} < now() - make_interval(hours => ${keptHours})`;
}

interface Done {
  readonly operation: string;
  readonly release: string;
  /** Null only within the transaction that claimed the key: of any other it is seen with its answer, or not at all. */
  readonly answer: Buffer | null;
  readonly keyId: string | null;
}

async function findDone(tx: Transaction, { actor, key, step }: AnswerKey): Promise<Done | undefined> {
  const [row] = await tx<Done[]>`
    select operation, release, answer, key_id as "keyId" from idempotency_key
     where actor = ${actor} and key = ${key} and step = ${step} and not ${isOver(tx)}`;
  return row;
}

function told(keeper: KeyKeeper, place: string, done: Done, digest: Buffer): unknown {
  const kept = opened(keeper, place, done);
  if (kept !== undefined && !kept.subarray(0, digest.length).equals(digest)) {
    throw new BrambleError(
      'ERR_IDEMPOTENCY_KEY',
      `This idempotency key was used for another request (${done.operation}). Nothing was changed: make a key for each request.`,
    );
  }
  try {
    if (kept !== undefined && done.release === keeper.release) return deserialize(kept.subarray(digest.length));
  } catch {
    // Said below.
  }
  throw new BrambleError(
    'ERR_CONFLICT',
    `${kept === undefined ? 'A request with this idempotency key' : 'This request'} was carried out before, by release ${done.release} ` +
      `(${done.operation}), and its answer cannot be repeated. Look at what it made.`,
  );
}

/** The digest of what was asked, then what was answered; undefined where this service cannot tell. */
function opened({ masterKeys }: KeyKeeper, place: string, { answer, keyId }: Done): Buffer | undefined {
  try {
    return answer === null || keyId === null ? undefined : openValue(masterKeys, place, answer, keyId);
  } catch {
    return undefined;
  }
}

/** @returns how many were removed */
export async function forgetOldKeys(tx: Transaction, limit: number): Promise<number> {
  const { count } = await tx`
    delete from idempotency_key where ctid in (
      select ctid from idempotency_key where ${isOver(tx)} limit ${limit})`;
  return count;
}

/** In a restored domain, whose schema may be one before: what they told of may not be there. */
export async function forgetAllKeys(q: Queryable): Promise<void> {
  if (await hasTable(q, 'idempotency_key')) await q`delete from idempotency_key`;
}

interface AnswerKey {
  actor: string;
  key: string;
  step: number;
}

function placeOf({ actor, key, step }: AnswerKey): string {
  return `idempotency_key/${actor}/${step}/${key}/answer`;
}

/** Sealed again when the master key is rotated. */
export const sealedAnswers = sealedColumn<AnswerKey>({
  table: 'idempotency_key',
  column: 'answer',
  keyId: 'key_id',
  recorded: false,
  boundTo: ['actor', 'key', 'step'],
  place: placeOf,
});
