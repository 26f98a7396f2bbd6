/**
 * A holder follows the domain authority: what it trusts, and the bridges behind its own certificate, in its credential file; and
 * it asks for another credential when another authority issues. Invariant: what it trusts follows from its file and the domain's
 * signed statements alone.
 */
import { X509Certificate } from 'node:crypto';
import { type Bell, createBell } from '../base/bell.ts';
import { type Clock, systemClock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { takeTurns } from '../base/turns.ts';
import { lateLookMs, ringAtChanges } from '../database/change-notices.ts';
import type { Database } from '../database/connection.ts';
import { readCredential, type SrpCredential } from '../link/credential.ts';
import { certificatesIn, issuerAmong, pemOf, type Trust } from '../link/trusted-authorities.ts';
import type { ComponentContext } from './component-process.ts';
import { changeCredential } from './credential-file.ts';
import { type CredentialRenewal, keepCredentialFresh } from './credential-upkeep.ts';
import type { SrpLinks } from './srp-links.ts';

interface AuthorityFollowing {
  context: Pick<ComponentContext<unknown>, 'environment' | 'log'> & { db: Database };
  identifier: string;
  /** What follows from the domain's statements for who trusts these. */
  trust: (domainAuthorityPem: string) => Promise<Trust>;
  links: Pick<SrpLinks, 'reread'>;
  /** Rung when another authority issues than that of the credential. */
  renewal: Pick<Bell, 'ring'>;
  signal: AbortSignal;
  clock?: Pick<Clock, 'sleep'>;
}

/** Both: what it trusts, and its credential. Until the signal is aborted. */
export async function keepCredential(
  options: Omit<AuthorityFollowing & CredentialRenewal, 'renewal' | 'bell' | 'clock'>,
): Promise<void> {
  const bell = createBell();
  await Promise.all([followAuthorities({ ...options, renewal: bell }), keepCredentialFresh({ ...options, bell })]);
}

/** After a failure. */
const soonMs = 2000;

async function followAuthorities(following: AuthorityFollowing): Promise<void> {
  const { context, signal, clock = systemClock } = following;
  const bell = createBell(clock);
  const listening = await ringAtChanges(context.db, ['authority_statement'], bell);
  let rungFor: string | null = null;
  await takeTurns(bell, signal, async () => {
    try {
      const wanted = await followOnce(following);
      if (wanted !== null && wanted !== rungFor) following.renewal.ring();
      rungFor = wanted;
      return lateLookMs;
    } catch (error) {
      if (!signal.aborted)
        context.log.warn({ reason: messageOf(error) }, 'the domain’s authorities could not be followed; will retry');
      return soonMs;
    }
  });
  await listening.unlisten();
}

/** @returns the authority that issues, if the credential is of another */
async function followOnce({ context, identifier, trust, links }: AuthorityFollowing): Promise<string | null> {
  const { home } = context.environment;
  const { domainAuthorityPem: roots } = await readCredential(home, identifier);
  const following = await trust(roots);
  const { authorities, issues } = following;
  if (issues === null) return null;
  // The domain's answer takes its time: a successor may be in the file by now.
  const { credential, isChanged } = await changeCredential(home, identifier, (present) => {
    if (present.domainAuthorityPem !== roots) throw new TypeError('its credential was replaced meanwhile');
    return inLineWith(present, following);
  });
  if (isChanged)
    context.log.info({ identifier, authorities: authorities.length }, 'the trusted domain authorities have changed');
  await links.reread();
  return issuerAmong(new X509Certificate(credential.certificatePem), authorities) === issues ? null : issues;
}

/** The same certificate, with the bridges behind it, and what its holder trusts; null if they are in the file. */
function inLineWith(
  present: SrpCredential,
  { authorities, bridges }: Trust,
): Pick<SrpCredential, 'certificatePem' | 'domainAuthorityPem'> | null {
  const { raw } = new X509Certificate(present.certificatePem);
  const certificatePem = pemOf([raw, ...bridges]);
  const domainAuthorityPem = pemOf(authorities);
  const isInLine =
    domainAuthorityPem === pemOf(certificatesIn(present.domainAuthorityPem)) &&
    certificatePem === pemOf(certificatesIn(present.certificatePem));
  return isInLine ? null : { certificatePem, domainAuthorityPem };
}
