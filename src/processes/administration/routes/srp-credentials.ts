/** SRP credentials: issue, list, revoke, and lift a suspension. Revocations reach the routers as a signed, numbered list. */
import type { FastifyPluginAsync } from 'fastify';
import { srpCredentialOperations } from '../../../api/srp-credentials.ts';
import { BrambleError } from '../../../base/errors.ts';
import { isSrpIdentifier, type SrpIdentifier } from '../../../base/ids.ts';
import { notFound } from '../../../base/not-found.ts';
import type { Queryable } from '../../../database/connection.ts';
import { recordEvent } from '../../../domain/events.ts';
import { getConnectionService } from '../../../instances/connection-services.ts';
import { findInstance } from '../../../instances/instances.ts';
import {
  clearSrpIdentifier,
  listSrpCredentials,
  revokeSrpCredential,
} from '../../../instances/srp-credential-store.ts';
import { listDesiredProcesses } from '../../../registry/desired-processes.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';
import { deliverSrpCredential } from '../srp-issuing.ts';

export function srpCredentialRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, srpCredentialOperations.list, async (request) => ({
      credentials: await listSrpCredentials(context.db, request.query.identifier),
    }));

    serve(app, srpCredentialOperations.issue, async (request) => {
      const wanted = request.body.identifier as SrpIdentifier;
      const issued = await write(context, async (tx) => {
        const delivered = await deliverSrpCredential(context, tx, wanted, await runsHere(tx, wanted));
        await recordEvent(tx, {
          kind: 'srp-issued',
          subject: wanted,
          message: `${request.administrator} had an SRP credential issued for ${wanted}`,
          detail: { serial: delivered.serial },
        });
        return delivered;
      });
      return { ...issued, identifier: wanted };
    });

    serve(app, srpCredentialOperations.revoke, async (request) => {
      const serial = request.params.serial.toLowerCase();
      return await write(context, async (tx) => {
        const outcome = await revokeSrpCredential(tx, serial);
        if (outcome.kind === 'not-found') throw notFound('SRP credential', serial);
        if (outcome.kind !== 'revoked') {
          throw new BrambleError('ERR_CONFLICT', `The SRP credential ${serial} is already revoked.`);
        }
        await recordEvent(tx, {
          kind: 'srp-revoked',
          subject: outcome.identifier,
          message: `${request.administrator} revoked the SRP credential ${serial} of ${outcome.identifier}`,
        });
        return { identifier: outcome.identifier, listNumber: outcome.number };
      });
    });

    serve(app, srpCredentialOperations.clear, async (request) => {
      const { identifier } = request.params;
      return await write(context, async (tx) => {
        const cleared = await clearSrpIdentifier(tx, identifier);
        if (cleared.kind === 'not-found') throw notFound('SRP identifier', identifier);
        return { identifier, listNumber: cleared.number };
      });
    });
  };

  async function runsHere(q: Queryable, wanted: SrpIdentifier): Promise<boolean> {
    const holder = isSrpIdentifier(wanted) && (await nameOfHolder(q, wanted));
    if (!holder) throw notFound('SRP identifier', wanted);
    const process = (await listDesiredProcesses(q)).find((candidate) => candidate.name === holder);
    return process === undefined || process.host === context.host;
  }
}

async function nameOfHolder(q: Queryable, identifier: SrpIdentifier): Promise<string | undefined> {
  const holder = identifier.startsWith('S')
    ? await findInstance(q, identifier)
    : await getConnectionService(q, identifier);
  return holder?.name;
}
