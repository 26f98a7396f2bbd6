/** The tree of commands, and the handling of their failures: one message on the error stream, one exit code. */
import { Command } from 'commander';
import { AnsweredError } from '../api/exchange.ts';
import { isBrambleError, messageOf } from '../base/errors.ts';
import { shownJson, shownLines, shownText } from '../base/shown-text.ts';
import { thisRelease } from '../release/this-release.ts';
import { isDone, settleCommander, usageError } from './commander-settings.ts';
import { addAccountCommands } from './commands/account.ts';
import { addAdministrationServiceCommands } from './commands/administration-service.ts';
import { addAdministratorCommands } from './commands/administrator.ts';
import { addAuditCommands } from './commands/audit.ts';
import { addAuthorityCommands } from './commands/authority.ts';
import { addBackupCommands } from './commands/backup.ts';
import { addCompletionCommand } from './commands/completion.ts';
import { addComponentCommands } from './commands/component.ts';
import { addConnectionServiceCommands } from './commands/connection-service.ts';
import { addDatabaseCommands } from './commands/database.ts';
import { addBudgetCommands, addDeliveriesCommand } from './commands/delivery.ts';
import { addDeviceCommands } from './commands/device.ts';
import { addDomainCommands } from './commands/domain.ts';
import { addEventCommands } from './commands/events.ts';
import { addFigureCommands } from './commands/figures.ts';
import { addGroupCommands } from './commands/group.ts';
import { addHostCommands } from './commands/host.ts';
import { addInstanceCommands } from './commands/instance.ts';
import { addKeyCommands } from './commands/key.ts';
import { addMoveCommands } from './commands/move.ts';
import { addNoticeCommands } from './commands/notice.ts';
import { addOpenidProviderCommands } from './commands/openid-provider.ts';
import { addPolicyCommands } from './commands/policy.ts';
import { addProcessCommands } from './commands/process.ts';
import { addProfileCommands } from './commands/profile.ts';
import { addRetentionCommands } from './commands/retention.ts';
import { addRoleCommands } from './commands/role.ts';
import { addRouterCommands } from './commands/router.ts';
import { addSearchCommand } from './commands/search.ts';
import { addServiceCommands } from './commands/service.ts';
import { addSessionCommands } from './commands/session.ts';
import { addSetupCommands } from './commands/setup.ts';
import { addSrpCommands } from './commands/srp.ts';
import { addStatusCommand } from './commands/status.ts';
import { addTokenCommands } from './commands/token.ts';
import { addUpgradeCommands } from './commands/upgrade.ts';
import { Declined } from './confirmation.ts';
import { exitCode, exitCodeOf } from './exit-codes.ts';
import { type CommandStreams, createFrame, type Frame, type GlobalFlags } from './frame.ts';
import { assertNodeVersion } from './node-version.ts';
import { paragraphs, styleFor } from './text-output.ts';

/** Runs one command line (`argv` without node and script) and returns the exit code. Never throws. */
export async function runCommandLine(argv: readonly string[], streams: CommandStreams): Promise<number> {
  const frame = createFrame(streams);
  const result: { code: number } = { code: exitCode.ok };
  const program = createProgram(argv, frame, (code) => {
    result.code = code;
  });
  try {
    assertNodeVersion(process.versions.node);
    await program.parseAsync([...argv], { from: 'user' });
    return result.code;
  } catch (error) {
    if (isDone(error)) return exitCode.ok;
    const failure = usageError(error);
    writeError(frame, failure, wantsJson(program, argv));
    return exitCodeOf(failure, failure instanceof AnsweredError ? failure.status : undefined);
  }
}

/** The arguments may not have been parsed yet. */
function wantsJson(program: Command, argv: readonly string[]): boolean {
  return program.opts<GlobalFlags>().json === true || argv.includes('--json');
}

function createProgram(argv: readonly string[], frame: Frame, setExitCode: (code: number) => void): Command {
  const program = new Command('bramble');
  // Sub-commands inherit this when they are added, so it comes first.
  settleCommander(program, frame, () => wantsJson(program, argv));
  program
    .description('device management whose upgrades take no device offline')
    .version(thisRelease.release, '--version', 'print the release')
    .option(
      '--url <url>',
      'administration service, several separated by commas (default: BRAMBLE_URL, or BRAMBLE_HOME/admin.json)',
    )
    .option('--token <token>', 'administrator token (default: BRAMBLE_TOKEN, or BRAMBLE_HOME/admin.json)')
    .option(
      '--url-ca <file>',
      'certificate of the authority, in PEM, that alone is trusted for https (default: BRAMBLE_URL_CA, or the public ones)',
    )
    .option('--profile <name>', 'domain by its name, see `bramble profile` (default: BRAMBLE_PROFILE)')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ bramble up\n  $ bramble status\n  $ bramble account create ada');
  addProcessCommands(program, frame, setExitCode);
  addStatusCommand(program, frame);
  addComponentCommands(program, frame);
  addBudgetCommands(program, frame);
  addDeliveriesCommand(program, frame);
  addEventCommands(program, frame);
  addFigureCommands(program, frame);
  addDomainCommands(program, frame);
  addAdministratorCommands(program, frame);
  addOpenidProviderCommands(program, frame);
  addProfileCommands(program, frame);
  addTokenCommands(program, frame);
  addRoleCommands(program, frame);
  addAccountCommands(program, frame);
  addGroupCommands(program, frame);
  addSearchCommand(program, frame);
  addDeviceCommands(program, frame);
  addPolicyCommands(program, frame);
  addServiceCommands(program, frame);
  addSessionCommands(program, frame);
  addHostCommands(program, frame);
  addRouterCommands(program, frame);
  addInstanceCommands(program, frame);
  addConnectionServiceCommands(program, frame);
  addAdministrationServiceCommands(program, frame);
  addSrpCommands(program, frame);
  addMoveCommands(program, frame);
  addUpgradeCommands(program, frame, setExitCode);
  addNoticeCommands(program, frame, setExitCode);
  addAuditCommands(program, frame, setExitCode);
  addRetentionCommands(program, frame);
  addKeyCommands(program, frame);
  addAuthorityCommands(program, frame);
  addDatabaseCommands(program, frame, setExitCode);
  addBackupCommands(program, frame, setExitCode);
  addSetupCommands(program, frame);
  addCompletionCommand(program, frame);
  return program;
}

/** People get a sentence and the code; with `--json`, programs get `{code, message, details}`. */
function writeError(frame: Frame, error: unknown, asJson: boolean): void {
  const code = isBrambleError(error) ? error.code : 'ERR_INTERNAL';
  const details = isBrambleError(error) ? error.details : {};
  if (asJson) {
    frame.errors.write(`${shownJson({ code, message: messageOf(error), details })}\n`);
    return;
  }
  if (error instanceof Declined) {
    frame.errors.write(`${error.message}\n`);
    return;
  }
  const style = styleFor(frame.errors, frame.environment);
  // A service's message is one line; those of this program may have several.
  const message = error instanceof AnsweredError ? shownText(error.message) : shownLines(messageOf(error));
  frame.errors.write(`${paragraphs(style, `${style.red('error:')} ${message} ${style.dim(`(${code})`)}`)}\n`);
  if (!isBrambleError(error) && frame.environment['BRAMBLE_DEBUG'] && error instanceof Error) {
    frame.errors.write(`${shownLines(error.stack ?? '')}\n`);
  }
}
