/**
 * The client that commands use: it finds a service, and says so if that service's release is why an operation is
 * missing.
 */
import { type AdministrationClient, createAdministrationClient } from '../api/client.ts';
import { domainOperations } from '../api/domain.ts';
import { AnsweredError, type ServiceAccess } from '../api/exchange.ts';
import { counted } from '../base/counted.ts';
import { compareReleases, upgradePath } from '../base/release-number.ts';
import { thisRelease } from '../release/this-release.ts';
import type { AdministrationAccess } from './administration-access.ts';
import { trustOnly } from './own-authority.ts';
import { serviceFinder } from './service-finder.ts';

/** How long, all in all, a request waits at a service that is asked too often. */
const limitedMs = 60_000;

interface CommandClientOptions {
  /** Told once when no service has answered for two seconds, and each time that a service wants to be asked later. */
  readonly onWaiting?: (text: string) => void;
  readonly signal?: AbortSignal;
}

export function createCommandClient(
  access: AdministrationAccess,
  { onWaiting, signal }: CommandClientOptions = {},
): AdministrationClient {
  if (access.ca !== undefined) trustOnly(access.ca);
  return createAdministrationClient({
    choose: serviceFinder(access, onWaiting),
    explain,
    limitedMs,
    onLimited: (restMs) =>
      onWaiting?.(`The service is asked too often. Waiting ${counted(Math.ceil(restMs / 1000), 'second')} …`),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** What the service's release lacks. */
async function explain(error: AnsweredError, access: ServiceAccess): Promise<AnsweredError> {
  return error.status === 400 ? await explainUnknown(error, access) : await explainMissing(error, access);
}

/** A field, such as that of an option, which a service of the release before refuses. */
async function explainUnknown(error: AnsweredError, access: ServiceAccess): Promise<AnsweredError> {
  const [said] = / is (?:not known here|unknown)[;:].*$/s.exec(error.message) ?? [];
  if (said === undefined) return error;
  const release = await releaseOf(access).catch(() => undefined);
  const own = thisRelease.release;
  if (release === undefined || compareReleases(release, own) >= 0) return error;
  const later =
    error.asked === 'POST /upgrade/plan'
      ? 'Leave it out, and set it once the release fence is passed (`bramble upgrade set`), if that takes it.'
      : `Leave it out until the domain runs ${own}.`;
  const message = `${error.message.slice(0, -said.length)} is unknown to the administration service, which is of ${release}. ${later}`;
  return new AnsweredError(error, error.code, message, { ...error.details, release });
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
      ? `Try again once the domain runs ${own}: \`bramble status\` shows its release. ${wayText(release, own)}`
      : `Use the \`bramble\` of ${release}.`;
  const message = `The administration service at ${error.url} is of ${release}, which has no ${error.asked}; this \`bramble\` is of ${own}. ${next}`;
  return new AnsweredError(error, error.code, message, { ...error.details, release });
}

/** How the domain comes to the release. */
function wayText(from: string, to: string): string {
  const [, next = to, ...further] = upgradePath(from, to) ?? [];
  const plan = `\`bramble upgrade plan ${next} --archive FILE\``;
  return further.length === 0
    ? `${plan} begins the upgrade.`
    : `${plan} begins the first of the upgrades there: ${[next, ...further].join(', ')}.`;
}

async function releaseOf(access: ServiceAccess): Promise<string> {
  const client = createAdministrationClient({ choose: async () => access });
  return (await client.call(domainOperations.describe, {})).info.version;
}
