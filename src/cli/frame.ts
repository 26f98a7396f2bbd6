/** What every command works in: streams, environment, style, and the one way to ask the administration and show the answer. */
import type { Command } from 'commander';
import type * as z from 'zod';
import { shownJson, shownLines, shownValue } from '../base/shown-text.ts';
import { type Environment, resolveAccess } from './administration-access.ts';
import { createRestClient, type RestClient, RestError } from './rest-client.ts';
import { type Style, styleFor } from './text-output.ts';

export interface CommandStreams {
  input: NodeJS.ReadableStream;
  output: NodeJS.WritableStream & { isTTY?: boolean };
  errors: NodeJS.WritableStream & { isTTY?: boolean };
  environment: Environment;
}

/** Options of the program itself. */
export interface GlobalFlags {
  url?: string;
  token?: string;
  json?: boolean;
}

export interface Question<Schema extends z.ZodType> {
  method?: string;
  /** Below /api/v1. */
  path: string;
  body?: unknown;
  /** What the text needs of the answer. */
  shape: Schema;
  text: (answer: z.output<Schema>, style: Style) => string;
}

export interface Frame extends CommandStreams {
  style: Style;
  /** Writes lines; whatever a terminal would obey in them is escaped, but for colours of our own. */
  say(text: string): void;
  rest(command: Command): Promise<RestClient>;
  /** Whether `--json` was given. */
  wantsJson(command: Command): boolean;
  /** Shows a value as JSON or as text. Texts of others in it are the caller's to escape (`shownValue`): they may hold line breaks. */
  show<Value>(command: Command, value: Value, text: (value: Value, style: Style) => string): void;
  /** Asks, and shows the answer: with `--json` as it came, otherwise as text, with every text in it escaped. */
  ask<Schema extends z.ZodType>(command: Command, question: Question<Schema>): Promise<void>;
}

export function createFrame(streams: CommandStreams): Frame {
  const style = styleFor(streams.output, streams.environment);
  const flagsOf = (command: Command): GlobalFlags => command.optsWithGlobals<GlobalFlags>();
  const say = (text: string): void => {
    streams.output.write(`${shownLines(text)}\n`);
  };
  const frame: Frame = {
    ...streams,
    style,
    say,
    rest: async (command) =>
      createRestClient(await resolveAccess(flagsOf(command), streams.environment), (text) => {
        if (streams.errors.isTTY === true) streams.errors.write(`${text}\n`);
      }),
    wantsJson: (command) => flagsOf(command).json === true,
    show: (command, value, text) => {
      say(frame.wantsJson(command) ? shownJson(value, 2) : text(value, style));
    },
    ask: async (command, { method = 'GET', path, body, shape, text }) => {
      const rest = await frame.rest(command);
      const answer = await rest.send(method, path, body).catch((error: unknown) => {
        throw error instanceof RestError ? inWordsOf(command, error) : error;
      });
      frame.show(command, answer, () => text(shownValue(shape.parse(answer)), style));
    },
  };
  return frame;
}

/** A field that an option gave is named by that option: who typed `--rank` never saw `rank`. */
function inWordsOf(command: Command, error: RestError): RestError {
  const field = String(error.details['field'] ?? '').replace(/^\w+\./, '');
  const option = command.options.find((candidate) => candidate.attributeName() === field);
  if (option?.long === undefined || option.long === null || !error.message.startsWith(`${field} `)) return error;
  return new RestError(error.status, error.code, `${option.long}${error.message.slice(field.length)}`, error.details);
}

/** A part of a path. What would climb in it has a blank before it, which the service takes off. */
export function segment(text: string): string {
  return encodeURIComponent(text === '.' || text === '..' ? ` ${text}` : text);
}

/** `?a=1&b=2` of what is given; empty without anything. */
export function query(parameters: Readonly<Record<string, string | number | undefined>>): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
  if (given.length === 0) return '';
  return `?${new URLSearchParams(given.map(([key, value]) => [key, String(value)])).toString()}`;
}

/** Ends a command's help with an example. */
export function example(command: Command, ...lines: readonly string[]): Command {
  return command.addHelpText('after', `\nExample:\n${lines.map((line) => `  $ ${line}`).join('\n')}`);
}
