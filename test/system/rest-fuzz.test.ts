/**
 * Whatever is sent to the administration service, or to the coordinator while none is at work, it is the sender's fault or it
 * is done: a seeded fuzz over every operation of the OpenAPI document, by values that fit its schemas, values that nearly do,
 * and bytes that are no JSON at all, each with the token of one role or another. Every answer is one that the document declares.
 * `FUZZ_SEED` repeats a run; `FUZZ_CASES=1000` makes it longer, in cases for each operation (default 50: each run draws others).
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { createToken } from '../../src/access/administrator-tokens.ts';
import { predefinedRoleNames } from '../../src/api/rights.ts';
import { openDatabase } from '../../src/database/connection.ts';
import { createTestDatabase } from '../../src/database/database-fixture.ts';
import { writeMasterKeys } from '../../src/database/sealed-value.ts';
import { configureForHosts, startAdministration } from '../../src/processes/administration/administration-fixture.ts';
import {
  startCoordinatorEndpoint,
  startTestUpgrade,
} from '../../src/processes/coordinator/coordinator-endpoint-fixture.ts';
import { endingWithin } from '../../src/testing/property.ts';
import { readOpenUpgrade } from '../../src/upgrade/state/upgrade-store.ts';
import { insertTestDomain, insertTestInstance } from '../../src/upgrade/steps/domain-fixture.ts';

type Json = { readonly [key: string]: unknown };

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly { name: string; in: 'path' | 'query'; schema: Json }[];
  readonly body: { type: string; schema: Json } | null;
}

const seed = Number(process.env['FUZZ_SEED'] ?? randomInt(2 ** 31));
/** Of an operation. */
const limitMs = 300_000;
const casesEach = Number(process.env['FUZZ_CASES'] ?? 50);

const unlimited = { burst: 1e9, perSecond: 1e9 };
const admin = await startAdministration({ rates: { administrator: unlimited, unknown: unlimited } });
await configureForHosts(admin);
await mkdir(join(admin.home, 'keys'), { recursive: true });
await writeMasterKeys(join(admin.home, 'keys', 'master.json'), admin.context.masterKeys);
after(async () => {
  await admin.close();
});
await admin.call('POST', '/accounts', { name: 'ada', instance: 'one' });
await admin.call('POST', '/groups', { name: 'sales' });

const document = (await (await fetch(`${admin.url}/api/v1/openapi.json`)).json()) as {
  paths: Record<string, Record<string, Json>>;
};
const ajv = new Ajv2020({ strict: false, validateFormats: false });
ajv.addSchema(document, 'api');

/** Refuses an answer that the document does not declare for the operation. */
function assertDeclared(operation: Operation, status: number, type: string, text: string): void {
  const [media = ''] = type.split(';');
  const pointer = ['paths', operation.path, operation.method.toLowerCase(), 'responses', String(status)];
  const declared = at(document, pointer);
  assert.ok(declared, `${status} is not declared: ${text.slice(0, 300)}`);
  const shared = declared['$ref'];
  const place = typeof shared === 'string' ? shared.slice(2).split('/') : pointer;
  const content = at(document, [...place, 'content']);
  if (content === undefined) {
    assert.equal(text, '');
    return;
  }
  assert.ok(content[media], `${status} is declared as ${Object.keys(content).join()}, not ${media}`);
  if (!/^application\/(problem\+)?json$/.test(media)) return;
  const path = [...place, 'content', media, 'schema'].map((part) => part.replaceAll('~', '~0').replaceAll('/', '~1'));
  const fits = ajv.getSchema(`api#/${path.map(encodeURIComponent).join('/')}`);
  assert.ok(fits);
  assert.ok(fits(JSON.parse(text)), `${status} ${ajv.errorsText(fits.errors)}: ${text.slice(0, 300)}`);
}

function at(value: Json, keys: readonly string[]): Json | undefined {
  return keys.reduce<Json | undefined>((current, key) => current?.[key] as Json | undefined, value);
}

