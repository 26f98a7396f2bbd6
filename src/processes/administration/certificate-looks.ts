/**
 * Certificates that end soon, as somebody is told of them: when a warning begins, and again whenever a quarter of the time
 * that was left has passed, at most once a day.
 */
import type { Clock } from '../../base/clock.ts';
import type { Condition, Look } from '../../notices/conditions.ts';
import { listCertificates } from './certificate-list.ts';
import type { AdministrationContext } from './context.ts';

const dayMs = 86_400_000;
/** Certificates last for days: parsing all of them more often tells nothing. */
const lookMs = 3_600_000;

/** Of the domain, and of the routers of this home, which no other service sees. */
export function certificateLooks(
  context: Pick<AdministrationContext, 'db' | 'home' | 'host' | 'platforms' | 'masterKeys'>,
  clock: Pick<Clock, 'now'>,
): Look[] {
  return [
    { scope: '', ofHome: false },
    { scope: context.host, ofHome: true },
  ].map(({ scope, ofHome }): Look => {
    const last = { at: Number.NEGATIVE_INFINITY };
    return {
      ...{ kind: 'certificate-ending', scope, confirmSeconds: 0 },
      look: async () => {
        const now = clock.now();
        if (now >= last.at && now < last.at + lookMs) return null;
        const listed = await listCertificates(context, new Date(now));
        last.at = now;
        return listed
          .filter((certificate) => certificate.ofHome === ofHome)
          .flatMap(({ name, endsAt, warning }) => (warning === null ? [] : [ending(name, endsAt, warning, now)]));
      },
    };
  });
}

function ending(name: string, endsAt: Date, warning: string, now: number): Condition {
  const again = new Date(now + Math.max(dayMs, (endsAt.getTime() - now) / 4));
  return { subject: name, message: `the certificate ${name} ${warning}`, again };
}
