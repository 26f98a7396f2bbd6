/**
 * How commander behaves here: invalid arguments are failures like all others (one message, ERR_USAGE, JSON with
 * `--json`), and help shows no meaningless defaults.
 */
import { type Command, CommanderError, Help } from 'commander';
import { BrambleError } from '../base/errors.ts';
import { shownLines } from '../base/shown-text.ts';
import type { CommandStreams } from './frame.ts';
import { paragraphs, styleFor } from './text-output.ts';

const nothing = new Set(['false', '""', '[]', '{}']);

/**
 * Makes a command write to these streams, and throw instead of exiting, without printing what it throws. Commands added
 * later inherit this.
 */
export function settleCommander(
  command: Command,
  { output, errors, environment }: Pick<CommandStreams, 'output' | 'errors' | 'environment'>,
  wantsJson: () => boolean,
): Command {
  const help = new Help();
  return command
    .exitOverride()
    .configureOutput({
      getOutHelpWidth: () => widthOf(output),
      getErrHelpWidth: () => widthOf(errors),
      writeOut: (text) => output.write(paragraphs(styleFor(output, environment), shownLines(text))),
      writeErr: (text) => {
        if (!wantsJson()) errors.write(paragraphs(styleFor(errors, environment), shownLines(text)));
      },
      outputError: () => undefined,
    })
    .configureHelp({
      showGlobalOptions: true,
      // Aliases would widen the column of names until descriptions break within words.
      subcommandTerm: (listed) => help.subcommandTerm(listed).replace(/^([^ |]+)\|\S+/, '$1'),
      optionDescription: (option) =>
        nothing.has(JSON.stringify(option.defaultValue)) ? option.description : help.optionDescription(option),
    });
}

/** Of help, which is broken into lines in a file, too. */
function widthOf(stream: CommandStreams['output']): number {
  return (stream.isTTY === true && stream.columns) || 80;
}

/** Requested output, such as help: not a failure. */
export function isDone(error: unknown): boolean {
  return error instanceof CommanderError && error.exitCode === 0;
}

/** Errors for invalid arguments become ERR_USAGE; others stay as they are. */
export function usageError(error: unknown): unknown {
  if (!(error instanceof CommanderError)) return error;
  // After a group of commands without one of them its help was written.
  const what =
    error.code === 'commander.help'
      ? 'a command is missing'
      : error.message.replace(/^error: /, '').replace(' is invalid. ', ' is invalid: ');
  const [, said = what, meant] = /^(.*)\n\((Did you mean .*\?)\)$/s.exec(what) ?? [];
  const sentence = said.replace(/\.?\n/g, '. ').replace(/\.?$/, '.');
  const hint = meant === undefined ? '' : ` ${meant}`;
  return new BrambleError('ERR_USAGE', `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}${hint} See --help.`);
}
