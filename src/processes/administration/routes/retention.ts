/** How long the audit, events and samples are kept. */
import type { FastifyPluginAsync } from 'fastify';
import { oldestRecordAt } from '../../../access/audit/audit-list.ts';
import { type Retention, retentionOperations, retentionSchema, type ShownRetention } from '../../../api/retention.ts';
import type { Queryable } from '../../../database/connection.ts';
import { oldestEventAt, recordEvent } from '../../../domain/events.ts';
import { readSetting, writeSetting } from '../../../domain/settings.ts';
import { requireFeature } from '../../../registry/features.ts';
import { answerEtag, refuseStale } from '../../../rest/etag.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';

const row = { table: 'setting', key: 'retention' } as const;

export function retentionRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, retentionOperations.show, async (_request, reply) => {
      await answerEtag(context.db, reply, row);
      return await shown(context.db, await readRetention(context.db));
    });

    serve(
      app,
      retentionOperations.change,
      async ({ body, administrator, headers }) =>
        await write(context, async (tx) => {
          await refuseStale(tx, { headers }, row);
          await requireFeature(tx, context.features, 'retention', 'Removing what is old');
          const wanted = retentionSchema.parse({ ...(await readRetention(tx)), ...body });
          await writeSetting(tx, 'retention', wanted);
          const message = `${administrator} changed how long the audit, events and samples are kept`;
          await recordEvent(tx, { kind: 'retention-changed', message, detail: wanted });
          return await shown(tx, wanted);
        }),
    );
  };
}

async function readRetention(q: Queryable): Promise<Retention> {
  return await readSetting(q, 'retention', retentionSchema);
}

async function shown(q: Queryable, { auditDays, eventDays, sampleDays }: Retention): Promise<ShownRetention> {
  return {
    audit: { days: auditDays, oldest: await oldestRecordAt(q) },
    events: { days: eventDays, oldest: await oldestEventAt(q) },
    samples: { days: sampleDays },
  };
}
