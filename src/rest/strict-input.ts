/**
 * How every REST server of the domain reads its input: bytes that are UTF-8, JSON of a bounded depth whose texts are
 * whole, and no key or parameter that the route does not know.
 *
 * Invariant: what is stored is what was sent. A byte or half a surrogate pair that would be replaced by U+FFFD is refused:
 * two different names would become one.
 */
import type { FastifyInstance } from 'fastify';
import { validatorCompiler } from 'fastify-type-provider-zod';
import type { $ZodType } from 'zod/v4/core';
import { BrambleError } from '../base/errors.ts';
import { fieldError, type RequestPart } from '../base/field-error.ts';
import { isNestedTooDeeply, maxJsonDepth } from '../base/shallow-json.ts';
import { unknownKey } from './unknown-keys.ts';

const brokenPercent = 'contains a percent sign that is not followed by valid UTF-8';

/** Sets up parsing and validation; call it before the routes are registered. */
export function takeStrictInput(app: FastifyInstance): void {
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_request: unknown, body: Buffer) =>
    parseJson(body),
  );
  app.addHook('onRequest', async (request) => {
    const [path = '', ...query] = request.url.split('?');
    if (!isUriText(path)) throw input('The path', brokenPercent);
    if (!isUriText(query.join('?'))) throw input('The query', brokenPercent);
  });
  app.addHook('preValidation', async ({ routeOptions, body }) => {
    if (routeOptions.schema?.body !== undefined || typeof body !== 'object' || body === null) return;
    const [key] = Object.keys(body);
    if (key !== undefined) throw fieldError('body', key, 'is unknown: this operation takes no body');
  });
  app.setValidatorCompiler<$ZodType>((route) => {
    const validate = validatorCompiler(route);
    return (data) => {
      const result = validate(data);
      const closed = route.httpPart === 'body' || route.httpPart === 'querystring';
      const unknown = closed && isValid(result) ? unknownKey(route.schema, data) : null;
      if (unknown === null) return result;
      const why = `is unknown; expected: ${unknown.known.join(', ') || 'none'}`;
      return { error: fieldError(route.httpPart as RequestPart, unknown.path, why) };
    };
  });
}

/**
 * JSON text without byte order mark.
 * @throws BrambleError ERR_INPUT that says what is wrong with it
 */
function parseJson(bytes: Uint8Array): unknown {
  const text = decodeText(bytes);
  if (text === null) throw input('The body', 'is not UTF-8');
  if (text === '') throw input('The body', 'is empty, but the content type is JSON');
  if (isNestedTooDeeply(text)) throw input('The body', `is nested deeper than ${maxJsonDepth} levels`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw input('The body', 'is not JSON');
  }
  if (text.includes('\\u') && !isWellFormed(value)) throw input('The body', 'contains an unpaired surrogate');
  return value;
}

/** The same in the API description: a JSON schema of the input, whose objects allow no additional keys. */
export function closedSchema(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closedSchema);
  if (typeof schema !== 'object' || schema === null) return schema;
  const parts = Object.fromEntries(Object.entries(schema).map(([key, part]) => [key, closedSchema(part)]));
  const isShape = parts['type'] === 'object' && 'properties' in parts && !('additionalProperties' in parts);
  return isShape ? { ...parts, additionalProperties: false } : parts;
}

/** UTF-8 without byte order mark; null where it is not UTF-8. */
export function decodeText(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** Whether no text in it, keys included, holds half a surrogate pair. */
export function isWellFormed(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([key, part]) => key.isWellFormed() && isWellFormed(part));
}

function isUriText(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function isValid(result: unknown): boolean {
  return typeof result === 'object' && result !== null && 'value' in result && !('error' in result && result.error);
}

function input(what: string, why: string): BrambleError {
  return new BrambleError('ERR_INPUT', `${what} ${why}.`);
}
