/** The log of events: as a list, or live. */
import type { FastifyPluginAsync } from 'fastify';
import { domainOperations } from '../../../api/domain.ts';
import { topicsOf } from '../../../api/event-stream.ts';
import { ringAtChanges } from '../../../database/change-notices.ts';
import type { Database } from '../../../database/connection.ts';
import { readEventsAfter, readLastEvents } from '../../../domain/event-stream.ts';
import { listEvents } from '../../../domain/events.ts';
import { asksForStream, streamAnswer } from '../../../rest/event-stream-answer.ts';
import { serve } from '../../../rest/serve.ts';
import { createStreamHub, type StreamSource } from '../../../rest/stream-hub.ts';
import type { AdministrationContext } from '../context.ts';

export function eventRoutes({ db, log }: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    const hub = createStreamHub({ source: streamSource(db), log });
    // Before the server waits for what is under way.
    app.addHook('preClose', async () => await hub.close());

    serve(app, domainOperations.listEvents, async (request, reply) => {
      const { limit, topics } = request.query;
      if (!asksForStream(request)) return { events: await listEvents(db, limit) };
      return await streamAnswer(request, reply, { hub, owner: request.administrator, topics: topicsOf(topics) });
    });
  };
}

function streamSource(db: Database): StreamSource {
  return {
    ringAtEvents: async (bell) => await ringAtChanges(db, ['event'], bell),
    readLast: async (limit) => await readLastEvents(db, limit),
    readAfter: async (place, limit) => await readEventsAfter(db, place, limit),
  };
}
