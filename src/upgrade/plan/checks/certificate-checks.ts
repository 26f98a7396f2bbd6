/** The check for certificates that would end while the upgrade is at work, or shortly after. */
import { counted } from '../../../base/counted.ts';
import { dayText } from '../../../base/time-text.ts';
import { countEndingIdentities } from '../../../devices/ending-identities.ts';
import { type CertificateEnd, certificateName, listCertificateEnds } from '../../../routers/certificate-ends.ts';
import { type CheckOptions, type Finding, passed, warning } from './check.ts';

/**
 * An upgrade of many accounts takes days, and soaks. What renews itself has done so by then: SRP credentials begin with 30 days
 * left, and are tried until they end.
 */
const soonDays = { authority: 30, router: 30, 'further-router': 30, srp: 20 } as const satisfies Record<
  CertificateEnd['kind'],
  number
>;
const identitySoonDays = 30;
const seenWithinDays = 7;
const dayMs = 86_400_000;

export async function checkCertificates({
  db,
  home,
  host,
}: Pick<CheckOptions, 'db' | 'home' | 'host'>): Promise<Finding> {
  const now = Date.now();
  const ends = await listCertificateEnds(db, { home, host });
  const soon = ends.filter(({ kind, endsAt }) => endsAt.getTime() - now < soonDays[kind] * dayMs);
  const identities = await countEndingIdentities(db, { withinDays: identitySoonDays, seenWithinDays });
  const found = [
    ...soon.map((end) => `${certificateName(end)} (${dayText(end.endsAt)})`),
    ...(identities.seen === 0 ? [] : [`identities of ${counted(identities.seen, 'device')} that connected lately`]),
  ];
  if (found.length > 0) {
    return warning(
      `These certificates end soon: ${found.join(', ')}. \`bramble status\` says what renews each; renew them first, since ` +
        'a component or device whose certificate ends in the middle of an upgrade is not reached by it.',
    );
  }
  const away =
    identities.ending === 0
      ? ''
      : `; identities of ${counted(identities.ending, 'device')} that did not connect for ${seenWithinDays} days do`;
  return passed(`no certificate of the domain, of its routers or of its devices ends soon${away}`);
}
