/**
 * Administrators: listed, added and changed. Invariant: nobody gives a right that he does not have himself, and what gives access
 * asks for a recent proof of who is there.
 */
import type { FastifyPluginAsync } from 'fastify';
import { type Actor, actorOf } from '../../../access/actor.ts';
import {
  changeAdministrator,
  insertAdministrator,
  listAdministrators,
  lockAdministrator,
} from '../../../access/administrators.ts';
import { assertSignsInHere } from '../../../access/openid/identities.ts';
import { makeFirstCode, makeInvitation } from '../../../access/sign-in/one-time-code.ts';
import { administratorOperations } from '../../../api/administrators.ts';
import { BrambleError } from '../../../base/errors.ts';
import { notFound } from '../../../base/not-found.ts';
import type { Queryable, Transaction } from '../../../database/connection.ts';
import { recordEvent } from '../../../domain/events.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';
import { assertWithin, groupIds } from '../giving-access.ts';

export function administratorRoutes(context: AdministrationContext): FastifyPluginAsync {
  const { db } = context;
  return async (app) => {
    serve(app, administratorOperations.list, async () => ({ administrators: await listAdministrators(db) }));

    serve(app, administratorOperations.show, async (request) => await shown(db, request.params.name));

    serve(app, administratorOperations.inviteFirst, async (request) => {
      const actor = actorOf(request);
      return await write(context, async (tx) => {
        await assertWithin(tx, actor, 'security', null);
        const made = await makeFirstCode(tx, actor.name);
        if (made !== null) return made;
        throw new BrambleError(
          'ERR_CONFLICT',
          'There is an administrator already: he adds others (`bramble administrator add`), and with a token one who ' +
            'has lost his access gets a new code (`bramble administrator reset NAME`).',
        );
      });
    });

    serve(app, administratorOperations.create, async (request) => {
      const actor = actorOf(request);
      const { name, displayName, role } = request.body;
      return await write(context, async (tx) => {
        const groups = await groupIds(tx, request.body.groups);
        await assertWithin(tx, actor, role, groups);
        const id = await insertAdministrator(tx, { name, displayName, role, groups, createdBy: actor.name });
        if (id === 'name-taken') {
          throw new BrambleError('ERR_NAME_TAKEN', `There is an administrator ${name} already. Choose another name.`);
        }
        await tell(tx, actor, 'administrator-added', name, `added the administrator ${name}, with the role ${role}`);
        return await makeInvitation(tx, id, actor.name);
      });
    });

    serve(app, administratorOperations.change, async (request) => {
      const { displayName, role } = request.body;
      return await changed(context, request, 'administrator-changed', 'changed', async (tx, one, actor) => {
        const groups = request.body.groups === undefined ? undefined : await groupIds(tx, request.body.groups);
        if (role !== undefined || groups !== undefined) await assertSignsInHere(tx, one.name);
        const kept = groups === undefined ? await groupsOf(tx, one.name) : groups;
        await assertWithin(tx, actor, role ?? one.role, kept);
        await changeAdministrator(tx, one.id, { displayName, role, groups });
        return await shown(tx, one.name);
      });
    });
  };
}

async function shown(q: Queryable, name: string) {
  const [found] = await listAdministrators(q, name);
  if (found === undefined) throw notFound('administrator', name);
  return found;
}

/** Changes one, who must not be above who does it. @param did in words, for the event */
export async function changed<Result>(
  context: AdministrationContext,
  request: { actor: Actor | null; params: { name: string } },
  kind: string,
  did: string,
  work: (tx: Transaction, one: { id: string; name: string; role: string }, actor: Actor) => Promise<Result>,
): Promise<Result> {
  const actor = actorOf(request);
  return await write(context, async (tx) => {
    const one = await lockAdministrator(tx, request.params.name);
    if (one === undefined) throw notFound('administrator', request.params.name);
    await assertNotAbove(tx, actor, one);
    const result = await work(tx, one, actor);
    await tell(tx, actor, kind, one.name, `${did} the administrator ${one.name}`);
    return result;
  });
}

async function tell(tx: Transaction, actor: Actor, kind: string, subject: string, did: string): Promise<void> {
  await recordEvent(tx, { kind, subject, message: `${actor.name} ${did}` });
}

async function assertNotAbove(tx: Transaction, actor: Actor, one: { name: string; role: string }): Promise<void> {
  await assertWithin(tx, actor, one.role, await groupsOf(tx, one.name));
}

async function groupsOf(tx: Transaction, name: string): Promise<string[] | null> {
  const [found] = await listAdministrators(tx, name);
  return await groupIds(tx, found?.groups ?? null);
}
