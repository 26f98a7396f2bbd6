/** The description of the API is a valid OpenAPI 3.1 document, and complete: it says of each operation all that holds for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import type * as z from 'zod';
import type { Operation } from '../../api/operation.ts';
import { resources } from '../../api/operations.ts';
import { startAdministration } from './administration-fixture.ts';

interface Described {
  operationId: string;
  summary: string;
  description?: string;
  security: object[];
  parameters: { $ref?: string; name?: string; in?: string; required?: boolean; example?: unknown }[];
  requestBody?: { content: Content };
  responses: Record<string, { $ref?: string; description?: string; headers?: object; content?: Content }>;
}
type Content = Record<string, { example?: unknown }>;

const admin = await startAdministration();
const text = await (await fetch(`${admin.url}/api/v1/openapi.json`)).text();
await admin.close();
const document = JSON.parse(text) as { openapi: string; paths: Record<string, Record<string, Described>> };
const operations: Operation[] = Object.values(resources).flatMap((of) => Object.values(of));

function describedOf({ method, path }: Operation): Described {
  const described = document.paths[`/api/v1${path.replace(/:(\w+)/g, '{$1}')}`]?.[method.toLowerCase()];
  assert.ok(described, `${method} ${path}`);
  return described;
}

test('it is valid by the schema of OpenAPI 3.1, and every reference in it leads somewhere', async () => {
  const { valid, errors } = await new Validator().validate(JSON.parse(text) as Record<string, unknown>);
  assert.deepEqual({ valid, errors }, { valid: true, errors: undefined });
  assert.equal(document.openapi, '3.1.0');
  for (const [, pointer = ''] of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    const found = pointer.split('/').reduce<unknown>((at, key) => (at as Record<string, unknown>)?.[key], document);
    assert.ok(found, pointer);
  }
});

test('each operation says who may ask, what it takes besides, and how it fails', () => {
  const names = operations.map((operation) => describedOf(operation).operationId);
  assert.equal(new Set(names).size, operations.length);
  for (const operation of operations) {
    const { method, path, right, revised, status = 200, consumes, takesPassword } = operation;
    const { security, parameters, responses } = describedOf(operation);
    const where = `${method} ${path}`;
    assert.equal(security.length > 0, right !== 'open', where);
    const takes = (name: string) => parameters.some(({ $ref }) => $ref === `#/components/parameters/${name}`);
    const isWrite = method !== 'GET';
    const isKeyed = isWrite && right !== 'open' && consumes === undefined && takesPassword !== true;
    assert.equal(takes('IdempotencyKey'), isKeyed, where);
    assert.equal(takes('IfMatch'), isWrite && revised === true && status !== 201, where);
    const failed = Object.keys(responses).filter((code) => code !== String(status));
    for (const code of ['400', '404', '409', '429', '500', '503']) assert.ok(failed.includes(code), `${where} ${code}`);
    assert.equal(failed.includes('403'), right !== 'open' || isWrite, where);
    assert.ok(responses[String(status)]?.description, where);
  }
});

test('what each operation takes and answers has an example, which is of its shape', () => {
  const faults: string[] = [];
  for (const operation of operations) {
    const { method, path, status = 200, body, answer } = operation;
    const { parameters, requestBody, responses } = describedOf(operation);
    const where = `${method} ${path}`;
    const fits = (shape: z.ZodType, example: unknown, part: string) => {
      const { error } = shape.safeParse(example);
      if (error !== undefined) faults.push(`${where}, ${part}: ${error.message}: ${JSON.stringify(example)}`);
    };
    for (const part of ['path', 'query'] as const) {
      const shape = part === 'path' ? operation.params : operation.query;
      const given = parameters.filter((each) => each.in === part).map(({ name, example }) => [name, example]);
      if (shape !== undefined) fits(shape, Object.fromEntries(given), part);
    }
    if (body !== undefined) fits(body, exampleIn(requestBody?.content, where), 'body');
    if (status !== 204) fits(answer, exampleIn(responses[String(status)]?.content, where), 'answer');
  }
  assert.deepEqual(faults, []);
});

function exampleIn(content: Content | undefined, where: string): unknown {
  const [media] = Object.values(content ?? {});
  assert.ok(media !== undefined && 'example' in media, where);
  return media.example;
}
