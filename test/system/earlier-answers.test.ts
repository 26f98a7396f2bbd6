/**
 * During an upgrade the new command line asks administration services of the release before. Whatever an operation's shape
 * requires, the sealed release has to answer, or the shape has a default for it.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import * as z from 'zod';
import type { Operation } from '../../src/api/operation.ts';
import { resources } from '../../src/api/operations.ts';
import { sealedArchive } from '../harness/archives.ts';
import { startDomain } from '../harness/domain.ts';

type Schema = Readonly<Record<string, unknown>>;

test('what a shape requires, the release before answers', { timeout: 180_000 }, async () => {
  const { file, release } = await sealedArchive();
  const domain = await startDomain({ archive: file, instances: 1 });
  after(async () => await domain.stop());
  const [service] = await domain.sql<
    { url: string }[]
  >`select loopback_url as url from component where kind = 'administration'`;
  assert.ok(service);
  const response = await fetch(`${service.url}/api/v1/openapi.json`, {
    headers: { authorization: `Bearer ${domain.token}` },
  });
  const document = (await response.json()) as { paths: Record<string, Record<string, Schema>> };

  let compared = 0;
  const lacking = Object.values(resources)
    .flatMap((operations): Operation[] => Object.values(operations))
    .flatMap((operation) => {
      const path = `/api/v1${operation.path.replace(/:(\w+)/g, '{$1}')}`;
      const before = document.paths[path]?.[operation.method.toLowerCase()];
      const answered = at(
        before,
        'responses',
        String(operation.status ?? 200),
        'content',
        'application/json',
        'schema',
      );
      if (answered === undefined) return [];
      compared += 1;
      const required = z.toJSONSchema(operation.answer, { io: 'input', unrepresentable: 'any' });
      return missing(required, answered, document).map((field) => `${operation.method} ${operation.path}: ${field}`);
    });
  assert.ok(compared > 40, `only ${compared} operations are known to ${release}`);
  assert.deepEqual(lacking, []);
});

/** Paths of the members that `wanted` requires and `given`, where it says anything, does not promise. */
function missing(wanted: Schema, given: Schema, document: Schema, path = ''): string[] {
  const ref = given['$ref'];
  if (typeof ref === 'string') return missing(wanted, at(document, ...ref.slice(2).split('/')) ?? {}, document, path);
  const [wantedOption, givenOption] = [notNull(wanted), notNull(given)];
  if (wantedOption !== wanted || givenOption !== given) return missing(wantedOption, givenOption, document, path);
  const [wantedItems, givenItems] = [at(wanted, 'items'), at(given, 'items')];
  if (wantedItems && givenItems) return missing(wantedItems, givenItems, document, `${path}[]`);
  const [members, promised] = [at(wanted, 'properties'), at(given, 'properties')];
  if (members === undefined || promised === undefined) return [];
  const [required, sent] = [wanted, given].map((schema) => (schema['required'] ?? []) as string[]);
  return Object.entries(members).flatMap(([name, member]) => {
    if (required?.includes(name) && !sent?.includes(name)) return [`${path}.${name}`];
    const there = at(promised, name);
    return there === undefined ? [] : missing(member as Schema, there, document, `${path}.${name}`);
  });
}

/** Of a value or null: the value's schema. */
function notNull(schema: Schema): Schema {
  const options = (schema['anyOf'] as Schema[] | undefined)?.filter(({ type }) => type !== 'null') ?? [];
  return options.length === 1 && options[0] ? options[0] : schema;
}

function at(value: unknown, ...keys: string[]): Schema | undefined {
  let current: unknown = value;
  for (const key of keys) current = (current as Schema | undefined)?.[key];
  return current as Schema | undefined;
}
