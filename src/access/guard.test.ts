/** Who lacks a right is told so, before anything of his request is read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FastifyRequest } from 'fastify';
import { deviceOperations } from '../api/devices.ts';
import { domainOperations } from '../api/domain.ts';
import type { PredefinedRole } from '../api/rights.ts';
import { rightsOf } from '../api/rights.ts';
import { BrambleError } from '../base/errors.ts';
import type { Actor } from './actor.ts';
import { guard } from './guard.ts';

const requestOf = (role: PredefinedRole | null, groups: readonly string[] | null = null) => {
  const facts = { kind: 'token', id: 't', groups, session: null, provenAt: null, owes: null } as const;
  const actor: Actor | null = role === null ? null : { ...facts, name: role, rights: new Set(rightsOf(role)) };
  return { actor } as FastifyRequest;
};

test('a role with the right comes through', async () => {
  await guard(deviceOperations.remove)(requestOf('senior-helpdesk'));
});

test('one without it is told which right it is, and who has it', async () => {
  await assert.rejects(guard(deviceOperations.remove)(requestOf('junior-helpdesk')), (error) => {
    assert.ok(error instanceof BrambleError);
    assert.equal(error.code, 'ERR_RIGHT_MISSING');
    assert.deepEqual(error.details, {
      right: 'devices.remove',
      roles: ['security', 'enterprise', 'senior-helpdesk', 'user-only'],
    });
    assert.match(
      error.message,
      /takes the right devices\.remove \(to remove devices\), which junior-helpdesk does not/,
    );
    return true;
  });
});

test('nobody comes through to what takes a right, and everybody to what is open', async () => {
  await assert.rejects(guard(deviceOperations.remove)(requestOf(null)), { code: 'ERR_INTERNAL' });
  await guard(domainOperations.describe)(requestOf(null));
});

test('who is limited is refused what does not know groups, whatever his rights', async () => {
  const { scope: _, ...withoutScope } = deviceOperations.remove;
  await guard(deviceOperations.remove)(requestOf('security', ['group']));
  await assert.rejects(guard(withoutScope)(requestOf('security', ['group'])), {
    code: 'ERR_RIGHT_MISSING',
    message: /, limited to groups,/,
  });
});
