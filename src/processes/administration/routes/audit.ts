/** The audit: who changed what, whether the record is whole, and all of it to take away. */
import { Readable } from 'node:stream';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import * as z from 'zod';
import { listAudit } from '../../../access/audit/audit-list.ts';
import { exportAudit } from '../../../access/audit/export.ts';
import { openHeadFile } from '../../../access/audit/head-file.ts';
import { verifyAudit } from '../../../access/audit/verification.ts';
import type { AdministrationContext } from '../context.ts';
import { instant, jsonObject } from '../shapes.ts';

const filterText = z.string().min(1).max(500).optional();
const entryShape = z.object({
  id: z.string(),
  number: z.number().nullable().describe('Position in the chain; null until it is sealed.'),
  at: instant,
  kind: z
    .enum(['operation', 'unrecorded', 'marker'])
    .describe('`unrecorded`: changed without an operation that names who did it.'),
  actor: z.string().nullable(),
  operation: z.string(),
  subjects: z.array(z.string()),
  requestId: z.string().nullable().describe('The `X-Request-Id` of the response.'),
  detail: jsonObject,
  changes: z.array(
    z.object({
      operation: z.string(),
      subjects: z.array(z.string()),
      subjectCount: z.number(),
      detail: jsonObject.describe(
        '`changes` with the values before and after, or the number of `rows` with their digest.',
      ),
    }),
  ),
  changeCount: z.number(),
});
const tags = ['audit'];

export function auditRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.route({
      method: 'GET',
      url: '/audit',
      schema: {
        tags,
        summary: 'Who changed what, newest first',
        querystring: z.object({
          actor: filterText,
          operation: filterText.describe('Part of the name of the operation or of a changed table.'),
          subject: filterText.describe('An exact name or id.'),
          since: instant.optional(),
          until: instant.optional(),
          before: z
            .string()
            .regex(/^\d{1,18}$/, 'use the `next` value of the previous page')
            .optional(),
          limit: z.coerce.number().int().min(1).max(500).default(50),
        }),
        response: { 200: z.object({ entries: z.array(entryShape), next: z.string().nullable() }) },
      },
      handler: async (request) => {
        const entries = await listAudit(context.db, request.query);
        const next = entries.length < request.query.limit ? null : (entries.at(-1)?.id ?? null);
        return { entries, next };
      },
    });

    app.route({
      method: 'GET',
      url: '/audit/verification',
      schema: {
        tags,
        summary: 'Verify the whole record from its beginning',
        response: {
          200: z.object({
            sealed: z.number(),
            pending: z.number().describe('Not chained yet: from transactions that are in progress or have just ended.'),
            heads: z.number().describe('Signed heads in the BRAMBLE_HOME of this service.'),
            chain: z.string(),
            faults: z.number(),
            findings: z.array(z.object({ kind: z.string(), number: z.number().nullable(), message: z.string() })),
          }),
        },
      },
      handler: async () => await verifyAudit(context.db, await openHeadFile(context.home)),
    });

    app.route({
      method: 'GET',
      url: '/audit/export',
      schema: {
        tags,
        summary: 'All records as JSON lines that can be verified elsewhere',
        querystring: z.object({
          after: z.coerce.number().int().min(0).default(0).describe('Skips this many records.'),
        }),
        produces: ['application/x-ndjson'],
        response: { 200: z.unknown() },
      },
      handler: async (request, reply) => {
        const lines = exportAudit(context.db, await openHeadFile(context.home), request.query.after);
        // What fails before the first line can still be answered.
        const first = await lines.next();
        return await reply.type('application/x-ndjson').send(Readable.from(resumed(first, lines)));
      },
    });
  };
}

async function* resumed(first: IteratorResult<string>, rest: AsyncGenerator<string>): AsyncGenerator<string> {
  if (first.done !== true) yield first.value;
  yield* rest;
}
