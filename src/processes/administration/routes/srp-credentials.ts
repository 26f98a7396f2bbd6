/** SRP credentials: issue, list, revoke, and lift a suspension. Revocations reach the routers as a signed, numbered list. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import * as z from 'zod';
import { BrambleError } from '../../../base/errors.ts';
import { isSrpIdentifier, type SrpIdentifier } from '../../../base/ids.ts';
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
import { notFound } from '../../../rest/http-errors.ts';
import { type AdministrationContext, write } from '../context.ts';
import { instant, jsonObject } from '../shapes.ts';
import { deliverSrpCredential } from '../srp-issuing.ts';

const identifier = z.string().regex(/^[SC]\d{8}$/, 'use S or C and eight digits');
const credentialShape = z.object({
  serial: z.string(),
  identifier: z.string(),
  issuedAt: instant,
  expiresAt: instant,
  revokedAt: instant.nullable(),
});
const tags = ['srp'];

export function srpCredentialRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.route({
      method: 'GET',
      url: '/srp-credentials',
      schema: {
        tags,
        summary: 'Credentials that have not expired, newest first for each identifier',
        querystring: z.object({ identifier: identifier.optional() }),
        response: { 200: z.object({ credentials: z.array(credentialShape) }) },
      },
      handler: async (request) => ({ credentials: await listSrpCredentials(context.db, request.query.identifier) }),
    });

    app.route({
      method: 'POST',
      url: '/srp-credentials',
      schema: {
        tags,
        summary: 'Issue another credential; earlier ones stay valid until revoked',
        body: z.object({ identifier }),
        response: {
          201: z.object({
            serial: z.string(),
            identifier: z.string(),
            expiresAt: instant,
            path: z.string().nullable().describe('Path of the file on the host of this administration service.'),
            credential: jsonObject
              .nullable()
              .describe('The file itself, shown once, if its holder is on another host.'),
          }),
        },
      },
      handler: async (request, reply) => {
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
        return await reply.status(201).send({ ...issued, identifier: wanted });
      },
    });

    app.route({
      method: 'DELETE',
      url: '/srp-credentials/:serial',
      schema: {
        tags,
        summary: 'Revoke a credential; routers refuse it and close its links',
        params: z.object({ serial: z.string().regex(/^[0-9a-fA-F]{1,64}$/, 'use the hexadecimal serial') }),
        response: { 200: z.object({ identifier: z.string(), listNumber: z.number() }) },
      },
      handler: async (request) => {
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
      },
    });

    app.route({
      method: 'POST',
      url: '/srp-credentials/:identifier/clear',
      schema: {
        tags,
        summary: 'Lift the suspension of an identifier',
        params: z.object({ identifier }),
        response: { 200: z.object({ identifier: z.string(), listNumber: z.number() }) },
      },
      handler: async (request) => {
        const { identifier } = request.params;
        return await write(context, async (tx) => {
          const cleared = await clearSrpIdentifier(tx, identifier);
          if (cleared.kind === 'not-found') throw notFound('SRP identifier', identifier);
          return { identifier, listNumber: cleared.number };
        });
      },
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
