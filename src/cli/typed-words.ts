/**
 * A service's error names the invalid field of a request, which users of the command line do not know. Here the field
 * is mapped back to the option or argument that its value came from, and the message names that instead.
 */
import type { Argument, Command, Option } from 'commander';
import { AnsweredError } from '../api/exchange.ts';
import type { Operation } from '../api/operation.ts';
import { collectTexts, collectValues, fileText } from './arguments.ts';

/** Longer values are not repeated. */
const maxEchoLength = 100;
const partsOfRequest: Readonly<Record<string, 'body' | 'query' | 'params'>> = {
  ...{ body: 'body', querystring: 'query', params: 'params' },
};

/** The same failure, in words of the command; unchanged where its field cannot be traced. */
export function inTypedWords(
  command: Command,
  operation: Operation,
  request: unknown,
  error: AnsweredError,
): AnsweredError {
  const [sentPart = '', ...path] = String(error.details['field'] ?? '').split('.');
  const part = partsOfRequest[sentPart];
  if (part === 'body' && path.length === 0) return unknownInTypedWords(command, memberOf(request, part), error);
  const field = path.join('.');
  const [key] = path;
  if (part === undefined || key === undefined || !error.message.startsWith(`${field} `)) return error;
  const values = memberOf(request, part);
  const source = sourceOf(command, key, memberOf(values, key));
  if (source === undefined) return error;
  const why = knownInTypedWords(command, values, error.message.slice(field.length));
  const message = subjectOf(source, path, values, why) + why + listHint(operation, part, error.message);
  return new AnsweredError(error, error.code, message, error.details);
}

/** A member that no field is named for: services before 1.3 say *is invalid: Unrecognized key*. */
function unknownInTypedWords(command: Command, values: unknown, error: AnsweredError): AnsweredError {
  const [said, member = ''] =
    /^The body (?:has unknown members|is invalid: Unrecognized keys?): "([^"]+)"(?:, "[^"]+")*/.exec(error.message) ??
    [];
  if (said === undefined) return error;
  const source = sourceOf(command, member, memberOf(values, member));
  const subject = source?.kind === 'option' ? subjectOf(source, [member], values, '') : member;
  return new AnsweredError(
    error,
    error.code,
    `${subject} is unknown${error.message.slice(said.length)}`,
    error.details,
  );
}

type Source =
  | { readonly kind: 'option'; readonly option: Option; readonly named: boolean }
  | { readonly kind: 'argument'; readonly argument: Argument };

/** Where the member `key` of a request came from: what has its value, and of several the one of its name. */
function sourceOf(command: Command, key: string, value: unknown): Source | undefined {
  const sources = [
    ...command.registeredArguments.map((argument, index) => ({
      ...{ name: argument.name(), typed: command.processedArgs[index] as unknown },
      source: { kind: 'argument', argument } satisfies Source,
    })),
    ...command.options.map((option) => ({
      ...{ name: option.attributeName(), typed: command.getOptionValue(option.attributeName()) as unknown },
      source: { kind: 'option', option, named: false } satisfies Source,
    })),
  ];
  const same = sources.filter(({ typed }) => value !== undefined && (typed === value || contains(typed, value)));
  const found = same.find(({ name }) => name === key) ?? same[0] ?? sources.find(({ name }) => name === key);
  if (found !== undefined) return found.source;
  // A member of `name=value`, or one that is missing there.
  const named = command.options.filter(takesNamedValues);
  const option = named.find((one) => contains(Object.keys(Object(command.getOptionValue(one.attributeName()))), key));
  const choice = option ?? (named.length === 1 ? named[0] : undefined);
  return choice === undefined ? undefined : { kind: 'option', option: choice, named: true };
}

/** `The id "x"`, `--state "x"`, `--rule name`. */
function subjectOf(source: Source, path: readonly string[], values: unknown, why: string): string {
  const echo = echoOf(path.reduce(memberOf, values), why);
  // Elements of a list are named by their value.
  const members = path.slice(1).filter((key) => !/^\d+$/.test(key));
  if (source.kind === 'argument') return `The ${[source.argument.name(), ...members].join('.')}${echo}`;
  const { option, named } = source;
  if (named) return `${option.long} ${path.join('.')}`;
  const subject = [option.long, ...members].join(' ');
  // What a file contains was not typed.
  return takesNamedValues(option) || option.parseArg === fileText ? subject : subject + echo;
}

function takesNamedValues({ parseArg }: Option): boolean {
  return parseArg === collectValues || parseArg === collectTexts;
}

/** What was typed, if that is short and not said yet. */
function echoOf(value: unknown, why: string): string {
  if (typeof value !== 'string' || value.length > maxEchoLength || /[\r\n]/.test(value)) return '';
  return why.endsWith(`: ${value}.`) ? '' : ` "${value}"`;
}

/** ` is unknown; expected: a, b.` without what is an argument of the command. */
function knownInTypedWords(command: Command, values: unknown, why: string): string {
  return why.replace(/(; expected: )([\w, ]+)/, (_all, head: string, list: string) => {
    const known = list.split(', ').filter((key) => sourceOf(command, key, memberOf(values, key))?.kind !== 'argument');
    return head + (known.join(', ') || 'none');
  });
}

/** Which command shows the ids, where one was expected. */
function listHint(operation: Operation, part: string, message: string): string {
  if (part !== 'params' || !message.endsWith('is not a valid UUID.')) return '';
  const [, resource] = operation.path.split('/');
  if (resource === 'devices') return ' `bramble device list` shows the ids of devices.';
  if (resource === 'commands') return ' `bramble device commands DEVICE` shows the ids of its commands.';
  return resource === 'moves' ? ' `bramble move status` shows the ids of batches.' : '';
}

function memberOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Readonly<Record<string, unknown>>)[key]
    : undefined;
}

function contains(list: unknown, value: unknown): boolean {
  return Array.isArray(list) && list.includes(value);
}
