/** The tree of commands, and what becomes of their failures: one message on the error stream, one exit code. */
import { Command, CommanderError, Help, type Option } from 'commander';
import { BrambleError, isBrambleError, messageOf } from '../base/errors.ts';
import { shownJson, shownLines, shownText } from '../base/shown-text.ts';
import { thisRelease } from '../release/this-release.ts';
import { addAccountCommands, addGroupCommands } from './commands/account.ts';
import { addAuditCommands } from './commands/audit.ts';
import { addComponentCommands } from './commands/component.ts';
import { addDatabaseCommands } from './commands/database.ts';
import { addBudgetCommands, addDeliveriesCommand } from './commands/delivery.ts';
import { addDeviceCommands } from './commands/device.ts';
import { addDomainCommands } from './commands/domain.ts';
import { addInstanceCommands, addSrpCommands } from './commands/instance.ts';
import { addMoveCommands } from './commands/move.ts';
import { addPolicyCommands, addServiceCommands } from './commands/policy.ts';
import { addProcessCommands } from './commands/process.ts';
import { addSetupCommands } from './commands/setup.ts';
import { addStatusCommand } from './commands/status.ts';
import { addTokenCommands } from './commands/token.ts';
import { addUpgradeCommands } from './commands/upgrade.ts';
import { exitCode, exitCodeOf } from './exit-codes.ts';
import { type CommandStreams, createFrame, type Frame, type GlobalFlags } from './frame.ts';
import { RestError } from './rest-client.ts';
import { styleFor } from './text-output.ts';

/** Runs one command line (`argv` without node and script) and returns the exit code. Never throws. */
export async function runCommandLine(argv: readonly string[], streams: CommandStreams): Promise<number> {
  const frame = createFrame(streams);
  const result: { code: number } = { code: exitCode.ok };
  const program = createProgram(frame, (code) => {
    result.code = code;
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return result.code;
  } catch (error) {
    if (error instanceof CommanderError && isHelp(error)) return error.exitCode === 0 ? exitCode.ok : exitCode.usage;
    const failure = error instanceof CommanderError ? usageError(error) : error;
    // The arguments may not have been read so far.
    writeError(frame, failure, program.opts<GlobalFlags>().json === true || argv.includes('--json'));
    return exitCodeOf(failure, failure instanceof RestError ? failure.status : undefined);
  }
}

/** Help or the version was asked for, or shown to who gave no command. */
function isHelp(error: CommanderError): boolean {
  return ['commander.help', 'commander.helpDisplayed', 'commander.version'].includes(error.code);
}

/** What does not fit in the arguments is a failure like others: with a code, and as JSON where that is wanted. */
function usageError(error: CommanderError): BrambleError {
  const message = error.message.replace(/^error: /, '').replace(/[^.)?]$/, '$&.');
  return new BrambleError(
    'ERR_USAGE',
    `${message.charAt(0).toUpperCase()}${message.slice(1)} --help says what there is.`,
    {
      cause: error,
    },
  );
}

/** Empty lists and switches that are off are no defaults that anybody needs to read of. */
function optionDescription(this: Help, option: Option): string {
  const { defaultValue } = option;
  const plain = defaultValue === undefined || defaultValue === false || typeof defaultValue === 'object';
  return plain ? option.description : Help.prototype.optionDescription.call(this, option);
}

function createProgram(frame: Frame, setExitCode: (code: number) => void): Command {
  const program = new Command('bramble');
  // Sub-commands inherit these when they are added, so they come first.
  program
    .exitOverride()
    .configureOutput({
      writeOut: (text) => frame.output.write(shownLines(text)),
      writeErr: (text) => frame.errors.write(shownLines(text)),
      // Written by whoever ran the command, with its code.
      outputError: () => {},
    })
    .configureHelp({ showGlobalOptions: true, optionDescription });
  program
    .description('device management whose upgrades take no device offline')
    .version(thisRelease.release, '--version', 'print the release')
    .option(
      '--url <url>',
      'administration service, several with commas (default: BRAMBLE_URL, or BRAMBLE_HOME/admin.json)',
    )
    .option('--token <token>', 'administrator token (default: BRAMBLE_TOKEN, or BRAMBLE_HOME/admin.json)')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ bramble up\n  $ bramble status\n  $ bramble account create ada');
  addProcessCommands(program, frame, setExitCode);
  addStatusCommand(program, frame);
  addComponentCommands(program, frame);
  addBudgetCommands(program, frame);
  addDeliveriesCommand(program, frame);
  addDomainCommands(program, frame);
  addTokenCommands(program, frame);
  addAccountCommands(program, frame);
  addGroupCommands(program, frame);
  addDeviceCommands(program, frame);
  addPolicyCommands(program, frame);
  addServiceCommands(program, frame);
  addInstanceCommands(program, frame);
  addSrpCommands(program, frame);
  addMoveCommands(program, frame);
  addUpgradeCommands(program, frame);
  addAuditCommands(program, frame, setExitCode);
  addDatabaseCommands(program, frame, setExitCode);
  addSetupCommands(program, frame);
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
  const style = styleFor(frame.errors, frame.environment);
  // What a service answered is one line; messages of this program may have several.
  const message = error instanceof RestError ? shownText(error.message) : shownLines(messageOf(error));
  frame.errors.write(`${style.red('error:')} ${message} ${style.dim(`(${code})`)}\n`);
  if (!isBrambleError(error) && frame.environment['BRAMBLE_DEBUG'] && error instanceof Error) {
    frame.errors.write(`${shownLines(error.stack ?? '')}\n`);
  }
}
