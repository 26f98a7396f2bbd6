/**
 * COPY over the driver, in either direction.
 *
 * Invariant: both ends settle. The driver answers a COPY with its stream; what the server refuses after the last byte (a
 * unique key, a foreign key) it tells to nobody, and the stream never finishes. So the failure is taken from the statement
 * itself, and what ends first counts: the stream, the failure, or (`Session.run`) the session.
 */
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Sql } from '../session.ts';

/** What a statement of the driver has besides its type: how it is told that it failed. */
interface Rejectable {
  reject(error: unknown): void;
}

/** The rows of `copy … to stdout`, in pieces that end anywhere. */
export async function copyOut(sql: Sql, statement: string): Promise<AsyncIterable<Buffer>> {
  return readOn(await sql.unsafe(statement).readable());
}

/**
 * The driver stops reading from the server while the stream is full, and goes on when the stream asks for more. A stream that
 * was full at its end never asks: the next statement would wait for ever for what the server sent behind the rows.
 */
async function* readOn(stream: Readable): AsyncGenerator<Buffer> {
  for await (const piece of stream) yield piece as Buffer;
  stream._read(0);
}

/** Sends the pieces to `copy … from stdin`. @throws what the server refuses, at whatever moment */
export async function copyIn(sql: Sql, statement: string, pieces: AsyncIterable<Buffer>): Promise<void> {
  const query = sql.unsafe(statement);
  const refused = Promise.withResolvers<never>();
  refused.promise.catch(() => {});
  const told = query as unknown as Rejectable;
  const reject = told.reject;
  told.reject = (error) => {
    refused.reject(error);
    reject.call(query, error);
  };
  const stream: Writable = await query.writable();
  await Promise.race([pipeline(pieces, stream), refused.promise]);
}
