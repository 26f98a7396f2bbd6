/**
 * One request over a link, and its outcome.
 *
 * Invariant: `not-sent` is reported only if the instance certainly processed nothing (the session was gone before the
 * request was written, or the peer refused the stream, RFC 9113 §8.7); every other break is `ambiguous`.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { BrambleError, messageOf } from '../../base/errors.ts';
import { maxBodyBytes } from '../../link/messages.ts';
import { parseJson } from '../../link/signed-envelope.ts';

export type Exchange =
  | { kind: 'answered'; status: number; headers: IncomingHttpHeaders; body: Buffer; rest: ClientHttp2Stream | null }
  | { kind: 'not-sent' }
  /** Refused on our side: a header that HTTP/2 cannot carry. Nothing was sent. */
  | { kind: 'unsendable'; reason: string }
  | { kind: 'ambiguous' }
  | { kind: 'late' };

/** Answers up to this size are returned whole; the rest of a larger one is streamed. */
const wholeAnswerBytes = 256 * 1024;

/**
 * Sends one request with a whole body. Never rejects. A `rest` that is not null is paused, begins after `body`, and is
 * the caller's to consume or destroy.
 */
export function exchange(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body: Buffer | null,
  timeoutMs: number,
): Promise<Exchange> {
  return new Promise((resolve) => {
    let stream: ClientHttp2Stream;
    try {
      stream = session.request(headers, { endStream: body === null });
    } catch (error) {
      const gone = session.closed || session.destroyed;
      resolve(gone ? { kind: 'not-sent' } : { kind: 'unsendable', reason: messageOf(error) });
      return;
    }
    let answer: IncomingHttpHeaders | null = null;
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    const answered = (rest: ClientHttp2Stream | null) => {
      if (!answer) return;
      clearTimeout(timer);
      const whole = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
      resolve({ kind: 'answered', status: Number(answer[':status']), headers: answer, body: whole, rest });
    };
    const timer = setTimeout(() => {
      resolve({ kind: 'late' });
      stream.close(constants.NGHTTP2_CANCEL);
    }, timeoutMs);
    const onData = (chunk: Buffer) => {
      chunks.push(chunk);
      sizeBytes += chunk.length;
      if (sizeBytes <= wholeAnswerBytes) return;
      stream.pause();
      stream.off('data', onData);
      stream.off('end', onEnd);
      answered(stream);
    };
    const onEnd = () => answered(null);
    stream.on('response', (received) => {
      answer = received;
    });
    stream.on('data', onData);
    stream.on('end', onEnd);
    // Handled in the 'close' that follows.
    stream.on('error', () => undefined);
    stream.once('close', () => {
      clearTimeout(timer);
      const untouched = stream.id === undefined || stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
      // Settling again after an answer changes nothing.
      resolve({ kind: untouched && answer === null ? 'not-sent' : 'ambiguous' });
    });
    if (body !== null) stream.end(body);
  });
}

/**
 * A control request, answered with JSON.
 * @throws BrambleError ERR_LINK_EXCHANGE when there is no 200 within the deadline, ERR_LINK_MESSAGE when it is not
 * JSON.
 */
export async function exchangeJson(
  session: ClientHttp2Session,
  method: 'GET' | 'POST',
  path: string,
  message: unknown,
  timeoutMs: number,
): Promise<unknown> {
  const body = message === undefined ? null : Buffer.from(JSON.stringify(message));
  const result = await exchange(session, { ':method': method, ':path': path }, body, timeoutMs);
  if (result.kind === 'answered') {
    result.rest?.destroy();
    if (result.status === 200 && result.rest === null && result.body.length <= maxBodyBytes) {
      return parseJson(result.body.toString());
    }
  }
  const what = result.kind === 'answered' ? `status ${result.status}` : result.kind;
  throw new BrambleError('ERR_LINK_EXCHANGE', `${method} ${path} over the SRP link was not answered (${what}).`);
}
