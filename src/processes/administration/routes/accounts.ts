/** User accounts: one by one, by the thousand, and their activation passwords. */

import { Readable } from 'node:stream';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import * as z from 'zod';
import type { AccountSkip } from '../../../accounts/account-import.ts';
import { createAccount, deleteAccount, getAccount, listAccounts } from '../../../accounts/accounts.ts';
import { groupExists } from '../../../accounts/groups.ts';
import { activationValidHoursMax, setActivationPassword } from '../../../activation/activation-password.ts';
import { accountNameOf } from '../../../base/account-name.ts';
import type { ErrorCode } from '../../../base/error-codes.ts';
import { BrambleError } from '../../../base/errors.ts';
import { readDomain } from '../../../domain/domain.ts';
import { findInstance } from '../../../instances/instances.ts';
import { notFound } from '../../../rest/http-errors.ts';
import { listInstancesOnTrial } from '../../../upgrade/state/upgrade-store.ts';
import { importAccountStream, newAccount } from '../account-import-stream.ts';
import { type AdministrationContext, write } from '../context.ts';
import { instant, name, nothing } from '../shapes.ts';

export const accountShape = z.object({
  id: z.string(),
  name: z.string(),
  displayName: z.string(),
  instance: z.string(),
  srpIdentifier: z.string(),
  epoch: z.number(),
  moving: z.boolean(),
  groups: z.array(z.string()),
  deviceCount: z.number(),
  createdAt: instant,
});

const importsAtMost = 2;
const params = z.object({ name });
/** Judged by `setActivationPassword`, with a code of its own. */
const validHours = z.number().meta({ minimum: 1, maximum: activationValidHoursMax });
const tags = ['accounts'];

const skipTexts: Readonly<Record<AccountSkip, string>> = {
  'name-taken': 'an account with that name exists',
  'name-not-valid': 'the name must have 1 to 200 characters, without blanks, slashes or control characters',
  'unknown-instance': 'there is no such instance, or it is retired',
  'unknown-group': 'one of the groups does not exist',
  'no-instance': 'the domain has no instance yet (`bramble instance add`)',
};

const skipCodes: Readonly<Partial<Record<AccountSkip, ErrorCode>>> = {
  'name-taken': 'ERR_NAME_TAKEN',
  'name-not-valid': 'ERR_ACCOUNT_NAME',
};

export function accountRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.route({
      method: 'POST',
      url: '/accounts',
      schema: { tags, summary: 'Create an account', body: newAccount, response: { 201: accountShape } },
      handler: async (request, reply) => {
        const account = await write(context, async (tx) => {
          const outcome = await createAccount(tx, request.body, listInstancesOnTrial);
          if (outcome.kind === 'created') return outcome.account;
          throw new BrambleError(
            skipCodes[outcome.kind] ?? 'ERR_INPUT',
            `The account "${request.body.name}" was not created: ${skipTexts[outcome.kind]}.`,
            { details: { reason: outcome.kind } },
          );
        });
        return await reply.status(201).send(withLists(account));
      },
    });

    app.route({
      method: 'GET',
      url: '/accounts',
      schema: {
        tags,
        summary: 'List accounts by name, in pages',
        querystring: z.object({
          instance: z.string().optional(),
          group: z.string().optional(),
          after: z.string().optional().describe('The `next` value of the previous page.'),
          limit: z.coerce.number().int().min(1).max(1000).optional(),
        }),
        response: { 200: z.object({ accounts: z.array(accountShape), next: z.string().nullable() }) },
      },
      handler: async (request) => {
        const { instance, group } = request.query;
        if (instance !== undefined && (await findInstance(context.db, instance)) === undefined) {
          throw notFound('instance', instance);
        }
        if (group !== undefined && !(await groupExists(context.db, group))) throw notFound('group', group);
        const page = await listAccounts(context.db, request.query);
        return { accounts: page.accounts.map(withLists), next: page.next ?? null };
      },
    });

    app.route({
      method: 'GET',
      url: '/accounts/:name',
      schema: { tags, summary: 'Show an account', params, response: { 200: accountShape } },
      handler: async (request) => {
        const account = await getAccount(context.db, accountNameOf(request.params.name));
        if (account === undefined) throw notFound('account', request.params.name);
        return withLists(account);
      },
    });

    app.route({
      method: 'DELETE',
      url: '/accounts/:name',
      schema: { tags, summary: 'Delete an account with its devices', params, response: { 204: nothing } },
      handler: async (request, reply) => {
        await write(context, async (tx) => {
          const outcome = await deleteAccount(tx, accountNameOf(request.params.name));
          if (outcome === 'not-found') throw notFound('account', request.params.name);
        });
        return await reply.status(204).send(null);
      },
    });

    app.route({
      method: 'POST',
      url: '/accounts/:name/activation-password',
      schema: {
        tags,
        summary: 'Issue an activation password for an account; the previous one becomes invalid',
        params,
        body: z.object({ validHours: validHours.optional() }).nullish(),
        response: { 200: z.object({ password: z.string(), expiresAt: instant, activationUrl: z.string() }) },
      },
      handler: async (request) => {
        const issued = await write(context, async (tx) => {
          const { name } = request.params;
          const outcome = await setActivationPassword(tx, accountNameOf(name), request.body?.validHours);
          if (outcome === 'not-found') throw notFound('account', name);
          return outcome;
        });
        const { publicUrl } = await readDomain(context.db);
        return { ...issued, activationUrl: new URL('/activate', publicUrl).href };
      },
    });

    await app.register(importRoute(context));
  };
}

/** In a scope of its own: only here a body is taken as it comes, without limit. */
function importRoute(context: AdministrationContext): FastifyPluginAsyncZod {
  return async (app) => {
    let running = 0;
    app.removeAllContentTypeParsers();
    app.addContentTypeParser(['application/x-ndjson', 'application/jsonl'], (_request, payload, done) => {
      done(null, payload);
    });
    app.route({
      method: 'POST',
      url: '/accounts/import',
      schema: {
        tags,
        summary: 'Import accounts as a stream of JSON lines',
        description:
          'One account per line (application/x-ndjson), each line at most 64 KiB. Committed at the end of the ' +
          'stream: if a line is not an account, nothing is created; an account that cannot be created is ' +
          'skipped, and the answer says why.',
        consumes: ['application/x-ndjson'],
        body: z.unknown().describe('One account per line: name, and optionally displayName, instance and groups.'),
        response: {
          200: z.object({
            created: z.number(),
            skipped: z.array(z.object({ name: z.string(), reason: z.string() })),
          }),
        },
      },
      handler: async (request) => {
        if (running >= importsAtMost) {
          throw new BrambleError(
            'ERR_BUSY',
            `${importsAtMost} imports are in progress. Wait until one of them has finished.`,
          );
        }
        if (!(request.body instanceof Readable)) {
          throw new BrambleError('ERR_MEDIA_TYPE', 'Send an import as application/x-ndjson, one account per line.');
        }
        running++;
        try {
          return await importAccountStream(context, request.body);
        } finally {
          running--;
        }
      },
    });
  };
}

function withLists<Account extends { groups: readonly string[] }>(account: Account) {
  return { ...account, groups: [...account.groups] };
}
