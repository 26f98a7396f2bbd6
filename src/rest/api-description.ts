/**
 * The OpenAPI 3.1 document, completed: what stands in an operation's shapes is there already; this adds what holds by its kind,
 * such as who may ask, which headers it takes, and how it can fail.
 *
 * Invariant: what is said once is referred to, so that the document of all operations stays readable.
 */
import fastifySwagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { jsonSchemaTransform } from 'fastify-type-provider-zod';
import * as z from 'zod';
import type { Operation } from '../api/operation.ts';
import { resources } from '../api/operations.ts';
import { problem, problemMediaType } from '../api/shapes.ts';
import { withExamples } from './api-examples.ts';
import { mapValues } from './map-values.ts';
import { closedSchema } from './strict-input.ts';

type Json = Readonly<Record<string, unknown>>;

interface Description {
  readonly paths?: Readonly<Record<string, Readonly<Record<string, Json>>>>;
  readonly components?: Json;
}

/** How any operation can fail, by status; more by what it does. */
const failures: Readonly<Record<string, { readonly text: string; readonly when: (operation: Operation) => boolean }>> =
  {
    400: { text: 'Something in the request does not fit; `details.field` names it.', when: () => true },
    401: { text: 'Nobody is signed in, or what was given for it is wrong.', when: isJudged },
    403: {
      text: 'The right for it is missing, a second factor is owed, or a page of somebody else asked.',
      when: isJudged,
    },
    404: { text: 'There is no such thing, or none that one may see.', when: () => true },
    408: { text: 'The body did not arrive in time.', when: hasBody },
    409: { text: 'The state of the domain, or of what is to be changed, forbids it.', when: () => true },
    412: { text: 'It was changed since it was shown with the ETag that `If-Match` names.', when: isWrite },
    413: { text: 'The body is too large.', when: hasBody },
    415: { text: 'The body is of another media type.', when: isWrite },
    422: { text: 'The idempotency key was used for another request.', when: isWrite },
    429: { text: 'Too many requests, or too much at once; `Retry-After` says when to come again.', when: () => true },
    431: { text: 'The headers, of which the address is one, are too large.', when: () => true },
    500: { text: 'A fault of the service; its log has the cause.', when: () => true },
    502: { text: 'The OpenID provider gave no answer that can be used.', when: asksProvider },
    503: { text: 'The database does not answer at the moment.', when: () => true },
  };

const textSchema = { type: 'string' };
const headers = {
  RequestId: { description: 'Of this request; a change has it in the audit.', schema: textSchema },
  Release: { description: 'The release that answers.', schema: textSchema },
  ETag: { description: 'Of what is shown, for `If-Match` and `If-None-Match`.', schema: textSchema },
  RetryAfter: { description: 'Seconds.', schema: { type: 'integer' } },
};
const parameters = {
  Version: {
    ...{ name: 'Bramble-Version', in: 'header', schema: textSchema, example: '1.5' },
    description: 'The release that the client was written for.',
  },
  IfMatch: {
    ...{ name: 'If-Match', in: 'header', schema: textSchema, example: '"48"' },
    description: 'The ETag that was shown, or its revision in quotation marks: what was changed since is not changed.',
  },
  IfNoneMatch: {
    ...{ name: 'If-None-Match', in: 'header', schema: textSchema, example: '"48.mWq0o6r3kT1xYc9v2hZbNw"' },
    description: 'The ETag of what one has: it is not sent again.',
  },
  IdempotencyKey: {
    ...{ name: 'Idempotency-Key', in: 'header', schema: { type: 'string', maxLength: 202 } },
    description: 'With the same key, the same request is carried out once and answered the same for a day.',
    example: '"6fbd3c0e-3d0b-4a80-8f4e-8a0a0b7f9c11"',
  },
};

const byRoute = new Map(
  Object.entries(resources).flatMap(([resource, operations]) =>
    Object.entries<Operation>(operations).map(([name, operation]) => [
      `${operation.method} /api/v1${operation.path.replace(/:(\w+)/g, '{$1}')}`,
      { operation, operationId: `${resource}.${name}` },
    ]),
  ),
);

