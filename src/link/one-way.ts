/**
 * One direction of a tunnel.
 *
 * Invariant: only an orderly end is passed on as an end. A reset stream also emits 'end' in Node; if it were passed on
 * as one, the other side would take a truncated message for a complete one.
 */
import { constants, type Http2Stream } from 'node:http2';
import type { Socket } from 'node:net';

/**
 * Ends a tunnel's stream as broken. `close(code)` would not do: Node then sends END_STREAM first, and the other side
 * sees an orderly end before the reset.
 */
export function breakOff(stream: Http2Stream, reason: string): void {
  if (!stream.destroyed) stream.destroy(new Error(reason));
}

/** Pipes, and passes an orderly end on; the caller handles breaks, which it sees as 'close' and 'error'. */
export function pipeOneWay(from: Http2Stream | Socket, to: Http2Stream | Socket): void {
  from.pipe(to, { end: false });
  from.once('end', () => {
    if (!wasReset(from)) to.end();
  });
}

function wasReset(from: Http2Stream | Socket): boolean {
  // Undefined until the stream closes; an end before that is the peer's END_STREAM.
  return 'rstCode' in from && (from.aborted || (from.rstCode ?? constants.NGHTTP2_NO_ERROR) !== 0);
}
