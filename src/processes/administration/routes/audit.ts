/** The audit: who changed what, verification of the record, and its export. */
import { Readable } from 'node:stream';
import type { FastifyPluginAsync } from 'fastify';
import { listAudit } from '../../../access/audit/audit-list.ts';
import { exportAudit } from '../../../access/audit/export.ts';
import { openHeadFile } from '../../../access/audit/head-file.ts';
import { verifyAudit } from '../../../access/audit/verification.ts';
import { auditOperations } from '../../../api/audit.ts';
import { serve } from '../../../rest/serve.ts';
import type { AdministrationContext } from '../context.ts';

export function auditRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, auditOperations.list, async (request) => {
      const entries = await listAudit(context.db, request.query);
      const next = entries.length < request.query.limit ? null : (entries.at(-1)?.id ?? null);
      return { entries, next };
    });

    serve(app, auditOperations.verify, async () => await verifyAudit(context.db, await openHeadFile(context.home)));

    serve(app, auditOperations.export, async (request) => {
      const lines = exportAudit(context.db, await openHeadFile(context.home), request.query.after);
      // A failure before the first line can still be answered.
      const first = await lines.next();
      return Readable.from(resumed(first, lines));
    });
  };
}

async function* resumed(first: IteratorResult<string>, rest: AsyncGenerator<string>): AsyncGenerator<string> {
  if (first.done !== true) yield first.value;
  yield* rest;
}
