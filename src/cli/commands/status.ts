/** `bramble status`. */
import type { Command } from 'commander';
import { type DomainStatus, domainOperations, type InstanceStatus } from '../../api/domain.ts';
import type { SupervisorView } from '../../api/supervisors.ts';
import { counted } from '../../base/counted.ts';
import { dayText, durationText, timeText } from '../../base/time-text.ts';
import { example, type Frame } from '../frame.ts';
import { cell, columns, facts, type Style } from '../text-output.ts';
import { componentTable } from './component.ts';

export function addStatusCommand(program: Command, frame: Frame): void {
  example(
    program
      .command('status')
      .description('the domain at a glance')
      .action(async (_flags: object, command) => {
        await frame.ask(command, domainOperations.status, {}, statusText);
      }),
    'bramble status',
  );
}

type Line = readonly [string, string];

function statusText(status: DomainStatus, style: Style): string {
  const { domain } = status;
  const head: Line[] = [
    ['domain', `${style.bold(domain.name)} at ${domain.publicUrl}`],
    ['release', `${domain.release}, feature level ${domain.featureLevel}`],
    ...groupLines(status),
    ...restoredLines(status, style),
    ...deliveryLines(status, style),
    ...identityLines(status.identities, style),
    ...certificateLines(status.certificates),
    ...noticeLines(status, style),
    ...backupLines(status, style),
    ...moveLines(status),
    ...upgradeLines(status, style),
  ];
  // The coordinator of an upgrade that is over is listed by `bramble component list` alone.
  const present = status.components.filter(({ kind, stoppedAt }) => kind !== 'coordinator' || stoppedAt === null);
  const warnings = status.certificates.filter(({ warning }) => warning !== null);
  const instances = status.instances.length === 0 ? style.dim('no instance') : instanceTable(status, style);
  if (status.groups !== null) return [facts(style, head), instances].join('\n\n');
  const tables = [
    instances,
    present.length === 0 ? style.dim('no component is registered') : componentTable(present, style),
    ...(status.supervisors.length === 0 ? [] : [supervisorTable(status.supervisors, style)]),
    ...(warnings.length === 0 ? [] : [certificateTable(warnings, style)]),
  ];
  return [facts(style, head), ...tables].join('\n\n');
}

function groupLines({ groups }: DomainStatus): Line[] {
  return groups === null ? [] : [['groups', `${cell(groups)}: what follows is of their accounts alone`]];
}

/** As long as it is paused; afterwards the events tell it. */
function restoredLines({ restored }: DomainStatus, style: Style): Line[] {
  if (restored?.paused !== true) return [];
  const what = `restored by ${restored.by} from a backup as of ${timeText(restored.takenAt)}, and paused`;
  return [['restored', style.yellow(`${what}: \`bramble backup resume\` starts its routers and instances`)]];
}

/** Deliveries with devices, and what holds them back. */
function deliveryLines({ deliveries, sharedDatabaseRole, unansweredDevices }: DomainStatus, style: Style): Line[] {
  const { budget, heldBySuspects: held } = deliveries;
  const lines: Line[] = [
    [
      'deliveries',
      `${deliveries.inFlight} of ${cell(budget['perDomain'])} in flight, ${deliveries.suspects} of ` +
        `${cell(budget['suspects'])} suspects`,
    ],
  ];
  if (sharedDatabaseRole) {
    lines.push([
      'database',
      `every process has the same database role (${sharedDatabaseRole}); \`bramble database roles\` shows how to ` +
        'give each kind its own',
    ]);
  }
  if (held) {
    const what = `${held.silent} silent devices are holding back sending on ${held.instances.join(', ')}`;
    lines.push(['', style.yellow(`${what}: \`${held.clearedBy}\` takes back what they received`)]);
  }
  if (unansweredDevices > 0) {
    const what = `${unansweredDevices} repeatedly received the same command without answering`;
    lines.push(['devices', style.yellow(`${what}: \`bramble device list --unanswered\``)]);
  }
  return lines;
}

function identityLines(identities: DomainStatus['identities'], style: Style): Line[] {
  const { ended, endWithin30Days, due, underWay, unused, failed, renewing } = identities;
  const lines: Line[] = [];
  if (due > 0) {
    const counts = `${due} due for renewal: ${underWay} under way, ${unused} issued and not used yet, ${failed} failed`;
    lines.push([
      'identities',
      renewing ? counts : `${due} due for renewal, which starts when the upgrade is finalized`,
    ]);
  }
  if (ended + endWithin30Days > 0) {
    const what = `${endWithin30Days} expire within 30 days, ${ended} have expired (their devices are still served)`;
    const head = lines.length === 0 ? 'identities' : '';
    lines.push([head, style.yellow(`${what}: \`bramble device list --identity-ends 30\``)]);
  }
  return lines;
}

