/** The log of events: as a list, or live. */
import type { FastifyPluginAsync } from 'fastify';
import { type Actor, actorOf } from '../../../access/actor.ts';
import { assertRight } from '../../../access/guard.ts';
import { lostStandings, standingOf } from '../../../access/standing.ts';
import { domainOperations } from '../../../api/domain.ts';
import { type StreamTopic, streamTopics, topicRights, topicsOf } from '../../../api/event-stream.ts';
import { ringAtChanges } from '../../../database/change-notices.ts';
import type { Database } from '../../../database/connection.ts';
import { readEventsAfter, readLastEvents } from '../../../domain/event-stream.ts';
import { listEvents } from '../../../domain/events.ts';
import { asksForStream, streamAnswer } from '../../../rest/event-stream-answer.ts';
import { serve } from '../../../rest/serve.ts';
import { createStreamHub, type StreamSource } from '../../../rest/stream-hub.ts';
import type { AdministrationContext } from '../context.ts';
import { readMarks } from '../stream-marks.ts';

export function eventRoutes({ db, log, stopping }: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    const hub = createStreamHub({ source: streamSource(db), log });
    // Before any server waits for what is under way.
    stopping?.addEventListener('abort', () => void hub.close());
    app.addHook('preClose', async () => await hub.close());

    serve(app, domainOperations.listEvents, async (request, reply) => {
      const { topics, ...page } = request.query;
      const actor = actorOf(request);
      if (!asksForStream(request)) {
        // The list speaks of everybody.
        assertRight(actor, 'events.read', false);
        return await listEvents(db, page);
      }
      return await streamAnswer(request, reply, {
        ...{ hub, owner: `${actor.kind} ${actor.id}`, standing: standingOf(actor) },
        topics: new Set(topics === undefined ? permitted(actor) : asked(actor, topicsOf(topics))),
      });
    });
  };
}

/** What happened is told of everybody: not to who is limited to groups. */
const isForAll = (topic: StreamTopic, { groups }: Actor) => groups === null || topic !== 'events';

function permitted(actor: Actor): StreamTopic[] {
  return streamTopics.filter((topic) => actor.rights.has(topicRights[topic]) && isForAll(topic, actor));
}

/** @throws BrambleError ERR_RIGHT_MISSING */
function asked(actor: Actor, topics: readonly StreamTopic[]): StreamTopic[] {
  for (const topic of topics) assertRight(actor, topicRights[topic]);
  return topics.filter((topic) => isForAll(topic, actor));
}

function streamSource(db: Database): StreamSource {
  return {
    ringAtEvents: async (bell) => await ringAtChanges(db, ['event'], bell),
    readLast: async (limit) => await readLastEvents(db, limit),
    readAfter: async (place, limit) => await readEventsAfter(db, place, limit),
    readMarks: async (topics) => await readMarks(db, topics),
    readLost: async (standings) => await lostStandings(db, standings),
  };
}
