/** For tests: a client of the stream of events, which remembers what it was told. */
import { request } from 'node:http';
import { eventStream, readStream, type StreamMessage } from '../api/event-stream.ts';
import { until } from '../testing/condition.ts';

export interface OpenedStream {
  status: number;
  told: StreamMessage[];
  /** Resolves once the service has ended it. */
  ended: Promise<void>;
  /** Of what the stream said last of an event or of itself. */
  lastId(): string;
  untilTold(what: string, is: (message: StreamMessage) => boolean): Promise<StreamMessage>;
  close(): void;
}

export async function openStream(
  { url, token }: { url: string; token: string },
  { after, query = '' }: { after?: string; query?: string } = {},
): Promise<OpenedStream> {
  const asking = request(`${url}/api/v1/events${query}`, {
    agent: false,
    headers: {
      ...{ accept: eventStream, authorization: `Bearer ${token}` },
      ...(after === undefined ? {} : { 'last-event-id': after }),
    },
  });
  const answered = Promise.withResolvers<import('node:http').IncomingMessage>();
  asking.once('response', answered.resolve).once('error', answered.reject).end();
  const response = await answered.promise;
  const told: StreamMessage[] = [];
  const ended = (async () => {
    for await (const message of readStream(response)) told.push(message);
  })();
  ended.catch(() => {});
  return {
    status: response.statusCode ?? 0,
    told,
    ended,
    lastId: () => told.findLast(({ id }) => id !== null)?.id ?? '',
    untilTold: async (what, is) => {
      await until(what, 30_000, () => told.some(is));
      const found = told.find(is);
      if (found === undefined) throw new TypeError('told and not found');
      return found;
    },
    close: () => asking.destroy(),
  };
}

export const isReady = ({ topic, kind }: StreamMessage): boolean => topic === 'stream' && kind === 'ready';
