/**
 * Requests for the operations of an OpenAPI document, out of a seed: values that fit its schemas, values that nearly do, and
 * bytes that are no JSON at all.
 */
import fc from 'fast-check';

export type Json = { readonly [key: string]: unknown };

export interface DescribedOperation {
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly { name: string; in: 'path' | 'query'; schema: Json }[];
  readonly body: { type: string; schema: Json } | null;
}

export interface Case {
  readonly headers: Readonly<Record<string, string>>;
  readonly url: string;
  readonly type: string;
  readonly body: Uint8Array | null;
}

export interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Json>>>>;
}

export function operationsOf(document: Document): DescribedOperation[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      const content = (operation['requestBody'] as { content: Record<string, { schema?: Json }> } | undefined)?.content;
      const [type, media] = Object.entries(content ?? {})[0] ?? [];
      return {
        method: method.toUpperCase(),
        path,
        parameters: (operation['parameters'] ?? []) as DescribedOperation['parameters'],
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
  const { type } = schema;
  if (Array.isArray(type)) return fc.oneof(...type.map((one: unknown) => fittingValue({ ...schema, type: one })));
  if ('const' in schema) return fc.constant(schema['const']);
  if (Array.isArray(schema['enum'])) return fc.constantFrom(...(schema['enum'] as unknown[]));
  const number = (key: string, otherwise: number) => Number(schema[key] ?? otherwise);
  switch (type) {
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

export function caseOf(operation: DescribedOperation): fc.Arbitrary<Case> {
  const { path, parameters, body } = operation;
  const inPath = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name);
  const inQuery = parameters.filter((parameter) => parameter.in === 'query');
  return fc
    .record({
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
    .map(({ headers, parts, query, extra, bytes, type }) => {
      const given = inQuery.flatMap(({ name }, index) =>
        query[index] === null ? [] : [`${name}=${encodeURIComponent(queryText(query[index]))}`],
      );
      const search = [...given, ...(extra === '' ? [] : [extra])].join('&');
      const filled = inPath.reduce((url, name, index) => url.replace(`{${name}}`, parts[index] ?? '-'), path);
      return { headers, url: `${filled}${search === '' ? '' : `?${search}`}`, type, body: bytes };
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
