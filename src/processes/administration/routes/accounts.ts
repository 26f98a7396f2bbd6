/** User accounts: one by one, by the thousand, and their activation passwords. */
import { Readable } from 'node:stream';
import type { FastifyPluginAsync } from 'fastify';
import { actorOf } from '../../../access/actor.ts';
import type { AccountSkip } from '../../../accounts/account-import.ts';
import { listAccounts } from '../../../accounts/account-list.ts';
import { createAccount, deleteAccount, getAccount, lockedAccount } from '../../../accounts/accounts.ts';
import { setActivationPassword } from '../../../activation/activation-password.ts';
import { accountOperations } from '../../../api/accounts.ts';
import { accountNameOf } from '../../../base/account-name.ts';
import type { ErrorCode } from '../../../base/error-codes.ts';
import { BrambleError } from '../../../base/errors.ts';
import { notFound } from '../../../base/not-found.ts';
import { readDomain } from '../../../domain/domain.ts';
import { refuseChanged } from '../../../rest/etag.ts';
import { serve } from '../../../rest/serve.ts';
import { listInstancesOnTrial } from '../../../upgrade/state/upgrade-store.ts';
import { conditionsOf } from '../account-conditions.ts';
import { importAccountStream } from '../account-import-stream.ts';
import { type AdministrationContext, write } from '../context.ts';

const maxImports = 2;

const skipTexts: Readonly<Record<AccountSkip, string>> = {
  'name-taken': 'an account with that name exists',
  'name-not-valid': 'the name must have 1 to 200 characters, without blanks, slashes or control characters',
  'unknown-instance': 'there is no such instance, or it is retired',
  'unknown-group': 'one of the groups does not exist',
  'no-group': 'you are limited to groups: name at least one of them',
  'no-instance': 'the domain has no instance yet (`bramble instance add`)',
};

const skipCodes: Readonly<Partial<Record<AccountSkip, ErrorCode>>> = {
  'name-taken': 'ERR_NAME_TAKEN',
  'name-not-valid': 'ERR_ACCOUNT_NAME',
};

export function accountRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, accountOperations.create, async (request) => {
      return await write(context, async (tx) => {
        const outcome = await createAccount(tx, request.body, listInstancesOnTrial, actorOf(request).groups);
        if (outcome.kind === 'created') return outcome.account;
        throw new BrambleError(
          skipCodes[outcome.kind] ?? 'ERR_INPUT',
          `The account "${request.body.name}" was not created: ${skipTexts[outcome.kind]}.`,
          { details: { reason: outcome.kind } },
        );
      });
    });

    serve(app, accountOperations.list, async (request) => {
      const { instance, group, ...page } = request.query;
      const conditions = await conditionsOf(context.db, actorOf(request), { instance, group });
      return await listAccounts(context.db, { ...page, ...conditions });
    });

    serve(app, accountOperations.show, async (request) => {
      const account = await getAccount(context.db, accountNameOf(request.params.name));
      if (account === undefined) throw notFound('account', request.params.name);
      return account;
    });

    serve(app, accountOperations.delete, async (request) => {
      await write(context, async (tx) => {
        const name = accountNameOf(request.params.name);
        await refuseChanged(request, accountOperations.show.revisedBy, () => lockedAccount(tx, name));
        const outcome = await deleteAccount(tx, name);
        if (outcome === 'not-found') throw notFound('account', request.params.name);
      });
    });

    serve(app, accountOperations.setActivationPassword, async (request) => {
      const issued = await write(context, async (tx) => {
        const { name } = request.params;
        const outcome = await setActivationPassword(tx, accountNameOf(name), request.body?.validHours);
        if (outcome === 'not-found') throw notFound('account', name);
        return outcome;
      });
      const { publicUrl } = await readDomain(context.db);
      return { ...issued, activationUrl: new URL('/activate', publicUrl).href };
    });

    await app.register(importRoute(context));
  };
}

/** In a separate scope: only here a body is accepted raw and without limit. */
function importRoute(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    const importing = new Set<string>();
    app.removeAllContentTypeParsers();
    app.addContentTypeParser(['application/x-ndjson', 'application/jsonl'], (_request, payload, done) => {
      done(null, payload);
    });
    serve(app, accountOperations.import, async (request) => {
      const { id, groups } = actorOf(request);
      if (importing.has(id) || importing.size >= maxImports) {
        const whose = importing.has(id) ? 'An import of yours is' : `${maxImports} imports are`;
        throw new BrambleError('ERR_BUSY', `${whose} in progress. Wait until it has finished.`);
      }
      if (!(request.body instanceof Readable)) {
        throw new BrambleError('ERR_MEDIA_TYPE', 'Send an import as application/x-ndjson, one account per line.');
      }
      importing.add(id);
      try {
        return await importAccountStream(context, request.body, groups);
      } finally {
        importing.delete(id);
      }
    });
  };
}
