/** The log of events: as a list, or live. */
import type { FastifyPluginAsync } from 'fastify';
import { type Actor, actorOf } from '../../../access/actor.ts';
import { assertRight } from '../../../access/guard.ts';
import { lostStandings, standingOf } from '../../../access/standing.ts';
import { domainOperations } from '../../../api/domain.ts';
import { type StreamTopic, streamTopics, topicRights, topicsOf } from '../../../api/event-stream.ts';
import { fieldError } from '../../../base/field-error.ts';
import { ringAtChanges } from '../../../database/change-notices.ts';
import type { Database, Queryable } from '../../../database/connection.ts';
import { groupsOfEvents, isEventWithin, speaksOfAccounts } from '../../../devices/event-scope.ts';
import { readEventsAfter, readLastEvents } from '../../../domain/event-stream.ts';
import { type EventFacts, eventsWithIds, listEvents } from '../../../domain/events.ts';
import { asksForStream, streamAnswer } from '../../../rest/event-stream-answer.ts';
import { type ServedRequest, serve } from '../../../rest/serve.ts';
import { createStreamHub, type StreamSource } from '../../../rest/stream-hub.ts';
import type { AdministrationContext } from '../context.ts';
import { eventSubjects } from '../event-subjects.ts';
import { readMarks } from '../stream-marks.ts';

type Asked = ServedRequest<typeof domainOperations.listEvents>['query'];

export function eventRoutes({ db, log, stopping }: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    const hub = createStreamHub({ source: streamSource(db), log });
    // Before any server waits for what is under way.
    stopping?.addEventListener('abort', () => void hub.close());
    app.addHook('preClose', async () => await hub.close());

    serve(app, domainOperations.listEvents, async (request, reply) => {
      const { topics, ...filter } = request.query;
      const actor = actorOf(request);
      if (!asksForStream(request)) return await listed(db, actor, filter);
      refuseFilters(filter);
      return await streamAnswer(request, reply, {
        ...{ hub, owner: `${actor.kind} ${actor.id}`, standing: standingOf(actor), groups: actor.groups },
        topics: new Set(topics === undefined ? permitted(actor) : asked(actor, topicsOf(topics))),
      });
    });
  };
}

async function listed(db: Database, actor: Actor, asked: Omit<Asked, 'topics'>) {
  const { kind, since, until, sort, after, limit } = asked;
  const { groups } = actor;
  const sees = groups === null ? undefined : (q: Queryable, event: EventFacts) => isEventWithin(q, event, groups);
  const subjects = await eventSubjects(db, actor, asked);
  return await listEvents(db, { kind, subjects, since, until, sort, after, limit, sees });
}

/** @throws BrambleError ERR_INPUT */
function refuseFilters(query: Omit<Asked, 'topics'>): void {
  const { sort: _, after: __, limit: ___, ...filters } = query;
  for (const [name, value] of Object.entries(filters)) {
    if (value !== undefined) throw fieldError('querystring', name, 'is for the list, and not for the stream');
  }
}

function permitted(actor: Actor): StreamTopic[] {
  return streamTopics.filter((topic) => actor.rights.has(topicRights[topic]));
}

/** @throws BrambleError ERR_RIGHT_MISSING */
function asked(actor: Actor, topics: readonly StreamTopic[]): readonly StreamTopic[] {
  for (const topic of topics) assertRight(actor, topicRights[topic]);
  return topics;
}

function streamSource(db: Database): StreamSource {
  return {
    ringAtEvents: async (bell) => await ringAtChanges(db, ['event'], bell),
    readLast: async (limit) => {
      const last = await readLastEvents(db, limit);
      return { ...last, events: await withGroups(db, last.events) };
    },
    readAfter: async (place, limit) => {
      const look = await readEventsAfter(db, place, limit);
      return { ...look, events: await withGroups(db, look.events) };
    },
    readMarks: async (topics) => await readMarks(db, topics),
    readLost: async (standings) => await lostStandings(db, standings),
  };
}

/** One question for all of them, and none where they speak of the domain. */
async function withGroups<Event extends { readonly id: bigint; readonly kind: string }>(
  db: Database,
  events: readonly Event[],
): Promise<(Event & { groups: string[][] })[]> {
  const ids = events.filter(({ kind }) => speaksOfAccounts(kind)).map(({ id }) => id);
  const groups = ids.length === 0 ? undefined : await groupsOfEvents(db, eventsWithIds(db, ids));
  return events.map((event) => ({ ...event, groups: groups?.get(event.id) ?? [] }));
}