/** Call it before the routes are registered. @param session name of the cookie of a session */
export async function describeApi(app: FastifyInstance, release: string, session: string): Promise<void> {
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Bramble administration',
        description:
          'Everything that an administrator can do in a Bramble domain. docs/rest.md says what holds for all of it.',
        version: release,
      },
    },
    transform: describeStrictly,
    transformObject: (document) =>
      'openapiObject' in document ? (completeDescription(document.openapiObject as Description, session) as never) : {},
  });
}

const describeStrictly: typeof jsonSchemaTransform = (route) => {
  const { schema, url } = jsonSchemaTransform(route);
  const { body, querystring } = schema;
  return { schema: { ...schema, body: closedSchema(body), querystring: closedSchema(querystring) }, url };
};

function completeDescription(document: Description, session: string): Description {
  return {
    ...document,
    paths: mapValues(document.paths ?? {}, (methods, path) =>
      mapValues(methods, (described, method) => {
        const found = byRoute.get(`${method.toUpperCase()} ${path}`);
        if (found === undefined) return described;
        const { operation, operationId } = found;
        return completeOperation(withExamples(described, operation.path, operationId), operation, operationId);
      }),
    ),
    components: {
      schemas: { Problem: withoutDialect(z.toJSONSchema(problem)) },
      headers,
      parameters,
      responses: mapValues(failures, ({ text }, status) => failureResponse(text, status)),
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'A token of an administrator or a program.' },
        session: { type: 'apiKey', in: 'cookie', name: session, description: 'Of who signed in in a browser.' },
      },
    },
  };
}

function completeOperation(described: Json, operation: Operation, operationId: string): Json {
  const { right, revised, status = 200 } = operation;
  const own = (described['parameters'] ?? []) as Json[];
  const isConditional = revised === true && isWrite(operation) && status !== 201;
  const isKeyed = isWrite(operation) && isGuarded(operation) && !operation.consumes && !operation.takesPassword;
  const isShown = revised === true && !isWrite(operation);
  const taken = [
    'Version',
    ...(isConditional ? ['IfMatch'] : []),
    ...(isShown ? ['IfNoneMatch'] : []),
    ...(isKeyed ? ['IdempotencyKey'] : []),
  ];
  const done = ((described['responses'] ?? {}) as Record<string, Json>)[status];
  return {
    operationId,
    ...described,
    security: isGuarded(operation) ? [{ token: [] }, { session: [] }] : [],
    'x-right': right,
    parameters: [...own, ...taken.map((name) => ({ $ref: `#/components/parameters/${name}` }))],
    responses: {
      [status]: { ...done, description: 'Done.', headers: headersOf(revised === true ? ['ETag'] : []) },
      ...(isShown ? { 304: { description: 'It is what one has.', headers: headersOf(['ETag']) } } : {}),
      ...Object.fromEntries(
        Object.entries(failures)
          .filter(([, { when }]) => when(operation))
          .map(([failed]) => [failed, { $ref: `#/components/responses/${failed}` }]),
      ),
    },
  };
}

function failureResponse(description: string, status: string): Json {
  return {
    description,
    headers: headersOf(status === '429' ? ['RetryAfter'] : []),
    content: { [problemMediaType]: { schema: { $ref: '#/components/schemas/Problem' } } },
  };
}

function headersOf(more: readonly (keyof typeof headers)[]): Json {
  const names = {
    'X-Request-Id': 'RequestId',
    'Bramble-Release': 'Release',
    ETag: 'ETag',
    'Retry-After': 'RetryAfter',
  };
  const wanted = Object.entries(names).filter(
    ([, name]) => name === 'RequestId' || name === 'Release' || more.includes(name as keyof typeof headers),
  );
  return Object.fromEntries(wanted.map(([header, name]) => [header, { $ref: `#/components/headers/${name}` }]));
}

/** Who signs in is judged too. */
function asksProvider({ path }: Operation): boolean {
  return path.startsWith('/sign-in/openid');
}

function isJudged(operation: Operation): boolean {
  return isGuarded(operation) || isWrite(operation);
}

function isGuarded({ right }: Operation): boolean {
  return right !== 'open';
}

function isWrite({ method }: Operation): boolean {
  return method !== 'GET';
}

function hasBody({ body }: Operation): boolean {
  return body !== undefined;
}

function withoutDialect({ $schema: _, ...schema }: z.core.JSONSchema.BaseSchema): Json {
  return schema;
}
