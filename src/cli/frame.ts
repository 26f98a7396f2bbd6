/**
 * The context of every command: streams, environment, style, and the one way to ask the administration and show the
 * answer.
 */
import type { Command } from 'commander';
import { type AdministrationClient, readAnswer } from '../api/client.ts';
import { AnsweredError } from '../api/exchange.ts';
import type { AnswerOf, Operation, RequestOf } from '../api/operation.ts';
import type { BrambleError } from '../base/errors.ts';
import { shownJson, shownLines, shownValue } from '../base/shown-text.ts';
import { type AccessFlags, resolveAccess } from './administration-access.ts';
import { createCommandClient } from './command-client.ts';
import type { Environment } from './profiles.ts';
import { paragraphs, type Style, styleFor } from './text-output.ts';
import { inTypedWords } from './typed-words.ts';
import { type Watched, watch } from './watching.ts';

export interface CommandStreams {
  input: NodeJS.ReadableStream;
  output: NodeJS.WritableStream & { isTTY?: boolean; columns?: number };
  errors: NodeJS.WritableStream & { isTTY?: boolean; columns?: number };
  environment: Environment;
}

/** Options of the program itself. */
export interface GlobalFlags extends AccessFlags {
  json?: boolean;
}

/** Every text in the answer is escaped; `sent` is all of it, with what only the service's release knows. */
type AnswerText<Op extends Operation> = (answer: AnswerOf<Op>, style: Style, sent: unknown) => string;

export interface Frame extends CommandStreams {
  style: Style;
  /** Writes text for people; control sequences in it are escaped, except our own colours. */
  say(text: string): void;
  /** Writes what a program is to read, which no line is broken in. */
  print(text: string): void;
  /** Its failures name options and arguments of the command instead of fields. */
  client(command: Command): Promise<AdministrationClient>;
  /** Whether `--json` was given. */
  wantsJson(command: Command): boolean;
  /**
   * Shows a value as JSON or as text. The caller escapes foreign texts in it (`shownValue`): they may contain line
   * breaks.
   */
  show<Value>(command: Command, value: Value, text: (value: Value, style: Style) => string): void;
  /** Asks, and shows the answer: with `--json` unchanged, otherwise as text. */
  ask<Op extends Operation>(
    command: Command,
    operation: Op,
    request: RequestOf<Op>,
    text: AnswerText<Op>,
  ): Promise<void>;
  /** The same repeatedly, until an answer says that nothing more will change. */
  watch<Op extends Operation>(
    command: Command,
    operation: Op,
    request: RequestOf<Op>,
    text: AnswerText<Op>,
    isOver: (answer: AnswerOf<Op>) => boolean,
  ): Promise<void>;
}

export function createFrame(streams: CommandStreams): Frame {
  const style = styleFor(streams.output, streams.environment);
  const flagsOf = (command: Command): GlobalFlags => command.optsWithGlobals<GlobalFlags>();
  const print = (text: string): void => {
    streams.output.write(`${shownLines(text)}\n`);
  };
  const say = (text: string): void => print(paragraphs(style, text));
  const shown = <Op extends Operation>(operation: Op, sent: unknown, text: AnswerText<Op>): string =>
    text(shownValue(readAnswer(operation, sent)), style, shownValue(sent));
  const frame: Frame = {
    ...streams,
    style,
    say,
    print,
    client: async (command) => {
      const access = await resolveAccess(flagsOf(command), streams.environment);
      const onWaiting = (text: string): void => {
        if (streams.errors.isTTY !== true) return;
        streams.errors.write(`${paragraphs(styleFor(streams.errors, streams.environment), text)}\n`);
      };
      return withTypedWords(createCommandClient(access, { onWaiting }), command);
    },
    wantsJson: (command) => flagsOf(command).json === true,
    show: (command, value, text) => {
      if (frame.wantsJson(command)) print(shownJson(value, 2));
      else say(text(value, style));
    },
    ask: async (command, operation, request, text) => {
      const client = await frame.client(command);
      const sent = await client.send(operation, request);
      frame.show(command, sent, () => shown(operation, sent, text));
    },
    watch: async (command, operation, request, text, isOver) => {
      let client: AdministrationClient | undefined;
      const look = async (): Promise<Watched> => {
        client ??= await frame.client(command);
        const sent = await client.send(operation, request).catch((error: unknown) => {
          // What replaces the service announces an address of its own.
          client = undefined;
          throw error;
        });
        return {
          text: frame.wantsJson(command) ? shownJson(sent) : paragraphs(style, shown(operation, sent, text)),
          over: isOver(readAnswer(operation, sent)),
        };
      };
      const lostText = (error: BrambleError) =>
        frame.wantsJson(command) ? '' : `\n${paragraphs(style, `${error.message} Looking again.`)}\n`;
      await watch({ output: frame.output, look, lostText });
    },
  };
  return frame;
}

/** Failures of requests name what was typed. */
function withTypedWords(client: AdministrationClient, command: Command): AdministrationClient {
  const send: AdministrationClient['send'] = async (operation, request) =>
    await client.send(operation, request).catch((error: unknown) => {
      throw error instanceof AnsweredError ? inTypedWords(command, operation, request, error) : error;
    });
  return { ...client, send, call: async (operation, request) => readAnswer(operation, await send(operation, request)) };
}

/** Ends a command's help with an example. */
export function example(command: Command, ...lines: readonly string[]): Command {
  return command.addHelpText('after', `\nExample:\n${lines.map((line) => `  $ ${line}`).join('\n')}`);
}
