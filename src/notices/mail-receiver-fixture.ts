/** For tests: an SMTP server on loopback that keeps what it is handed, with TLS and a user if the test wants them. */
import type { AddressInfo } from 'node:net';
import { after } from 'node:test';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { createLoopbackCertificate } from '../simulator/loopback-certificate.ts';

interface ReceivedMail {
  from: string;
  to: string[];
  /** As sent: headers, an empty line, the body. */
  text: string;
  isEncrypted: boolean;
  user: string | undefined;
}

interface MailReceiver {
  port: number;
  caPem: string;
  received: ReceivedMail[];
}

/** Takes mail only from this user, if one is given. Closed at the end of the test file. */
export async function startMailReceiver(
  options: SMTPServerOptions = {},
  user?: { name: string; password: string },
): Promise<MailReceiver> {
  const { keyPem, certificatePem, caPem } = await createLoopbackCertificate('mail');
  const received: ReceivedMail[] = [];
  const server = new SMTPServer({
    ...{ key: keyPem, cert: certificatePem, logger: false, authOptional: user === undefined },
    onAuth: (auth, _session, callback) => {
      const isRight = auth.username === user?.name && auth.password === user?.password;
      callback(isRight ? null : new Error('535 no such user'), { user: auth.username });
    },
    onData: (stream, session, callback) => {
      void (async () => {
        const pieces = (await stream.toArray()) as Buffer[];
        const { mailFrom, rcptTo } = session.envelope;
        received.push({
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          text: Buffer.concat(pieces).toString(),
          isEncrypted: session.secure,
          user: session.user,
        });
        callback(null, 'taken');
      })();
    },
    ...options,
  });
  server.on('error', () => {});
  const listening = await new Promise<AddressInfo>((resolve) => {
    const listener = server.listen(0, '127.0.0.1', () => resolve(listener.address() as AddressInfo));
  });
  after(() => {
    for (const connection of server.connections) connection.close();
    server.close();
  });
  return { port: listening.port, caPem, received };
}
