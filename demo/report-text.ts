/** The report for a person. */
import colors from 'picocolors';
import { counted } from '../src/base/counted.ts';
import { invariantTitles } from '../test/harness/invariants.ts';
import type { DemoReport } from './figures.ts';

export function reportText(report: DemoReport, terminal: boolean): string {
  const paint = colors.createColors(terminal);
  const { deliveries, commands, requests, tunnels, unavailabilityMs: away } = report;
  const labels = Math.max(22, ...report.features.map(({ name }) => name.length));
  const fact = (name: string, text: string) => `  ${name.padEnd(labels)} ${text}`;
  const good = (ok: boolean, text: string) => (ok ? paint.green(text) : paint.red(text));
  const lines = [
    '',
    ...failuresOf(report).map((failure) => paint.red(`NOT A SUCCESS: ${failure}.`)),
    paint.bold(
      report.outcome === 'finalized'
        ? `The domain went from ${report.release.from} to ${report.release.to}, live.`
        : `The domain went towards ${report.release.to} and came back to ${report.release.from}, live.`,
    ),
    ...(report.release.renumbered ? [`Release ${report.release.to} is this working tree under another number.`] : []),
    '',
    fact('accounts, devices', `${report.accounts}, ${report.devices}`),
    fact(
      'accounts moved',
      `${report.moved}${report.reversed ? `, ${report.reversed} moved back` : ''}, ${report.failed} failed`,
    ),
    fact(
      'device requests',
      good(requests.failed === 0, `${requests.sent} sent, ${requests.sentAgain} sent again, ${failedText(requests)}`),
    ),
    fact('devices lost', good(requests.lostDevices === 0, String(requests.lostDevices))),
    fact(
      'commands',
      good(
        commands.lost + commands.duplicated === 0,
        `${commands.enqueued} queued, ${commands.acknowledged} acknowledged once, ${commands.lost} lost, ${commands.duplicated} duplicated`,
      ),
    ),
    fact(
      'tunnels',
      good(tunnels.broken === 0, `${tunnels.opened} opened, ${tunnels.broken} broken, ${tunnels.refused} refused`),
    ),
    fact(
      'sent by the moves',
      `${counted(deliveries.itPolicies, 'IT policy')}, ${counted(deliveries.serviceBooks, 'service book')}, ${counted(deliveries.synchronizations, 'synchronization')}`,
    ),
    fact(
      'budget',
      `at most ${deliveries.maxInFlight} of ${deliveries.budget} in flight, ${counted(deliveries.suspects, 'suspect')}; held back for ${deliveries.heldBackSeconds} s in all`,
    ),
    fact('unavailability', `p50 ${away.p50} ms, p99 ${away.p99} ms, longest ${away.max} ms, of ${away.accounts} moves`),
    '',
    paint.bold('Waves'),
    ...report.waves.map((wave) =>
      fact(
        `${wave.number} ${wave.name}`,
        `${counted(wave.accounts, 'account')}, ${wave.state}, gate ${wave.gate ?? '-'}, ${wave.seconds ?? '-'} s`,
      ),
    ),
    '',
    ...hostLines(report, paint, fact),
    paint.bold('Features'),
    ...report.features.map((feature) =>
      fact(feature.name, feature.active ? 'active' : `locked by ${feature.lockedBy.join(', ')}`),
    ),
    '',
    paint.bold('Invariants, checked from outside'),
    ...Object.entries(report.invariants).map(([number, { result, checks, broken }]) => {
      const outcome = result === 'not-exercised' ? 'not tested in this run' : result;
      const text = `${outcome}${checks ? `, ${counted(checks, 'check')}` : ''}${broken ? `: ${broken}` : ''}`;
      const shown = result === 'not-exercised' ? paint.dim(text) : good(result === 'held', text);
      return `  ${number.padStart(2)} ${(invariantTitles[number] ?? '').padEnd(58)} ${shown}`;
    }),
    '',
    `${report.wallSeconds} s. Seed ${report.seed}.`,
    '',
  ];
  return lines.join('\n');
}

function hostLines(
  { hosts }: DemoReport,
  paint: ReturnType<typeof colors.createColors>,
  fact: (name: string, text: string) => string,
): string[] {
  if (hosts.length === 0) return [];
  const lines = hosts.map(({ name, supervisor, accounts, processes }) =>
    fact(name, `supervisor ${supervisor}, ${counted(accounts, 'account')}: ${processes.join(', ')}`),
  );
  return [paint.bold('Hosts'), ...lines, ''];
}

/** Why the demo must not be called a success; empty when nothing was lost or broken. */
export function failuresOf(report: DemoReport): string[] {
  const { requests, tunnels } = report;
  const failures: string[] = [];
  if (requests.failed > 0) failures.push(`of ${requests.sent} device requests ${failedText(requests)}`);
  if (tunnels.broken > 0) failures.push(`${tunnels.broken} of ${tunnels.opened} tunnels broke: ${brokenText(tunnels)}`);
  for (const [number, { result, broken }] of Object.entries(report.invariants)) {
    if (result === 'broken') failures.push(`invariant ${number} broke: ${broken}`);
  }
  if (report.commands.lost > 0) failures.push(`${report.commands.lost} commands were lost`);
  if (report.commands.duplicated > 0) failures.push(`${report.commands.duplicated} commands took effect twice`);
  if (report.requests.lostDevices > 0) failures.push(`${report.requests.lostDevices} devices left management`);
  if (report.failed > 0) failures.push(`${report.failed} account moves failed`);
  return failures;
}

/** `3 failed (2 unavailable, 1 reset)` */
function failedText({ failed, failedByClass }: DemoReport['requests']): string {
  const classes = Object.entries(failedByClass).filter(([name]) => name !== 'given-up');
  const named = classes.map(([name, count]) => `${count} ${name}`).join(', ');
  return failed === 0 ? '0 failed' : `${failed} failed (${named})`;
}

const breaksShown = 6;

/** `at 147.8 s after 5.1 s (user-0001: ECONNRESET)` */
function brokenText({ breaks }: DemoReport['tunnels']): string {
  const shown = breaks
    .slice(0, breaksShown)
    .map(
      ({ atSeconds, openSeconds, account, reason }) =>
        `at ${atSeconds} s after ${openSeconds} s (${account}: ${reason})`,
    );
  return [...shown, ...(breaks.length > breaksShown ? ['…'] : [])].join(', ');
}
