/**
 * A sign-in of several steps, kept between them for the browser that began it. Invariant: only that browser goes on with it, within
 * its time, and with as many tries as it has.
 */
import { newId } from '../../base/ids.ts';
import type { Queryable } from '../../database/connection.ts';
import { newSecret, secretDigest } from './secrets.ts';

type StepKind = 'second-factor' | 'passkey' | 'new-passkey';

const stepMinutes = 5;
const stepTries = 3;

/** What the browser's cookie is to hold. */
export async function beginStep(q: Queryable, kind: StepKind, administratorId: string | null): Promise<string> {
  const secret = newSecret();
  await q`
    insert into sign_in_challenge (id, kind, administrator_id, browser, expires_at)
    values (${newId<string>()}, ${kind}, ${administratorId}, ${secretDigest(secret)},
            now() + make_interval(mins => ${stepMinutes}))`;
  return secret;
}

interface TakenStep {
  id: string;
  /** Null where he is not known yet. */
  administratorId: string | null;
  /** His. */
  name: string | null;
}

/** Takes a try of it. */
export async function takeStep(q: Queryable, kind: StepKind, secret: string): Promise<TakenStep | undefined> {
  const [row] = await q<TakenStep[]>`
    update sign_in_challenge c set tries = c.tries + 1
     where c.browser = ${secretDigest(secret)} and c.kind = ${kind} and c.expires_at > now()
       and c.tries < ${stepTries}
    returning c.id, c.administrator_id as "administratorId",
              (select a.name from administrator a where a.id = c.administrator_id and a.state = 'active') as name`;
  return row;
}

/** @returns whether it was still there: of two that end it at once, one does */
export async function endStep(q: Queryable, id: string): Promise<boolean> {
  const { count } = await q`delete from sign_in_challenge where id = ${id}`;
  return count === 1;
}