function operations(): Operation[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      const content = (operation['requestBody'] as { content: Record<string, { schema?: Json }> } | undefined)?.content;
      const [type, media] = Object.entries(content ?? {})[0] ?? [];
      return {
        method: method.toUpperCase(),
        path,
        parameters: (operation['parameters'] ?? []) as Operation['parameters'],
        body: type === undefined ? null : { type, schema: media?.schema ?? {} },
      };
    }),
  );
}

/** Texts that have broken parsers, shells, terminals and databases, and names that exist here. */
const text = fc.oneof(
  fc.constantFrom('ada', 'one', 'two', 'sales', 'Default', 'admin-1', ''),
  fc.constantFrom(
    '\0',
    '\ud800',
    '\u202e',
    '../..',
    '%',
    "'; drop table account; --",
    '\u001b[2J',
    '💥',
    'constructor',
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ minLength: 300, maxLength: 5000 }),
  fc.uuid(),
);
const anything: fc.Arbitrary<unknown> = fc.oneof(
  { maxDepth: 3 },
  text,
  fc.constantFrom(null, true, false, -1, 0, 1, 2 ** 31, 2 ** 53 + 2, 1e308, -0.5),
  fc.array(fc.oneof(text, fc.double({ noNaN: true })), { maxLength: 4 }),
  fc.object({ maxDepth: 3, withNullPrototype: false }),
);

/** Values that fit the schema three times of four. */
function jsonOf(schema: Json): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 3, arbitrary: fittingValue(schema) }, { weight: 1, arbitrary: anything });
}

function fittingValue(schema: Json): fc.Arbitrary<unknown> {
  const options = (schema['anyOf'] ?? schema['oneOf']) as readonly Json[] | undefined;
  if (options !== undefined) return fc.oneof(...options.map(fittingValue));
  if ('const' in schema) return fc.constant(schema['const']);
  if (Array.isArray(schema['enum'])) return fc.constantFrom(...(schema['enum'] as unknown[]));
  const number = (key: string, otherwise: number) => Number(schema[key] ?? otherwise);
  switch (schema['type']) {
    case 'string':
      return fittingText(schema);
    case 'integer':
      return fc.integer({
        min: Math.max(-(2 ** 31), number('minimum', -10)),
        max: Math.min(2 ** 31, number('maximum', 10_000)),
      });
    case 'number':
      return fc.double({ min: number('minimum', -10), max: number('maximum', 10_000), noNaN: true });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array':
      return fc.array(jsonOf((schema['items'] ?? {}) as Json), { minLength: number('minItems', 0), maxLength: 4 });
    case 'object':
      return fittingObject(schema);
    default:
      return anything;
  }
}

function fittingText(schema: Json): fc.Arbitrary<unknown> {
  if (schema['format'] === 'uuid') return fc.uuid();
  if (schema['format'] === 'date-time') return fc.date({ noInvalidDate: true }).map((date) => date.toISOString());
  if (typeof schema['pattern'] === 'string') return fc.stringMatching(new RegExp(schema['pattern']));
  return fc.oneof(text, fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }));
}

function fittingObject(schema: Json): fc.Arbitrary<unknown> {
  const properties = Object.entries((schema['properties'] ?? {}) as Record<string, Json>);
  const requiredKeys = (schema['required'] ?? []) as string[];
  const own = fc.record(Object.fromEntries(properties.map(([key, of]) => [key, jsonOf(of)])), { requiredKeys });
  const further = schema['additionalProperties'];
  const extra = fc.dictionary(
    text.filter((key) => key !== '__proto__'),
    typeof further === 'object' ? jsonOf(further as Json) : anything,
    { maxKeys: 2 },
  );
  return fc
    .tuple(
      own,
      fc.oneof({ weight: further === false ? 1 : 3, arbitrary: extra }, { weight: 3, arbitrary: fc.constant({}) }),
    )
    .map(([given, more]) => ({ ...given, ...more }));
}

