/** The table of operations as a whole: what can be said of every one of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import * as z from 'zod';
import type { Operation } from './operation.ts';
import { resources } from './operations.ts';
import { freeForm } from './shapes.ts';

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

test('every answer has a shape: none is any object, and only streams are anything', () => {
  for (const { name, operation } of all) {
    assert.notEqual(operation.answer, freeForm, name);
    assert.equal(operation.answer instanceof z.ZodUnknown, operation.produces !== undefined, name);
  }
});

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
