/**
 * Serves the operations of `api/`: a route's input, answers and description come from the operation's shapes, and its
 * handler is type-checked against them.
 */
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type * as z from 'zod';
import type { AnswerOf, Operation, Scope, Unchanged } from '../api/operation.ts';
import type { SmallList } from '../api/paging.ts';
import { etagOfMembers, etagOfRevision, refuseCondition } from './etag.ts';
import { withPage } from './pages.ts';

type Part<Op extends Operation, Key extends 'params' | 'query' | 'body'> = Op extends {
  readonly [Name in Key]: infer Shape extends z.ZodType;
}
  ? z.output<Shape>
  : unknown;

/** With the input as parsed by the operation's shapes. */
export type ServedRequest<Op extends Operation> = Omit<FastifyRequest, 'params' | 'query' | 'body'> & {
  params: Part<Op, 'params'>;
  query: Part<Op, 'query'>;
  body: Part<Op, 'body'>;
};

/** A list of few is answered whole; its pages are made here. */
type Whole<Op extends Operation> = Op extends { readonly list: SmallList }
  ? Omit<Unchanged<AnswerOf<Op>>, 'next'>
  : Unchanged<AnswerOf<Op>>;

/** Stored rows may be returned as they are: fields that the shape lacks are omitted. */
type Answered<Op extends Operation> = Op extends { readonly status: 204 }
  ? Promise<void>
  : Promise<Whole<Op> | (Op extends { readonly stream: string } ? Readable : never)>;

export function serve<Op extends Operation>(
  app: FastifyInstance,
  operation: Op,
  handler: (request: ServedRequest<Op>, reply: FastifyReply) => Answered<Op>,
): void {
  const { method, path, tag, summary, description, params, query, body, status = 200, answer } = operation;
  const { consumes, produces, revised, revisedBy, list } = operation;
  app.route({
    method,
    url: path,
    config: {
      withoutToken: operation.right === 'open',
      isOpen: operation.right === 'open',
      takesPassword: operation.takesPassword === true,
      scope: operation.scope,
    },
    onRequest: app.guard(operation),
    schema: {
      tags: [tag],
      summary,
      ...(description === undefined ? {} : { description }),
      ...(params === undefined ? {} : { params }),
      ...(query === undefined ? {} : { querystring: query }),
      ...(body === undefined ? {} : { body }),
      ...(consumes === undefined ? {} : { consumes: [consumes] }),
      ...(produces === undefined ? {} : { produces: [produces] }),
      response: { [status]: answer },
    },
    handler: async (request, reply) => {
      if (method !== 'GET' && (revised !== true || status === 201)) refuseCondition(request);
      const whole = await handler(request as ServedRequest<Op>, reply);
      const answered = list === undefined ? whole : withPage(list, whole as object, request.query as object);
      if (produces !== undefined) reply.type(produces);
      const shown = revised === true ? (answered as { revision?: number } | undefined)?.revision : undefined;
      if (shown !== undefined) reply.header('etag', etagOfRevision(shown));
      if (revisedBy !== undefined) reply.header('etag', etagOfMembers(revisedBy, answered as object));
      return await reply.status(status).send(answered ?? null);
    },
  });
}

declare module 'fastify' {
  interface FastifyContextConfig {
    scope?: Scope | undefined;
  }
  interface FastifyInstance {
    /** Lets only those through who may do the operation; runs before a body is read. */
    guard(operation: Operation): (request: FastifyRequest) => Promise<void>;
  }
}
