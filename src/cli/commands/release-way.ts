/**
 * `bramble release compatible`: queries the database of this home, so that it works whatever release the administration
 * has, or without it.
 */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { UpgradePlan } from '../../api/upgrade-plan.ts';
import { assertNever } from '../../base/assert-never.ts';
import { counted } from '../../base/counted.ts';
import { shownValue } from '../../base/shown-text.ts';
import type { WayAnswer } from '../../upgrade/plan/release-way.ts';
import { type AcceptanceFlags, acceptanceOptions } from '../acceptance-flags.ts';
import { homeFolder } from '../administration-access.ts';
import { type ExitCode, exitCode } from '../exit-codes.ts';
import { example, type Frame } from '../frame.ts';
import { facts, type Style } from '../text-output.ts';

export function addReleaseWayCommand(releases: Command, frame: Frame, setExitCode: (code: number) => void): void {
  const command = acceptanceOptions(
    releases
      .command('compatible <archive>')
      .description(
        'whether and how the domain of BRAMBLE_HOME can be upgraded to this release; the exit status says so too',
      ),
  ).action(async (archive: string, flags: AcceptanceFlags, command) => {
    const [{ readArchive }, { homeDatabase }, { findWay }, { openDatabase }, { registeredPlatforms }] =
      await Promise.all([
        import('../../release/archive.ts'),
        import('../../setup/home-database.ts'),
        import('../../upgrade/plan/release-way.ts'),
        import('../../database/connection.ts'),
        import('../../platforms/registered/platforms.ts'),
      ]);
    const home = homeFolder(frame.environment);
    const found = await readArchive(resolve(archive));
    const { url, host } = await homeDatabase(home);
    const db = openDatabase(url, { applicationName: `bramble/release@${host}#${process.pid}`, max: 1 });
    try {
      const accepted = { signer: flags.acceptSigner, unsigned: flags.acceptUnsigned };
      const answer = await db.begin('isolation level repeatable read read only', (tx) =>
        findWay(tx, { home, host, platforms: registeredPlatforms, found, accepted }),
      );
      frame.show(command, answer, (value, style) => wayText(shownValue(value), resolve(archive), style));
      setExitCode(statusOf(answer.way));
    } finally {
      await db.end({ timeout: 5 });
    }
  });
  example(command, 'bramble release compatible bramble-1.2.1.tgz');
  command.addHelpText(
    'after',
    `
Exit status:
  ${exitCode.ok}   by a patch, with the short fence
  ${exitCode.refused}   not possible: no upgrade step leads there, or the archive was modified or is damaged; the text says why and what to do
  ${exitCode.alreadyThere}  the domain already has this release
  ${exitCode.minorStep}  by a minor upgrade, with all its steps`,
  );
}

function statusOf(way: WayAnswer['way']): ExitCode {
  switch (way) {
    case 'patch':
      return exitCode.ok;
    case 'minor':
      return exitCode.minorStep;
    case 'same':
      return exitCode.alreadyThere;
    case 'none':
      return exitCode.refused;
    default:
      return assertNever(way);
  }
}

function wayText(answer: WayAnswer, archive: string, style: Style): string {
  const { domain, release, sealed, way, reasons, signed, plan } = answer;
  const rows: [string, string][] = [
    ['domain', `${domain.name}, of ${domain.release}`],
    ['archive', `${release}${sealed ? '' : ', from a working tree, not sealed'}`],
    ...(signed === null ? [] : [['signature', signed] as [string, string]]),
  ];
  if (way === 'same') return facts(style, [...rows, ['way', 'none needed: the domain already has this release']]);
  if (plan === null) return facts(style, [...rows, ['way', style.yellow('none')], ['because', reasons.join(' ')]]);
  return facts(style, [...rows, ...planRows(answer, plan), ['next', `bramble upgrade plan --archive ${archive}`]]);
}

function planRows({ way, administrations, domain }: WayAnswer, plan: UpgradePlan): [string, string][] {
  const services = counted(administrations, 'administration service');
  const fence =
    way === 'patch'
      ? `short: ${services} stopped for a few seconds; devices do not notice`
      : `full: ${services} stopped while the schema is expanded; devices are still served`;
  const title = way === 'patch' ? 'a patch: schema, features and stored data stay as they are' : 'a minor upgrade';
  return [
    ['way', title],
    ['fence', fence],
    ...(plan.inPlace ? inPlaceRows(plan) : movingRows(plan)),
    ['back', `to ${domain.release}, until it is finalized`],
  ];
}

function inPlaceRows({ replacements }: UpgradePlan): [string, string][] {
  const [first] = replacements;
  const hosts = [...new Set(replacements.map(({ host }) => host))];
  return [
    [
      'instances',
      `${counted(replacements.length, 'is', 'are')} replaced in place${first === undefined ? '' : `, ${first.name} first`}; with ` +
        '--no-in-place, new ones take the accounts over in waves',
    ],
    ['needs', `no additional instance, host or SRP credential; the archive on: ${hosts.join(', ') || 'this host'}`],
    ['sends', 'nothing to devices'],
  ];
}

function movingRows({ instances, needs, sends, waves, lockedFeatures }: UpgradePlan): [string, string][] {
  return [
    [
      'instances',
      `${instances.map(({ name, replaces }) => `${name} for ${replaces}`).join(', ') || 'none'} to be added`,
    ],
    [
      'needs',
      `${counted(needs.processes, 'more process', 'more processes')}, about ${needs.memoryMb} MB, ` +
        `${counted(needs.srpCredentials, 'SRP credential')}, additional computers: ` +
        `${needs.computers.join(', ') || 'none'}`,
    ],
    [
      'sends',
      `${counted(sends.itPolicies, 'IT policy', 'IT policies')}, ` +
        `${counted(sends.serviceBooks, 'set of service books', 'sets of service books')}, ` +
        `${counted(sends.synchronizations, 'synchronization')}: ${Math.ceil(sends.leastMinutes * 60)} s or more`,
    ],
    ['waves', String(waves.length)],
    ['locked', lockedFeatures.map(({ name }) => name).join(', ') || 'no feature, until it is finalized'],
  ];
}
