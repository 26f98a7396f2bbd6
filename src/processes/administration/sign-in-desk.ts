/** Sign-in at an administration service: what it notes and writes is under the release lock. */
import { offeredProviders } from '../../access/openid/provider-store.ts';
import { KnownCredentials } from '../../access/rate-limits.ts';
import { cookiesOf } from '../../access/sign-in/cookies.ts';
import type { SignInDesk } from '../../access/sign-in/desk.ts';
import { createPasswords } from '../../access/sign-in/password.ts';
import { administrationTransaction } from '../../database/release-lock.ts';
import { readDomain } from '../../domain/domain.ts';
import { type AdministrationContext, write } from './context.ts';

export async function signInDesk(context: AdministrationContext): Promise<SignInDesk> {
  const { db, release, name } = context;
  const { domainId } = await readDomain(db);
  return {
    ...{ db, release, service: 'administration', component: name },
    cookies: cookiesOf(domainId),
    passwords: createPasswords(),
    known: new KnownCredentials(),
    masterKeys: () => Promise.resolve(context.masterKeys),
    write: (work, as) => write(context, work, as),
    note: (work) => administrationTransaction(db, release, work),
    openidProviders: () => offeredProviders(db),
    isOpen: () => Promise.resolve(true),
  };
}