const importLines = fc
  .array(fc.record({ name: jsonOf({ type: 'string' }), groups: anything }, { requiredKeys: ['name'] }), {
    maxLength: 4,
  })
  .map((lines) => Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join('')));

/** A body as bytes, most of them the JSON of the value. */
function bytesOf({ type, schema }: { type: string; schema: Json }): fc.Arbitrary<Uint8Array> {
  const json =
    type === 'application/x-ndjson'
      ? importLines
      : jsonOf(schema).map((value) => Buffer.from(JSON.stringify(value) ?? 'null'));
  return fc.oneof(
    { weight: 8, arbitrary: json },
    { weight: 1, arbitrary: json.map((bytes) => bytes.subarray(0, bytes.length / 2)) },
    { weight: 1, arbitrary: json.map((bytes) => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), bytes])) },
    { weight: 1, arbitrary: fc.tuple(json, fc.nat()).map(([bytes, at]) => withByte(bytes, at, 0xff)) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }) },
    { weight: 1, arbitrary: fc.nat({ max: 5000 }).map((depth) => Buffer.from('['.repeat(depth) + ']'.repeat(depth))) },
  );
}

function withByte(bytes: Buffer, at: number, byte: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at % Math.max(1, copy.length)] = byte;
  return copy;
}

const pathPart = fc.oneof(
  { weight: 4, arbitrary: text.map((part) => encodeURIComponent(part.toWellFormed()) || '-') },
  { weight: 1, arbitrary: fc.constantFrom('%FF', '%C0%AF', '%2e%2e%2f', '%00', '%', 'a'.repeat(500)) },
);

interface Case {
  /** Of whose token. */
  asker: number;
  headers: Record<string, string>;
  url: string;
  type: string;
  body: Uint8Array | null;
}

function caseOf(operation: Operation): fc.Arbitrary<Case> {
  const { path, parameters, body } = operation;
  const inPath = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name);
  const inQuery = parameters.filter((parameter) => parameter.in === 'query');
  return fc
    .record({
      asker: fc.nat(),
      headers,
      parts: fc.tuple(...inPath.map(() => pathPart)),
      query: fc.tuple(...inQuery.map(({ schema }) => fc.option(jsonOf(schema)))),
      extra: fc.oneof(
        { weight: 5, arbitrary: fc.constant('') },
        fc.constantFrom('unknown=1', '%FF=1', 'limit=%', '&&='),
      ),
      bytes: body === null ? fc.constant(null) : fc.option(bytesOf(body), { freq: 12 }),
      type: fc.oneof(
        { weight: 12, arbitrary: fc.constant(body?.type ?? 'application/json') },
        fc.constantFrom('text/plain', 'application/json; charset=utf-16', 'x'),
      ),
    })
    .map(({ asker, headers, parts, query, extra, bytes, type }) => {
      const given = inQuery.flatMap(({ name }, index) =>
        query[index] === null ? [] : [`${name}=${encodeURIComponent(queryText(query[index]))}`],
      );
      const search = [...given, ...(extra === '' ? [] : [extra])].join('&');
      const filled = inPath.reduce((url, name, index) => url.replace(`{${name}}`, parts[index] ?? '-'), path);
      return { asker, headers, url: `${filled}${search === '' ? '' : `?${search}`}`, type, body: bytes };
    });
}

/** Those that any change may carry. */
const headers = fc.oneof(
  { weight: 5, arbitrary: fc.constant({}) },
  fc.constantFrom('"1"', '"0"', '*', 'W/"1"', 'x', '"1", "0"').map((tag) => ({ 'if-match': tag })),
  fc.constantFrom('a', '"b"', '', 'with blank').map((key) => ({ 'idempotency-key': key })),
  fc.constantFrom('1.1', '1.5', '2.0', 'x').map((version) => ({ 'bramble-version': version })),
) as fc.Arbitrary<Record<string, string>>;

