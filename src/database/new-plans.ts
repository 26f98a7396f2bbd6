/**
 * Plans for tables as they have become. A session keeps the plan of a statement until PostgreSQL has analysed the table anew, some
 * minutes after it has grown: one that was made while a table was small reads it from end to end, however large it is by then
 * (docs/adr/0035).
 */
import type { Database } from './connection.ts';
import { renewSessions } from './session.ts';

/** What is sent from now on is planned anew. Cheap: sessions are opened when they are needed. */
export function planAnew(db: Database): void {
  const renew = Reflect.get(db, renewSessions) as (() => void) | undefined;
  if (renew === undefined) throw new TypeError('not a pool of sessions');
  renew();
}
