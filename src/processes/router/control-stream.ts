/**
 * What an instance pushes over its link, line by line: signed revocation lists, and the domain's statements about its
 * authorities.
 *
 * Invariant: a list takes effect only if a trusted domain authority signed it and its number is higher than that of the one
 * in force.
 */
import { messageOf } from '../../base/errors.ts';
import {
  envelopeShape,
  linkPaths,
  maxBodyBytes,
  type RevocationList,
  revocationListShape,
  type SignedEnvelope,
} from '../../link/messages.ts';
import { openEnvelope, parseJson, parseMessage } from '../../link/signed-envelope.ts';
import { trustStatementsShape } from '../../link/trusted-authorities.ts';
import type { Logger } from '../../process/log/logger.ts';
import type { RouterLink } from './link-registry.ts';
import type { RouterTrust } from './router-trust.ts';

const reopenAfterMs = 2000;
// A list of tens of thousands of revocations still fits.
const maxLineBytes = 16 * maxBodyBytes;

interface ControlHandlers {
  readonly trust: RouterTrust;
  onList(list: RevocationList, envelope: SignedEnvelope): void;
  /** Statements changed what is trusted. */
  onTrust(): void;
  readonly log: Logger;
}

/** Reads until the link ends; a stream that ends before its link is reopened two seconds later. */
export function followControlStream(link: RouterLink, { trust, onList, onTrust, log }: ControlHandlers): void {
  const { session, identifier } = link;
  if (session.closed || session.destroyed) return;
  const stream = session.request({ ':method': 'GET', ':path': linkPaths.control });
  let text = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (text + chunk).split('\n');
    text = lines.pop() ?? '';
    if (text.length > maxLineBytes) stream.destroy(new Error('a line without an end'));
    for (const line of lines) {
      if (line === '') continue;
      try {
        const message = parseJson(line);
        if (message !== null && typeof message === 'object' && 'statements' in message) {
          if (trust.take(parseMessage(trustStatementsShape, message).statements)) onTrust();
          continue;
        }
        const envelope = parseMessage(envelopeShape, message);
        onList(openEnvelope(envelope, revocationListShape, trust.keys), envelope);
      } catch (error) {
        log.warn({ identifier, error: messageOf(error) }, 'a list or statement of the domain was rejected');
      }
    }
  });
  stream.on('error', (error) => log.debug({ identifier, error: messageOf(error) }, 'control stream failed'));
  stream.once('close', () => {
    if (session.closed || session.destroyed) return;
    const again = setTimeout(() => followControlStream(link, { trust, onList, onTrust, log }), reopenAfterMs);
    session.once('close', () => clearTimeout(again));
  });
}
