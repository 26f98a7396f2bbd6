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
  await insertStep(q, secret, { kind, administratorId, data: {}, minutes: stepMinutes });
  return secret;
}

/** At a provider there may be more to do than to type six digits. */
const awayMinutes = 10;

/** The same for a sign-in that goes on elsewhere first. @param data nothing secret */
export async function beginAway(q: Queryable, secret: string, data: NewStep['data']): Promise<void> {
  await insertStep(q, secret, { kind: 'openid', administratorId: null, data, minutes: awayMinutes });
}

/** Of two that come back at once, one does. @returns its data */
export async function endAway(q: Queryable, secret: string): Promise<{ data: unknown; begunAt: Date } | undefined> {
  const [row] = await q<{ data: unknown; begunAt: Date }[]>`
    delete from sign_in_challenge
     where browser = ${secretDigest(secret)} and kind = 'openid' and expires_at > now()
    returning data, expires_at - make_interval(mins => ${awayMinutes}) as "begunAt"`;
  return row;
}

interface NewStep {
  kind: StepKind | 'openid';
  administratorId: string | null;
  data: Readonly<Record<string, unknown>>;
  minutes: number;
}

async function insertStep(q: Queryable, secret: string, step: NewStep): Promise<void> {
  const { kind, administratorId, data, minutes } = step;
  await q`
    insert into sign_in_challenge (id, kind, administrator_id, browser, data, expires_at)
    values (${newId<string>()}, ${kind}, ${administratorId}, ${secretDigest(secret)}, ${q.json(data as never)},
            now() + make_interval(mins => ${minutes}))`;
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
