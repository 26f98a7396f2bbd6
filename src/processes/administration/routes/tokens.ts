/** Tokens: created, listed and revoked. A token itself is answered once; the database keeps its digest. */
import type { FastifyPluginAsync } from 'fastify';
import { type Actor, actorOf } from '../../../access/actor.ts';
import { createToken, listTokens, revokeToken } from '../../../access/administrator-tokens.ts';
import {
  createApiToken,
  isApiTokenName,
  listApiTokens,
  revokeApiToken,
  roleOfApiToken,
} from '../../../access/api-tokens.ts';
import { assertNameFree } from '../../../access/names.ts';
import { assertMayGive, assertNotAboveRole, holdRole } from '../../../access/roles.ts';
import { findGroup, listGroups } from '../../../accounts/groups.ts';
import type { AnswerOf } from '../../../api/operation.ts';
import { allRights } from '../../../api/rights.ts';
import { tokenOperations } from '../../../api/tokens.ts';
import { BrambleError } from '../../../base/errors.ts';
import { notFound } from '../../../base/not-found.ts';
import type { Queryable, Transaction } from '../../../database/connection.ts';
import { recordEvent } from '../../../domain/events.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';

export function tokenRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, tokenOperations.list, async () => ({ tokens: await listAllTokens(context.db) }));

    serve(app, tokenOperations.create, async (request) => {
      const { name, role, groups, expiresAt = null } = request.body;
      const actor = actorOf(request);
      const token = await write(context, async (tx) => {
        assertMayGive(actor, role === undefined ? allRights : await holdRole(tx, role));
        await assertNameFree(tx, 'token', name);
        const created =
          role === undefined
            ? await createLegacyToken(tx, name)
            : await createApiToken(tx, {
                name,
                role,
                groups: groups === undefined ? null : await groupIdsOf(tx, groups),
                expiresAt,
                createdBy: actor.name,
              });
        if (created === 'name-taken') {
          throw new BrambleError(
            'ERR_NAME_TAKEN',
            `A token named ${name} already exists or existed. Choose another name.`,
          );
        }
        await recordEvent(tx, {
          kind: 'token-created',
          subject: name,
          message: `${actor.name} made the token ${name}, ${role === undefined ? 'which may do everything' : `with the role ${role}`}`,
        });
        return created;
      });
      return { name, token };
    });

    serve(app, tokenOperations.revoke, async (request) => {
      await write(context, async (tx) => {
        const outcome = await revokeEither(tx, actorOf(request), request.params.name);
        if (outcome === 'not-found') throw notFound('token', request.params.name);
        if (outcome === 'last') {
          throw new BrambleError(
            'ERR_CONFLICT',
            'This is the last valid token: create another one before revoking it.',
          );
        }
        await recordEvent(tx, {
          kind: 'token-revoked',
          subject: request.params.name,
          message: `${request.administrator} revoked the token ${request.params.name}`,
        });
      });
    });
  };
}

async function listAllTokens(q: Queryable): Promise<AnswerOf<typeof tokenOperations.list>['tokens']> {
  const groups = new Map((await listGroups(q, null)).map((group) => [group.id, group.name]));
  const limited = (await listApiTokens(q)).map((token) => ({
    ...token,
    groups: token.groups?.map((id) => groups.get(id) ?? id).sort() ?? null,
  }));
  const unlimited = { role: null, groups: null, expiresAt: null, createdBy: null };
  const legacy = (await listTokens(q)).map((token) => ({ ...token, ...unlimited }));
  return [...legacy, ...limited].sort((one, other) => (one.name < other.name ? -1 : 1));
}

/** @throws BrambleError ERR_NOT_FOUND */
async function groupIdsOf(tx: Transaction, names: readonly string[]): Promise<string[]> {
  const ids: string[] = [];
  for (const name of new Set(names)) {
    const id = await findGroup(tx, name);
    if (id === undefined) throw notFound('group', name);
    ids.push(id);
  }
  return ids;
}

async function createLegacyToken(tx: Transaction, name: string): Promise<string> {
  return (await isApiTokenName(tx, name)) ? 'name-taken' : await createToken(tx, name);
}

/**
 * An earlier release, to which the domain went back, may have given a name that it could not know to be taken: both end.
 * @throws BrambleError ERR_RIGHT_MISSING for one that may do more than who revokes it
 */
async function revokeEither(tx: Transaction, actor: Actor, name: string): Promise<'revoked' | 'not-found' | 'last'> {
  const role = await roleOfApiToken(tx, name);
  if (role !== undefined) await assertNotAboveRole(tx, actor, role);
  const limited = await revokeApiToken(tx, name);
  const legacy = await revokeToken(tx, name);
  if (legacy !== 'not-found') assertMayGive(actor, allRights);
  return legacy === 'not-found' ? limited : legacy;
}