function noticeLines({ failingNotices }: DomainStatus, style: Style): Line[] {
  return failingNotices.map(({ target, waiting, failures, lastError }, index) => {
    const what = `${waiting} wait for ${target}, which failed ${counted(failures, 'time')}: ${lastError}`;
    return [index === 0 ? 'notices' : '', style.yellow(`${what}: \`bramble notice list\``)];
  });
}

function backupLines({ scheduledBackups }: DomainStatus, style: Style): Line[] {
  return scheduledBackups.map(({ host, dueAt, goodAt, failure, overdue }, index) => {
    const last = `on ${host}: ${goodAt === null ? 'none yet' : `the last of ${timeText(goodAt)}`}, the next at ${timeText(dueAt)}`;
    const trouble = [...(overdue ? ['it is overdue'] : []), ...(failure === null ? [] : [`it failed: ${failure}`])];
    const text =
      trouble.length === 0 ? last : style.yellow(`${last}; ${trouble.join('; ')} (\`bramble backup schedule\`)`);
    return [index === 0 ? 'backups' : '', text];
  });
}

/** Those with a warning have a table of their own; `--json` lists all. */
function certificateLines(certificates: DomainStatus['certificates']): Line[] {
  const [next] = certificates.toSorted((a, b) => a.endsAt.getTime() - b.endsAt.getTime());
  if (next === undefined) return [];
  return [['certificates', `${certificates.length}; the next expires ${dayText(next.endsAt)} (${next.name})`]];
}

function moveLines({ openMoves }: DomainStatus): Line[] {
  return openMoves.map((move) => [
    'moves',
    `${move.open} open (${move.outOfReach} out of reach) in the ${move.state} batch ${move.batch}`,
  ]);
}

function upgradeLines({ upgrade }: DomainStatus, style: Style): Line[] {
  if (upgrade === null) return [];
  const reason = upgrade.reason === null ? '' : `: ${upgrade.reason}`;
  const line: Line = ['upgrade', `${upgrade.from} → ${upgrade.to}, ${style.bold(upgrade.state)}${reason}`];
  if (upgrade.decision !== null) return [line, ['', style.yellow(decisionText(upgrade.decision))]];
  const halted = haltedText(upgrade.haltedSince);
  return halted === null ? [line] : [line, ['', style.yellow(halted)]];
}

/** Hours in a state are nothing to be reminded of. */
const haltedAfterMs = 86_400_000;

function haltedText(since: Date | null): string | null {
  const forMs = since === null ? 0 : Date.now() - since.getTime();
  if (forMs < haltedAfterMs) return null;
  return `has not come to its end for ${durationText(forMs / 1000)}: \`bramble upgrade status\` says what it waits for`;
}

function decisionText({
  since,
  lockedFeatures,
}: NonNullable<NonNullable<DomainStatus['upgrade']>['decision']>): string {
  const ago = durationText((Date.now() - since.getTime()) / 1000);
  const locked = lockedFeatures.length === 0 ? '' : `; locked until then: ${lockedFeatures.join(', ')}`;
  return `to be finalized or reversed, for ${ago} now: \`bramble upgrade status\`${locked}`;
}

/** How one is linked, and what holds its deliveries back, is of the domain: who is limited to groups is not told. */
function instanceTable({ instances, groups }: DomainStatus, style: Style): string {
  type Column = (row: InstanceStatus) => string;
  const links: Column = (row) =>
    row.links.length === 0 ? style.red('none') : row.links.map((link) => link.router).join(', ');
  const hold: Column = ({ hold: held }) =>
    held === null || held.reason === 'nothing' ? '-' : `${held.text} (${Math.round(held.heldSeconds)} s)`;
  return columns(style, instances, {
    instance: (row) => row.name,
    state: (row) => (row.alive ? style.green('running') : style.red('absent')),
    release: (row) => cell(row.release),
    accounts: (row) => String(row.accountCount),
    devices: (row) => String(row.deviceCount),
    ...(groups === null ? { links } : {}),
    'owed/released/in flight/suspects': ({ deliveries: counts }) =>
      `${counts.owed} / ${counts.released} / ${counts.inFlight} / ${counts.suspects}`,
    ...(groups === null ? { 'held back by': hold } : {}),
  });
}

function certificateTable(certificates: DomainStatus['certificates'], style: Style): string {
  return columns(style, certificates, {
    certificate: (row) => row.name,
    expires: (row) => dayText(row.endsAt),
    warning: ({ warning }) => style.yellow(cell(warning)),
  });
}

function supervisorTable(supervisors: readonly SupervisorView[], style: Style): string {
  return columns(style, supervisors, {
    'supervisor of': (row) => row.host,
    state: ({ atWork, release }) =>
      atWork ? style.green('running') : style.yellow(release === null ? 'does not report' : 'no recent report'),
    release: (row) => cell(row.release ?? '1.1 or earlier'),
    'Node.js': (row) => cell(row.nodeVersion?.replace('v', '') ?? null),
    PostgreSQL: (row) => cell(row.postgresServer),
    'its binaries': (row) => cell(row.postgresBinaries),
  });
}
