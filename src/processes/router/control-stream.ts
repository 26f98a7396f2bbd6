/**
 * The signed revocation lists that an instance pushes over its link, line by line.
 *
 * Invariant: a list takes effect only if the domain authority signed it and its number is higher than that of the one
 * in force.
 */
import type { KeyObject } from 'node:crypto';
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
import type { Logger } from '../../process/log/logger.ts';
import type { RouterLink } from './link-registry.ts';

const reopenAfterMs = 2000;
// A list of tens of thousands of revocations still fits.
const maxLineBytes = 16 * maxBodyBytes;

/** Reads until the link ends; a stream that ends before its link is reopened two seconds later. */
export function followControlStream(
  link: RouterLink,
  authorityKey: KeyObject,
  onList: (list: RevocationList, envelope: SignedEnvelope) => void,
  log: Logger,
): void {
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
        const envelope = parseMessage(envelopeShape, parseJson(line));
        onList(openEnvelope(envelope, revocationListShape, authorityKey), envelope);
      } catch (error) {
        log.warn({ identifier, error: messageOf(error) }, 'revocation list rejected');
      }
    }
  });
  stream.on('error', (error) => log.debug({ identifier, error: messageOf(error) }, 'control stream failed'));
  stream.once('close', () => {
    if (session.closed || session.destroyed) return;
    const again = setTimeout(() => followControlStream(link, authorityKey, onList, log), reopenAfterMs);
    session.once('close', () => clearTimeout(again));
  });
}
