/**
 * Sends a notice by mail: one message to all addresses of a target, handed to the domain's mail server.
 *
 * Invariants: an attempt ends within its time, whatever the server does; without TLS, where TLS is set, nothing is sent.
 * Addresses come from rows and are never parsed out of a text.
 */
import type { SendMailOptions } from 'nodemailer';
import { messageOf } from '../base/errors.ts';
import { shownText } from '../base/shown-text.ts';
import { timeText } from '../base/time-text.ts';
import type { MailServer } from './mail-server.ts';
import { attemptMs, type Notice, type Telling } from './notice.ts';

const shownCharacters = 300;

/** `signal` ends an attempt early, which then rejects with the signal's reason. */
export async function sendMail(
  server: MailServer,
  addresses: readonly string[],
  notice: Notice,
  domain: string,
  { signal, timeoutMs = attemptMs }: { signal: AbortSignal; timeoutMs?: number },
): Promise<Telling> {
  // Loaded when there is mail to send: most domains' processes never need it.
  const { createTransport } = await import('nodemailer');
  const { host, port, security, username, password, caPem } = server;
  const transport = createTransport({
    ...{ host, port, secure: security === 'tls', requireTLS: security === 'starttls', ignoreTLS: security === 'none' },
    ...{ connectionTimeout: timeoutMs, greetingTimeout: timeoutMs, socketTimeout: timeoutMs, dnsTimeout: timeoutMs },
    // A server that offers no authentication is not sent mail without it.
    ...(username === null || password === null ? {} : { auth: { user: username, pass: password }, forceAuth: true }),
    ...(caPem === null ? {} : { tls: { ca: caPem } }),
    ...{ disableFileAccess: true, disableUrlAccess: true },
  });
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    const message = { ...messageFor(server, addresses, notice, domain), signal: AbortSignal.any([signal, deadline]) };
    const { response, rejected } = await transport.sendMail(message);
    const refused = rejected.length === 0 ? '' : `; refused for ${rejected.join(', ')}`;
    return { kind: 'delivered', answer: oneLine(response + refused) };
  } catch (error) {
    signal.throwIfAborted();
    const seconds = timeoutMs / 1000;
    return {
      kind: 'failed',
      answer: deadline.aborted ? `no end within ${seconds} seconds` : oneLine(messageOf(error)),
    };
  } finally {
    transport.close();
  }
}

function messageFor(
  { sender }: MailServer,
  addresses: readonly string[],
  { id, at, kind, subject, message }: Notice,
  domain: string,
): SendMailOptions {
  const about = subject === null ? kind : `${kind} ${subject}`;
  return {
    from: { name: `Bramble ${domain}`, address: sender },
    to: addresses.map((address) => ({ name: '', address })),
    subject: oneLine(`[Bramble ${domain}] ${about}`),
    text: [
      message,
      '',
      `Domain: ${domain}`,
      `When: ${timeText(at)}`,
      `Kind: ${kind}`,
      ...(subject === null ? [] : [`About: ${subject}`]),
      '',
      'More with `bramble status`, `bramble events` and `bramble upgrade status`.',
      'Who is told what: `bramble notice list`.',
      '',
    ].join('\n'),
    messageId: `<${id}@${sender.slice(sender.lastIndexOf('@') + 1)}>`,
    // RFC 3834: no vacation answers to this.
    headers: { 'Auto-Submitted': 'auto-generated' },
  };
}

function oneLine(text: string): string {
  return shownText(text.replaceAll(/\s+/g, ' ').trim().slice(0, shownCharacters));
}
