/**
 * What signing in needs of the process that serves it, and how a request with a session's cookie becomes an actor. On
 * either side of the release fence.
 */
import { eventStream } from '../../api/event-stream.ts';
import { unattendedHeader } from '../../api/sign-in.ts';
import { BrambleError, isBrambleError } from '../../base/errors.ts';
import type { Database, Transaction } from '../../database/connection.ts';
import type { MasterKeys } from '../../database/sealed-value.ts';
import type { Actor } from '../actor.ts';
import type { Stated } from '../audited-request.ts';
import type { KnownCredentials } from '../rate-limits.ts';
import { rightsOfRole } from '../roles.ts';
import type { Cookies } from './cookies.ts';
import { type Asking, assertOwnPage } from './own-pages.ts';
import type { Passwords } from './password.ts';
import { findSession, noteUse } from './sessions.ts';

export interface SignInDesk {
  readonly db: Database;
  readonly cookies: Cookies;
  readonly passwords: Passwords;
  readonly known: KnownCredentials;
  /** Open what is sealed of second factors. */
  masterKeys(): Promise<MasterKeys>;
  readonly release: string;
  readonly service: 'administration' | 'coordinator';
  /** Name of the component. */
  readonly component: string;
  /** Runs a recorded write. @param as such as who does it, where the request is of nobody yet */
  write<Result>(work: (tx: Transaction) => Promise<Result>, as?: Stated): Promise<Result>;
  /** The same for what is no change of the domain: not recorded. */
  note<Result>(work: (tx: Transaction) => Promise<Result>): Promise<Result>;
  /** Where people can sign in elsewhere, while the schema knows administrators. */
  openidProviders(): Promise<readonly { readonly name: string; readonly title: string }[]>;
  /** Whether the schema knows administrators: during an upgrade it may be that of an earlier release. */
  isOpen(): Promise<boolean>;
}

/**
 * Whose session's cookie the request carries; undefined if none.
 * @throws BrambleError ERR_ORIGIN, ERR_SESSION_ENDED
 */
export async function actorOfCookie(desk: SignInDesk, request: Asking): Promise<Actor | undefined> {
  const secret = desk.cookies.read(request, 'session');
  if (secret === undefined || !(await desk.isOpen())) return undefined;
  assertOwnPage(request);
  const found = await findSession(desk.db, secret);
  if (found === undefined) {
    throw new BrambleError('ERR_SESSION_ENDED', 'The session has ended. Sign in again.');
  }
  if (found.unseen && isAttended(request)) await noteUnlessFenced(desk, found.id);
  return {
    kind: 'administrator',
    id: found.administratorId,
    name: found.name,
    rights: found.owes === null ? rightsOfRole(found.role, found.roleRights, found.groups !== null) : new Set(),
    groups: found.groups,
    session: found.id,
    provenAt: found.provenAt,
    owes: found.owes,
  };
}

/** A stream is opened, and opened again, by the page; and so is much else, as the page itself says. */
function isAttended({ headers }: Asking): boolean {
  return headers[unattendedHeader] === undefined && headers.accept?.includes(eventStream) !== true;
}

/** What may be read behind the fence is read, although nothing is written there. */
async function noteUnlessFenced(desk: SignInDesk, session: string): Promise<void> {
  try {
    await desk.note((tx) => noteUse(tx, session));
  } catch (error) {
    if (!isBrambleError(error) || error.code !== 'ERR_RELEASE_FENCED') throw error;
  }
}
