/** The table of operations as a whole: what can be said of every one of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import * as z from 'zod';
import type { Operation } from './operation.ts';
import { resources } from './operations.ts';

const all = Object.entries(resources).flatMap(([resource, operations]) =>
  Object.entries(operations).map(([name, operation]) => ({ name: `${resource}.${name}`, operation })),
) as { name: string; operation: Operation }[];

test('no two operations have one method and path', () => {
  const routes = all.map(({ operation }) => `${operation.method} ${operation.path}`);
  assert.deepEqual(
    routes.filter((route, index) => routes.indexOf(route) !== index),
    [],
  );
});

test('the shape of the path parameters has exactly those that stand in the path', () => {
  for (const { name, operation } of all) {
    const inPath = [...operation.path.matchAll(/:(\w+)/g)].map(([, parameter]) => parameter);
    assert.deepEqual(Object.keys(operation.params?.shape ?? {}), inPath, name);
  }
});

/** Members of answers that hold what others define. */
const free: Readonly<Record<string, string>> = {
  'audit: entries[].changes[].detail': 'the values of a row before and after',
  'audit: entries[].detail': 'who was asked, and what was recorded apart from changes',
  'components: components[].detail': 'what each kind of component says of itself',
  'connectionServices: credential': 'a file for another host',
  'deviceCommands: commands[].answer': 'what the device answered',
  'devices: inventory': 'what the device said',
  'devices: options': 'what the device said',
  'domain: components[].detail': 'what each kind of component says of itself',
  'instances: credential': 'a file for another host',
  'itPolicies: rules[].values': 'a JSON Schema',
  'services: services[].settings': 'what the books of each type take',
  'srpCredentials: credential': 'a file for another host',
  'upgrade: events[].detail': 'what each kind of event says',
};

test('every answer has a shape, down to its last member, but for what others define', () => {
  const found = Object.entries(resources).flatMap(([resource, operations]) =>
    Object.values<Operation>(operations)
      .filter(({ produces }) => produces === undefined)
      .map(({ answer }) => z.toJSONSchema(answer, { io: 'input', unrepresentable: 'any' }))
      .flatMap((schema) => freeMembers(schema))
      .map((member) => `${resource}: ${member}`),
  );
  assert.deepEqual([...new Set(found)].sort(), Object.keys(free));
});

test('only what is a stream is answered without a shape', () => {
  for (const { name, operation } of all) {
    assert.equal(operation.answer instanceof z.ZodUnknown, operation.produces !== undefined, name);
  }
});

/** Paths of members that may be any value, or an object with any members and no named one. */
function freeMembers(schema: z.core.JSONSchema._JSONSchema, path = ''): string[] {
  if (isAnything(schema)) return [path];
  const { properties, items, anyOf = [], additionalProperties } = schema as z.core.JSONSchema.JSONSchema;
  const named = Object.entries(properties ?? {}).map(([name, member]) => freeMembers(member, `${path}.${name}`));
  const others = properties === undefined && additionalProperties !== undefined ? [additionalProperties] : [];
  return [
    ...named.flat(),
    ...(items === undefined || Array.isArray(items) ? [] : freeMembers(items, `${path}[]`)),
    ...anyOf.flatMap((option) => freeMembers(option, path)),
    ...others.flatMap((other) => (isAnything(other) ? [path] : freeMembers(other, `${path}{}`))),
  ].map((member) => member.replace(/^\./, ''));
}

function isAnything(schema: z.core.JSONSchema._JSONSchema): boolean {
  if (typeof schema === 'boolean') return schema;
  return Object.keys(schema).every((key) => ['$schema', 'description', 'default'].includes(key));
}

test('client and operations, with all that they import, need no module of Node.js', { timeout: 60_000 }, async () => {
  const { outputFiles } = await build({
    entryPoints: ['client.ts', 'operations.ts'].map((file) => fileURLToPath(new URL(file, import.meta.url))),
    outdir: 'unused',
    bundle: true,
    format: 'esm',
    platform: 'browser',
    write: false,
    logLevel: 'silent',
  });
  assert.equal(outputFiles.length, 2);
});
