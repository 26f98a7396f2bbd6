/**
 * OpenID providers: added, changed, tried and removed. Invariant: who lets others in by a rule could have given them as much himself,
 * and whatever changes who is let in, or by whose word, ends the sessions that began there.
 */
import type { FastifyPluginAsync } from 'fastify';
import { type Actor, actorOf } from '../../../access/actor.ts';
import type { ProviderClient } from '../../../access/openid/provider-client.ts';
import {
  changeProvider,
  endSessionsBy,
  insertProvider,
  listProviders,
  lockProvider,
  readProvider,
  removeProvider,
  type StoredProvider,
} from '../../../access/openid/provider-store.ts';
import type { Rules } from '../../../access/openid/rules.ts';
import { openClientSecret } from '../../../access/openid/sealed-client-secret.ts';
import { type NewProvider, openidProviderOperations } from '../../../api/openid-providers.ts';
import { isBrambleError } from '../../../base/errors.ts';
import { notFound } from '../../../base/not-found.ts';
import type { Queryable, Transaction } from '../../../database/connection.ts';
import { recordEvent } from '../../../domain/events.ts';
import { refuseStale } from '../../../rest/etag.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';
import { assertWithin, groupIds } from '../giving-access.ts';

export function openidProviderRoutes(context: AdministrationContext, client: ProviderClient): FastifyPluginAsync {
  const { db, masterKeys } = context;
  return async (app) => {
    serve(app, openidProviderOperations.list, async () => ({ providers: await listProviders(db) }));

    serve(app, openidProviderOperations.show, async (request) => await shown(db, request.params.name));

    serve(app, openidProviderOperations.add, async (request) => {
      const actor = actorOf(request);
      const { body } = request;
      return await write(context, async (tx) => {
        const rules = await givenRules(tx, actor, body.rules);
        await insertProvider(tx, masterKeys, { ...body, rules, createdBy: actor.name });
        await tell(tx, actor, 'added', body.name);
        return await shown(tx, body.name);
      });
    });

    serve(app, openidProviderOperations.change, async (request) => {
      const { name } = request.params;
      const { rules: asked, ...change } = request.body;
      return await changed(context, request, 'changed', async (tx, present, actor) => {
        await assertMayGiveAll(tx, actor, present.rules);
        const rules = asked === undefined ? undefined : await givenRules(tx, actor, asked);
        await changeProvider(tx, masterKeys, present, { ...change, rules });
        if (Object.keys(request.body).some((key) => key !== 'title')) await endSessionsBy(tx, name);
        return await shown(tx, name);
      });
    });

    serve(app, openidProviderOperations.remove, async (request) => {
      await changed(context, request, 'removed', async (tx, { name, rules }, actor) => {
        await assertMayGiveAll(tx, actor, rules);
        await removeProvider(tx, name);
      });
    });

    serve(app, openidProviderOperations.test, async (request) => {
      const { name } = request.params;
      const actor = actorOf(request);
      const provider = await readProvider(db, name);
      if (provider === undefined) throw notFound('OpenID provider', name);
      const opened = { ...provider, clientSecret: openClientSecret(masterKeys, provider) };
      const said = await client.look(opened, actor.id).then(
        (answer) => ({ usable: true, answer }),
        (error: unknown) => {
          if (isBrambleError(error, 'ERR_OPENID_PROVIDER')) return { usable: false, answer: error.message };
          throw error;
        },
      );
      await write(context, async (tx) => await tell(tx, actor, 'tested', name));
      return said;
    });
  };
}

async function shown(q: Queryable, name: string) {
  const [found] = await listProviders(q, name);
  if (found === undefined) throw notFound('OpenID provider', name);
  return found;
}

interface ChangeRequest {
  readonly actor: Actor | null;
  readonly params: { readonly name: string };
  readonly headers: Parameters<typeof refuseStale>[1]['headers'];
}

async function changed<Result>(
  context: AdministrationContext,
  request: ChangeRequest,
  did: string,
  work: (tx: Transaction, present: StoredProvider, actor: Actor) => Promise<Result>,
): Promise<Result> {
  const actor = actorOf(request);
  const { name } = request.params;
  return await write(context, async (tx) => {
    await refuseStale(tx, request, { table: 'openid_provider', key: name });
    // Before its sessions, as a sign-in does.
    const present = await lockProvider(tx, name);
    if (present === undefined) throw notFound('OpenID provider', name);
    const result = await work(tx, present, actor);
    await tell(tx, actor, did, name);
    return result;
  });
}

async function tell(tx: Transaction, { name }: Actor, did: string, provider: string): Promise<void> {
  const message = `${name} ${did} the OpenID provider ${provider}`;
  await recordEvent(tx, { kind: `openid-provider-${did}`, subject: provider, message });
}

/** Their groups by id. @throws BrambleError ERR_INPUT, ERR_NOT_FOUND, ERR_RIGHT_MISSING */
async function givenRules(tx: Transaction, actor: Actor, asked: NewProvider['rules']): Promise<Rules> {
  const rules: Rules = [];
  for (const { value, role, groups } of asked) rules.push({ value, role, groups: await groupIds(tx, groups) });
  for (const { role, groups } of rules) await assertWithin(tx, actor, role, groups);
  return rules;
}

/** Whoever changes by whose word others are let in, could let in himself as any of them. A role that is gone gives nothing. */
async function assertMayGiveAll(tx: Transaction, actor: Actor, rules: Rules): Promise<void> {
  for (const { role, groups } of rules) {
    await assertWithin(tx, actor, role, groups).catch((error: unknown) => {
      if (!isBrambleError(error, 'ERR_NOT_FOUND')) throw error;
    });
  }
}
