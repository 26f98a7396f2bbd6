/** What needs attention in a domain, the worst first: each with its one reason, since when, and what to do about it. Pure. */
import type { DomainStatus } from '../../api/domain.ts';
import { counted } from '../../base/counted.ts';

export interface Concern {
  readonly key: string;
  readonly tone: 'bad' | 'warn';
  readonly title: string;
  readonly reason: string;
  readonly since: Date | null;
  /** What shows more, or ends it. */
  readonly command: string | null;
}

export function concernsOf(status: DomainStatus): Concern[] {
  const concerns = [
    ...upgradeConcerns(status),
    ...processConcerns(status),
    ...deliveryConcerns(status),
    ...deviceConcerns(status),
    ...keepingConcerns(status),
  ];
  return [...concerns.filter(({ tone }) => tone === 'bad'), ...concerns.filter(({ tone }) => tone === 'warn')];
}

function upgradeConcerns({ upgrade, restored }: DomainStatus): Concern[] {
  const concerns: Concern[] = [];
  if (restored?.paused === true) {
    concerns.push({
      ...{ key: 'restored', tone: 'bad', since: new Date(restored.restoredAt) },
      title: 'The restored domain is paused',
      reason: `${restored.by} restored it from a backup. Its routers and instances wait until you let them go on.`,
      command: 'bramble backup resume',
    });
  }
  if (upgrade?.state === 'paused') {
    concerns.push({
      ...{ key: 'upgrade', tone: 'bad', since: upgrade.haltedSince },
      title: `The upgrade to ${upgrade.to} is paused`,
      reason: upgrade.reason ?? 'Nobody said why.',
      command: 'bramble upgrade status',
    });
  } else if (upgrade?.decision != null) {
    const locked = upgrade.decision.lockedFeatures.length;
    concerns.push({
      ...{ key: 'upgrade', tone: 'warn', since: upgrade.decision.since },
      title: `The upgrade to ${upgrade.to} waits for a decision`,
      reason: `All waves have passed. Finalize or reverse it${locked === 0 ? '' : `; until then ${counted(locked, 'feature')} stay locked`}.`,
      command: 'bramble upgrade status',
    });
  }
  return concerns;
}

function processConcerns({ components, instances }: DomainStatus): Concern[] {
  const gone = components.filter(({ alive, stoppedAt }) => !alive && stoppedAt === null);
  const lost = gone.map(
    ({ name, kind, host, leaseUntil }): Concern => ({
      ...{ key: `component ${name}`, tone: 'bad', since: leaseUntil },
      title: `${name} is gone`,
      reason: `The ${kindText(kind)} on ${host} has not reported since, and did not stop in order.`,
      command: `bramble component list`,
    }),
  );
  const unlinked = instances
    .filter(({ alive, links }) => alive && links.length === 0)
    .map(
      ({ name }): Concern => ({
        ...{ key: `links ${name}`, tone: 'bad', since: null },
        title: `${name} has no link to a router`,
        reason: 'Devices of its accounts cannot reach it.',
        command: 'bramble router list',
      }),
    );
  return [...lost, ...unlinked];
}

function deliveryConcerns({ deliveries }: DomainStatus): Concern[] {
  const { heldBySuspects: held } = deliveries;
  if (held === null) return [];
  return [
    {
      ...{ key: 'suspects', tone: 'warn', since: null },
      title: `Silent devices hold back deliveries on ${held.instances.join(', ')}`,
      reason: `${counted(held.silent, 'device')} took a delivery and fell silent; others wait for their places.`,
      command: held.clearedBy,
    },
  ];
}

function deviceConcerns({ unansweredDevices, identities }: DomainStatus): Concern[] {
  const concerns: Concern[] = [];
  if (identities.ended > 0) {
    concerns.push({
      ...{ key: 'identities', tone: 'bad', since: null },
      title: `${counted(identities.ended, 'device')} can no longer prove who they are`,
      reason: 'Their certificates have ended. They have to enrol again.',
      command: 'bramble device list --identity-ends 0',
    });
  }
  if (identities.failed > 0) {
    concerns.push({
      ...{ key: 'renewals', tone: 'warn', since: null },
      title: `The renewal of ${counted(identities.failed, 'device identity', 'device identities')} failed`,
      reason: `${counted(identities.endWithin30Days, 'certificate')} of devices end within 30 days.`,
      command: 'bramble device list --identity-ends 30',
    });
  }
  if (unansweredDevices > 0) {
    concerns.push({
      ...{ key: 'unanswered', tone: 'warn', since: null },
      title: `${counted(unansweredDevices, 'device')} took the same command again and again`,
      reason: 'They never answered it.',
      command: 'bramble device list --unanswered',
    });
  }
  return concerns;
}

function keepingConcerns({ certificates, failingNotices, scheduledBackups }: DomainStatus): Concern[] {
  return [
    ...certificates.flatMap(({ name, endsAt, renewal, warning }): Concern[] =>
      warning === null
        ? []
        : [
            {
              ...{ key: `certificate ${name}`, tone: endsAt.getTime() < Date.now() ? 'bad' : 'warn', since: null },
              ...{ title: `Certificate: ${name}`, reason: `${warning}. ${renewal}`, command: null },
            },
          ],
    ),
    ...failingNotices.map(
      ({ target, waiting, lastError }): Concern => ({
        ...{ key: `notices ${target}`, tone: 'warn', since: null },
        title: `${target} cannot be told anything`,
        reason: `${counted(waiting, 'notice')} wait. Last answer: ${lastError}`,
        command: 'bramble notice list',
      }),
    ),
    ...scheduledBackups
      .filter(({ overdue, failure }) => overdue || failure !== null)
      .map(
        ({ host, goodAt, failure }): Concern => ({
          ...{ key: `backup ${host}`, tone: 'warn', since: goodAt },
          title: `No good backup on ${host}`,
          reason: failure ?? 'The last one is overdue.',
          command: 'bramble backup schedule show',
        }),
      ),
  ];
}

const kinds: Readonly<Record<string, string>> = {
  server: 'server instance',
  administration: 'administration service',
  connection: 'connection service',
  coordinator: 'upgrade coordinator',
};

/** What people call a kind of component. */
export function kindText(kind: string): string {
  return kinds[kind] ?? kind;
}
