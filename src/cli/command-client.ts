/**
 * The client that commands use: it finds a service, and says so if that service's release is why an operation is
 * missing.
 */
import {
  type AdministrationClient,
  AnsweredError,
  createAdministrationClient,
  type ServiceAccess,
} from '../api/client.ts';
import { domainOperations } from '../api/domain.ts';
import { compareReleases } from '../base/release-number.ts';
import { thisRelease } from '../release/this-release.ts';
import type { AdministrationAccess } from './administration-access.ts';
import { serviceFinder } from './service-finder.ts';

/** `onWaiting` is told once when no service has answered for two seconds. */
export function createCommandClient(
  access: AdministrationAccess,
  onWaiting?: (text: string) => void,
): AdministrationClient {
  return createAdministrationClient({ choose: serviceFinder(access, onWaiting), explain: explainMissing });
}

/** During an upgrade, and after it was reversed, a service of the release before may be the one that answers. */
async function explainMissing(error: AnsweredError, access: ServiceAccess): Promise<AnsweredError> {
  // A missing operation, rather than a missing object.
  if (error.status !== 404 || !error.message.startsWith('There is nothing at ')) return error;
  const release = await releaseOf(access).catch(() => undefined);
  if (release === undefined || release === thisRelease.release) return error;
  const own = thisRelease.release;
  const next =
    compareReleases(release, own) < 0
      ? `Try again once the domain runs ${own}: \`bramble status\` shows its release, \`bramble upgrade plan ${own}\` begins an upgrade.`
      : `Use the \`bramble\` of ${release}.`;
  const message = `The administration service at ${error.url} is of ${release}, which has no ${error.asked}; this \`bramble\` is of ${own}. ${next}`;
  return new AnsweredError(error, error.code, message, { ...error.details, release });
}

async function releaseOf(access: ServiceAccess): Promise<string> {
  const client = createAdministrationClient({ choose: async () => access });
  return (await client.call(domainOperations.describe, {})).info.version;
}
