/**
 * A device's CONNECT at the public port: counted as a request until it is answered, then as a tunnel of its connection.
 *
 * Invariant: a connection with an open tunnel is not idle, however long nothing is sent.
 */
import type { TLSSocket } from 'node:tls';
import type { ConnectionWatch } from './connection-watch.ts';
import type { DeviceEnd } from './device-end.ts';
import type { PublicConnections } from './public-connections.ts';
import { overloaded } from './public-refusals.ts';
import type { Reply } from './reply.ts';
import type { TunnelOpener } from './tunnel-opener.ts';

/** @param invalid why the request is refused in any case */
export type PublicTunnels = (end: DeviceEnd, socket: TLSSocket, invalid: Reply | null) => Promise<void>;

export function createPublicTunnels(options: {
  open: TunnelOpener;
  connections: PublicConnections;
  watch: ConnectionWatch;
  onAnswer: (status: number) => void;
}): PublicTunnels {
  const { open, connections, watch, onAnswer } = options;
  return async (end, socket, invalid) => {
    const watched = watch.of(socket);
    if (!watched) return;
    const place = invalid ?? watched.begin(() => undefined);
    if (typeof place === 'string' || 'status' in place) {
      const refused = typeof place === 'string' ? overloaded(place) : place;
      onAnswer(refused.status);
      end.refuse(refused);
      return;
    }
    place.whole();
    watched.spoke();
    try {
      const sender = watched.sender(socket);
      const status = await open(end, sender);
      onAnswer(status);
      if (status !== 200) return;
      // The connection service knows the device by its certificate, and answers for it.
      connections.prove(watched.connection, `certificate ${sender.clientCertificate ?? ''}`);
      watched.hold();
      if (end.stream.closed) watched.release();
      else end.stream.once('close', () => watched.release());
    } finally {
      place.end();
    }
  };
}
