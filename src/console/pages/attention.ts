/** What needs attention in a domain, the worst first: each with its one reason, since when, and what to do about it. Pure. */
import type { DomainStatus } from '../../api/domain.ts';
import { kindText, concernWords as say } from '../messages/overview.ts';

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

function upgradeConcerns({ upgrade, restored, groups }: DomainStatus): Concern[] {
  const concerns: Concern[] = [];
  if (restored?.paused === true) {
    concerns.push({
      ...{ key: 'restored', tone: 'bad', since: new Date(restored.restoredAt) },
      title: say.restored.title,
      reason: say.restored.reason(restored.by),
      command: 'bramble backup resume',
    });
  }
  if (upgrade?.state === 'paused') {
    concerns.push({
      ...{ key: 'upgrade', tone: 'bad', since: upgrade.haltedSince },
      title: say.paused.title(upgrade.to),
      reason: upgrade.reason ?? (groups === null ? say.paused.reason : say.paused.askedOf),
      command: 'bramble upgrade status',
    });
  } else if (upgrade?.decision != null) {
    concerns.push({
      ...{ key: 'upgrade', tone: 'warn', since: upgrade.decision.since },
      title: say.decision.title(upgrade.to),
      reason: say.decision.reason(upgrade.decision.lockedFeatures.length),
      command: 'bramble upgrade status',
    });
  }
  return concerns;
}

function processConcerns({ components, instances, groups }: DomainStatus): Concern[] {
  const gone = components.filter(({ alive, stoppedAt }) => !alive && stoppedAt === null);
  const lost = gone.map(
    ({ name, kind, host, leaseUntil }): Concern => ({
      ...{ key: `component ${name}`, tone: 'bad', since: leaseUntil },
      title: say.gone.title(name),
      reason: say.gone.reason(kindText(kind), host),
      command: 'bramble component list',
    }),
  );
  // Who is limited to groups is not told of links.
  const unlinked = (groups === null ? instances : [])
    .filter(({ alive, links }) => alive && links.length === 0)
    .map(
      ({ name }): Concern => ({
        ...{ key: `links ${name}`, tone: 'bad', since: null },
        title: say.unlinked.title(name),
        reason: say.unlinked.reason,
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
      title: say.suspects.title(held.instances),
      reason: say.suspects.reason(held.silent),
      command: held.clearedBy,
    },
  ];
}

function deviceConcerns({ unansweredDevices, identities }: DomainStatus): Concern[] {
  const concerns: Concern[] = [];
  if (identities.ended > 0) {
    concerns.push({
      ...{ key: 'identities', tone: 'bad', since: null },
      title: say.ended.title(identities.ended),
      reason: say.ended.reason,
      command: 'bramble device list --identity-ends 0',
    });
  }
  if (identities.failed > 0) {
    concerns.push({
      ...{ key: 'renewals', tone: 'warn', since: null },
      title: say.renewals.title(identities.failed),
      reason: say.renewals.reason(identities.endWithin30Days),
      command: 'bramble device list --identity-ends 30',
    });
  }
  if (unansweredDevices > 0) {
    concerns.push({
      ...{ key: 'unanswered', tone: 'warn', since: null },
      title: say.unanswered.title(unansweredDevices),
      reason: say.unanswered.reason,
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
              ...{
                title: say.certificate.title(name),
                reason: say.certificate.reason(warning, renewal),
                command: null,
              },
            },
          ],
    ),
    ...failingNotices.map(
      ({ target, waiting, lastError }): Concern => ({
        ...{ key: `notices ${target}`, tone: 'warn', since: null },
        title: say.notices.title(target),
        reason: say.notices.reason(waiting, lastError),
        command: 'bramble notice list',
      }),
    ),
    ...scheduledBackups
      .filter(({ overdue, failure }) => overdue || failure !== null)
      .map(
        ({ host, goodAt, failure }): Concern => ({
          ...{ key: `backup ${host}`, tone: 'warn', since: goodAt },
          title: say.backup.title(host),
          reason: failure ?? say.backup.reason,
          command: 'bramble backup schedule show',
        }),
      ),
  ];
}
