/**
 * Examples of the OpenAPI document, made of the schemas that are in it. What a member may say is no matter of its schema: that has
 * the table of words, by the name of the member, or by that and the one around it where the same name means several things.
 *
 * Invariant: an example is as the shapes of its operation want it (`api-description.test.ts`).
 */
import { exampleBodies, exampleWords } from './example-words.ts';
import { mapValues } from './map-values.ts';

type Json = Readonly<Record<string, unknown>>;

const instant = '2026-11-27T20:15:00.000Z';
const id = '01939f6e-3c1a-7b52-9d5e-2f0c8a7b6e41';

/** An operation as it is described, with an example of whatever it takes and answers. */
export function withExamples(described: Json, path: string, operationId: string): Json {
  const [, resource = ''] = path.split('/');
  const { parameters, requestBody, responses } = described as {
    parameters?: readonly { name: string; schema: Json }[];
    requestBody?: Json;
    responses?: Readonly<Record<string, Json>>;
  };
  const own = exampleBodies[operationId];
  const fill = (schema: Json): unknown => exampleOf(schema, [resource]);
  return {
    ...described,
    ...(parameters === undefined ? {} : { parameters: parameters.map((each) => withParameter(each, resource)) }),
    ...(requestBody === undefined ? {} : { requestBody: withContent(requestBody, (schema) => own ?? fill(schema)) }),
    ...(responses === undefined ? {} : { responses: mapValues(responses, (each) => withContent(each, fill)) }),
  };
}

function withParameter(parameter: { name: string; schema: Json }, resource: string): Json {
  return { ...parameter, example: exampleOf(parameter.schema, [resource, parameter.name]) };
}

function withContent(holder: Json, fill: (schema: Json) => unknown): Json {
  const content = holder['content'] as Readonly<Record<string, { schema?: Json }>> | undefined;
  if (content === undefined) return holder;
  return {
    ...holder,
    content: mapValues(content, (media) => ({ ...media, example: fill(media.schema ?? {}) })),
  };
}

function exampleOf(schema: Json, place: readonly string[]): unknown {
  const { type, enum: words } = schema;
  const word = wordFor(place);
  if (word !== undefined && fits(word, schema)) return word;
  const [option] = optionsOf(schema);
  if (option !== undefined) return exampleOf(option, place);
  if ('const' in schema) return schema['const'];
  if (Array.isArray(words)) return (schema['default'] ?? words[0]) as unknown;
  switch (type) {
    case 'object':
      return exampleObject(schema, place);
    case 'array':
      return exampleList(schema, place);
    case 'string':
      return exampleText(schema, place.at(-1) ?? '');
    case 'integer':
    case 'number':
      return schema['default'] ?? schema['minimum'] ?? 3;
    case 'boolean':
      return schema['default'] ?? false;
    case 'null':
      return null;
    default:
      return {};
  }
}

/** Undefined without one. */
function wordFor(place: readonly string[]): unknown {
  const [around, name = ''] = place.slice(-2);
  const inside = `${around}.${name}`;
  return Object.hasOwn(exampleWords, inside) ? exampleWords[inside] : exampleWords[name];
}

/** Whether it can be what the schema is of; the same name may be that of something else elsewhere. */
function fits(word: unknown, schema: Json): boolean {
  const options = optionsOf(schema);
  if (options.length > 0) return options.some((option) => fits(word, option));
  if ('const' in schema) return word === schema['const'];
  if (Array.isArray(schema['enum'])) return schema['enum'].includes(word);
  switch (schema['type']) {
    case 'string':
      return typeof word === 'string' && (formats[String(schema['format'])]?.test(word) ?? true);
    case 'integer':
    case 'number':
      return typeof word === 'number';
    case 'array':
      return Array.isArray(word);
    case 'object':
      return isPlain(word) && schema['properties'] === undefined;
    case 'null':
      return word === null;
    default:
      return schema['type'] === undefined;
  }
}

const formats: Readonly<Record<string, RegExp>> = { 'date-time': /^\d{4}-\d\d-\d\dT/, uuid: /^[0-9a-f-]{36}$/ };

function optionsOf(schema: Json): readonly Json[] {
  const { type } = schema;
  if (Array.isArray(type)) return type.map((one: unknown) => ({ ...schema, type: one }));
  return (schema['anyOf'] ?? schema['oneOf'] ?? []) as readonly Json[];
}

function isPlain(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function exampleObject(schema: Json, place: readonly string[]): unknown {
  const properties = Object.entries((schema['properties'] ?? {}) as Readonly<Record<string, Json>>);
  return Object.fromEntries(properties.map(([name, of]) => [name, exampleOf(of, [...place, name])]));
}

function exampleList(schema: Json, place: readonly string[]): unknown {
  const usual = schema['default'] as readonly unknown[] | null | undefined;
  return usual !== null && usual !== undefined && usual.length > 0
    ? usual
    : [exampleOf((schema['items'] ?? {}) as Json, place)];
}

/** Without a word, the name of the member says what it is. */
function exampleText({ format, default: usual }: Json, name: string): unknown {
  if (format === 'date-time') return instant;
  if (format === 'uuid') return id;
  return usual ?? name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
