/**
 * A TCP connection to the first of some addresses that answers.
 *
 * Invariant: only the given addresses are dialled, never a name: nothing is resolved a second time.
 */
import type { ServerHttp2Stream } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { messageOf } from '../../base/errors.ts';

/** Maximum number of addresses of one name that are tried. */
const maxAddresses = 4;

/** The connection and its address, or why there is none. */
export async function dialFirst(
  addresses: readonly string[],
  port: number,
  stream: ServerHttp2Stream,
  deadline: AbortSignal,
): Promise<{ socket: Socket; address: string } | string> {
  let failure = 'no connection in time';
  for (const address of addresses.slice(0, maxAddresses)) {
    if (deadline.aborted || stream.destroyed) break;
    const socket = connect({ host: address, port, allowHalfOpen: true, noDelay: true });
    const refused = await connected(socket, stream, deadline);
    if (refused === null) return { socket, address };
    socket.destroy();
    failure = refused;
  }
  return failure;
}

/** Null when connected, otherwise why not. */
function connected(socket: Socket, stream: ServerHttp2Stream, deadline: AbortSignal): Promise<string | null> {
  return new Promise((resolve) => {
    const onLate = () => settle('no connection in time');
    const onClose = () => settle('the device went away');
    const settle = (failure: string | null) => {
      deadline.removeEventListener('abort', onLate);
      stream.off('close', onClose);
      resolve(failure);
    };
    socket.once('connect', () => settle(null));
    socket.on('error', (error) => settle(messageOf(error)));
    deadline.addEventListener('abort', onLate, { once: true });
    stream.once('close', onClose);
    if (stream.destroyed) onClose();
  });
}
