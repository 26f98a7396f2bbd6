/**
 * The way into a tunnel: HTTP/2 CONNECT over TLS with the device's certificate. A CONNECT that the server did not
 * process, since it was ending the connection, is sent again once over a fresh one.
 * @see RFC 9113 §8.5 (CONNECT), §8.7 (REFUSED_STREAM)
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2, constants } from 'node:http2';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { messageOf } from '../base/errors.ts';
import type { DeviceTrust } from './device-http.ts';

interface TunnelConnectionOptions {
  /** Where the domain listens: host and port of its public address. */
  readonly publicUrl: URL;
  /** The host name that tunnels are opened under (SNI). */
  readonly tunnelHost: string;
  /** The internal `host:port`. */
  readonly target: string;
  readonly trust: DeviceTrust;
  /** Whether the CONNECT has not been answered and is still wanted. */
  isOpening(): boolean;
  answered(stream: ClientHttp2Stream, httpStatus: number): void;
  /** The connection that is in use has failed. */
  failed(reason: string): void;
}

interface TunnelConnection {
  destroy(): void;
}

export function connectTunnel(options: TunnelConnectionOptions): TunnelConnection {
  let socket: TLSSocket;
  let session: ClientHttp2Session;

  const dial = (again: boolean): void => {
    socket = openSocket(options);
    const own = connectHttp2(`https://${options.tunnelHost}`, { createConnection: () => socket });
    session = own;
    const failed = (reason: string): void => {
      if (session === own) options.failed(reason);
    };
    socket.on('error', (error) => failed(messageOf(error)));
    own.on('error', (error) => failed(messageOf(error)));
    own.on('close', () => failed('the connection ended'));
    own.on('connect', () => {
      const stream = own.request({ ':method': 'CONNECT', ':authority': options.target }, { endStream: false });
      stream.on('error', (error) => {
        const unprocessed = options.isOpening() && stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
        if (!unprocessed || again) {
          failed(messageOf(error));
          return;
        }
        dial(true);
        own.destroy();
      });
      stream.on('response', (headers) => options.answered(stream, Number(headers[':status'])));
    });
  };
  dial(false);

  return {
    destroy: () => {
      session.destroy();
      socket.destroy();
    },
  };
}

function openSocket({ publicUrl, tunnelHost, trust }: TunnelConnectionOptions): TLSSocket {
  const { rootsPem, identity } = trust;
  return connectTls({
    host: publicUrl.hostname.replace(/^\[|\]$/g, ''),
    port: Number(publicUrl.port || 443),
    servername: tunnelHost,
    ALPNProtocols: ['h2'],
    ca: [...rootsPem],
    ...(identity === undefined ? {} : { cert: identity.certificatePem, key: identity.keyPem }),
  });
}
