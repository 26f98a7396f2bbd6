/**
 * An open tunnel: the device's stream and the connection to the internal host, joined.
 *
 * Invariant: the end of one direction is passed on and leaves the other open; a break ends both, and never looks like
 * an orderly end to the other side. The tunnel is gone only when both of its ends are.
 */
import { constants, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { ErrorCode } from '../../base/error-codes.ts';
import { messageOf } from '../../base/errors.ts';
import type { TunnelTarget } from '../../instances/allowed-hosts.ts';
import { breakOff, pipeOneWay } from '../../link/one-way.ts';

export interface OpenTunnel {
  readonly fingerprint: string;
  readonly target: TunnelTarget;
  /** That was dialled. */
  readonly address: string;
  readonly openedAtMs: number;
  readonly stream: ServerHttp2Stream;
  readonly socket: Socket;
}

/** Tells the device that the tunnel is open, and passes bytes until both ends are gone. */
export function joinEnds(
  { stream, socket }: OpenTunnel,
  options: {
    /** Without a byte in either direction. */
    idleTimeoutMs: number;
    /** By silence, or on the host's side. */
    onBroken: (code: ErrorCode, reason: string) => void;
    onGone: () => void;
  },
): void {
  stream.respond({ ':status': 200 });
  socket.setTimeout(options.idleTimeoutMs, () => {
    options.onBroken('ERR_TUNNEL_IDLE', 'no byte in either direction');
    breakOff(stream, 'no byte in either direction');
    socket.destroy();
  });
  pipeOneWay(stream, socket);
  pipeOneWay(socket, stream);
  socket.on('error', (error) => {
    options.onBroken('ERR_TUNNEL_UPSTREAM', messageOf(error));
    breakOff(stream, messageOf(error));
  });
  let ends = 2;
  const ended = () => {
    ends -= 1;
    if (ends === 0) options.onGone();
  };
  socket.once('close', ended);
  stream.once('close', () => {
    // After an orderly end, END_STREAM has already been passed on; anything else must not look orderly to the host.
    if (stream.rstCode === constants.NGHTTP2_NO_ERROR) socket.destroySoon();
    // A socket that is shutting down can no longer be reset; trying leaks its handle.
    else if (socket.writableEnded) socket.destroy();
    else socket.resetAndDestroy();
    ended();
  });
}
