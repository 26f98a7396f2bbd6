import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as z from 'zod';
import { plainIssue } from './plain-issue.ts';

const issueOf = (shape: z.ZodType, value: unknown) => shape.safeParse(value).error?.issues[0]?.message ?? '';

test('what zod says of the usual mistakes is told in words', () => {
  const choice = z.discriminatedUnion('kind', [z.object({ kind: z.literal('a') }), z.object({ kind: z.literal('b') })]);
  for (const [shape, value, expected] of [
    [z.number().min(1), 0, 'must be at least 1'],
    [z.number().max(16), 999, 'must be at most 16'],
    [z.number().int(), 1.5, 'must be an integer, not number'],
    [z.boolean(), 'yes', 'must be a boolean, not string'],
    [z.object({}), undefined, 'is missing'],
    [z.string().min(1), '', 'must not be empty'],
    [z.string().min(8), 'short', 'must have at least 8 characters'],
    [z.number().gt(0).lt(9), 0, 'must be greater than 0'],
    [z.number().gt(0).lt(9), 9, 'must be less than 9'],
    [z.array(z.string()).min(1), [], 'must not be empty'],
    [z.record(z.string(), z.string()), [], 'must be an object, not array'],
    [z.strictObject({}), { a: 1, b: 2 }, 'has unknown members: "a", "b"'],
    [z.array(z.string()).max(2), ['', '', ''], 'must have at most 2 items'],
    [z.uuid(), 'nosuch', 'is not a valid UUID'],
    [z.enum(['a', 'b']), 'c', 'must be one of "a", "b"'],
    [choice, { kind: 'c' }, "must be one of 'a', 'b'"],
  ] as const) {
    assert.equal(plainIssue(issueOf(shape, value)), expected);
  }
  assert.equal(plainIssue('odd'), 'is invalid: odd');
});
