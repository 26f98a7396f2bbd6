/**
 * Every expiring certificate of the domain, with what happens then. Invariant: a certificate that is not renewed
 * automatically is reported while there is time to act, and so is one whose automatic renewal did not happen.
 */
import type { AuthorityName } from '../../domain/authorities.ts';
import { certificateName, listCertificateEnds } from '../../routers/certificate-ends.ts';
import type { AdministrationContext } from './context.ts';
import { pushSettingsStore } from './push-settings-store.ts';

interface ListedCertificate {
  name: string;
  endsAt: Date;
  /** Who renews it, and when. */
  renewal: string;
  /** What to do, if anything. */
  warning: string | null;
  /** It is seen from this home alone. */
  ofHome: boolean;
}

interface Kind {
  readonly renewal: string;
  readonly warnDays: number;
  readonly todo: string;
}

const kinds = {
  'domain-authority': {
    renewal: 'by hand: `bramble authority roll domain`',
    warnDays: 2 * 365,
    todo: 'replace it with `bramble authority roll domain`: devices that have not renewed their identity by its end lose the domain',
  },
  'device-bridge': {
    renewal: 'none: it leads devices that know only the device authority before',
    warnDays: -1,
    todo: 'nothing: devices that have not renewed since cannot verify new profiles',
  },
  'domain-other': {
    renewal: 'none: the rollover ends it',
    warnDays: 0,
    todo: 'end the rollover: `bramble authority list` says what it waits for',
  },
  former: {
    renewal: 'none: it goes when no valid identity of it is left',
    warnDays: 90,
    todo: 'devices that it issued identities to have not renewed them yet: `bramble authority list` counts them',
  },
  'device-authority': {
    renewal: 'by hand: `bramble authority roll`',
    warnDays: 2 * 365,
    todo: 'replace it with `bramble authority roll`: it takes as long as it takes every device to connect',
  },
  'below-device': {
    renewal: 'with the device authority',
    warnDays: 2 * 365,
    todo: 'it expires with the device authority: replace that one with `bramble authority roll`',
  },
  'route-signer': {
    renewal: 'by hand: `bramble authority roll route-signer`, but none outlasts the domain authority',
    warnDays: 2 * 365,
    todo: 'it expires with the domain authority',
  },
  'route-signer-former': {
    renewal: 'none: `bramble authority retire route-signer` ends it',
    warnDays: 2 * 365,
    todo: 'retire it with `bramble authority retire route-signer`',
  },
  'profile-signer': {
    renewal: 'by an administration service, in the last third of its lifetime',
    warnDays: 180,
    todo: 'it should have been renewed: is an administration service running? See `bramble status`',
  },
  router: {
    renewal: 'by an administration service in its home, in the last third of its lifetime',
    warnDays: 180,
    todo: 'it should have been renewed: is an administration service running in its home? See its log',
  },
  'further-router': {
    renewal: 'by the supervisor of its host, in the last third of its lifetime',
    warnDays: 180,
    todo: 'it should have been renewed: is the supervisor of its host running, and an administration service? See their logs',
  },
  srp: {
    renewal: 'by its holder, in the last third of its lifetime',
    warnDays: 20,
    todo: 'it should have been renewed: start its holder, or run `bramble srp issue`',
  },
  push: {
    renewal: 'by hand, with the vendor account that issued it',
    warnDays: 60,
    todo: 'renew it there and set it with `bramble push --certificate`: without it no device can be woken',
  },
} as const satisfies Record<string, Kind>;

const authorityKinds: Record<AuthorityName, keyof typeof kinds> = {
  domain: 'domain-authority',
  device: 'device-authority',
  registration: 'below-device',
  'route-signer': 'route-signer',
  'profile-signer': 'profile-signer',
  'device-former': 'former',
  'registration-former': 'former',
  'route-signer-former': 'route-signer-former',
  'domain-other': 'domain-other',
  'device-bridge': 'device-bridge',
};

const dayMs = 86_400_000;

function listedCertificate(name: string, endsAt: Date, kind: keyof typeof kinds, now: Date): ListedCertificate {
  const { renewal, warnDays, todo } = kinds[kind];
  const daysLeft = Math.floor((endsAt.getTime() - now.getTime()) / dayMs);
  const when = daysLeft < 0 ? 'has expired' : `expires in ${daysLeft === 1 ? 'a day' : `${daysLeft} days`}`;
  return {
    ...{ name, endsAt, renewal, ofHome: kind === 'router' },
    warning: daysLeft > warnDays ? null : `${when}; ${todo}`,
  };
}

/** Routers of other homes than this administration service's are seen from here if their hosts joined. */
export async function listCertificates(
  context: Pick<AdministrationContext, 'db' | 'home' | 'host' | 'platforms' | 'masterKeys'>,
  now = new Date(),
): Promise<ListedCertificate[]> {
  const { db: q } = context;
  const pushSettings = pushSettingsStore(context);
  const [ends, push] = [await listCertificateEnds(q, context), await pushSettings.readStored(q)];
  const listed = ends.map((end) => {
    const kind = end.kind === 'authority' ? authorityKinds[end.name] : end.kind;
    return listedCertificate(certificateName(end), end.endsAt, kind, now);
  });
  const pushCertificate = push.certificatePem === undefined ? null : pushSettings.rules.facts(push.certificatePem);
  if (pushCertificate !== null) listed.push(listedCertificate('push', pushCertificate.expiresAt, 'push', now));
  return listed;
}