function queryText(value: unknown): string {
  return (typeof value === 'object' ? JSON.stringify(value) : String(value)).toWellFormed();
}

interface Service {
  readonly name: string;
  readonly url: string;
  /** The first may do everything. */
  readonly tokens: readonly string[];
  readonly operations: readonly Operation[];
  /** Before each case. */
  prepare?(): Promise<void>;
}

/** A coordinator of an upgrade that is in another state at every case. */
async function startCoordinator(all: readonly Operation[]): Promise<Service> {
  const { url } = await createTestDatabase();
  const db = openDatabase(url, { applicationName: 'bramble/test', max: 3 });
  await insertTestDomain(db);
  await insertTestInstance(db, { name: 'one', accounts: 3 });
  const endpoint = await startCoordinatorEndpoint(db);
  after(async () => {
    await endpoint.close();
    await db.end({ timeout: 5 });
  });
  const token = await createToken(db, 'ada');
  assert.notEqual(token, 'name-taken');
  let cases = 0;
  return {
    name: 'the coordinator',
    url: endpoint.url,
    tokens: [token],
    operations: all.filter(({ path }) => /\/(upgrade(\/(?!plan|start)|$)|assignment$)/.test(path)),
    prepare: async () => {
      cases += 1;
      if ((await readOpenUpgrade(db)) === undefined) await startTestUpgrade(db);
      const state = upgradeStates[cases % upgradeStates.length] ?? '';
      await db`
        update upgrade set state = ${state}, paused_from = ${state === 'paused' ? 'moving' : null}
         where finished_at is null`;
    },
  };
}

const upgradeStates = ['checked', 'admin-upgraded', 'moving', 'paused', 'all-moved', 'soaking', 'reversing'];

async function answersOnlyTheSender(service: Service, operation: Operation): Promise<void> {
  const property = fc.asyncProperty(caseOf(operation), async ({ asker, headers, url, type, body }) => {
    await service.prepare?.();
    const token = service.tokens[asker % service.tokens.length] ?? '';
    const response = await fetch(`${service.url}${url}`, {
      method: operation.method,
      headers: { ...headers, authorization: `Bearer ${token}`, ...(body === null ? {} : { 'content-type': type }) },
      ...(body === null ? {} : { body: body as Uint8Array<ArrayBuffer> }),
    });
    const answered = await response.text();
    assert.ok(response.status < 500, `${response.status} ${answered}`);
    assertDeclared(operation, response.status, response.headers.get('content-type') ?? '', answered);
    if (response.status < 400) return;
    const { code } = JSON.parse(answered) as Record<string, unknown>;
    assert.match(String(code), /^ERR_[A-Z0-9_]+$/);
  });
  await fc.assert(property, { seed, numRuns: casesEach, ...endingWithin(limitMs) });
}

/** Half of all cases may do everything; the other half has one of the roles. */
async function tokensOfRoles(): Promise<string[]> {
  const limited: string[] = [];
  for (const role of predefinedRoleNames) {
    const { body } = await admin.call('POST', '/tokens', { name: `of-${role}`, role });
    limited.push((body as { token: string }).token);
  }
  return [...limited.map(() => admin.token), ...limited];
}

const all = operations();
const administration: Service = {
  ...{ name: 'the administration service', url: admin.url, tokens: await tokensOfRoles(), operations: all },
};
const coordinator = await startCoordinator(all);

test('the coordinator serves eleven operations of the document', () => {
  assert.equal(coordinator.operations.length, 11);
});

for (const service of [administration, coordinator]) {
  for (const operation of service.operations) {
    const name = `${operation.method} ${operation.path} of ${service.name}`;
    test(`${name} answers wrong input with an error that is the sender's`, { timeout: limitMs }, async () => {
      await answersOnlyTheSender(service, operation);
    });
  }
}
