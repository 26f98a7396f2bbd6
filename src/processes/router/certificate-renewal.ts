/**
 * How a running router gets its renewed certificate: an administration service of this home writes it into the router's
 * file, which the router polls. Invariant: a file that is unusable, or not usable yet, changes nothing; the current
 * certificate stays in use.
 */
import { X509Certificate } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import { type RouterFile, readRouterFile } from '../../link/router-file.ts';
import type { Logger } from '../../process/log/logger.ts';

const everyMs = 10_000;

/** Looks until the signal is aborted. Never rejects. */
export async function followCertificate(parts: {
  readonly path: string;
  /** The certificate currently in use. */
  readonly file: RouterFile;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  renew(file: RouterFile): void;
}): Promise<void> {
  const { path, clock, log, signal, renew } = parts;
  let present = parts.file.certificatePem;
  while (!signal.aborted) {
    await clock.sleep(everyMs, signal).catch(() => {});
    if (signal.aborted) return;
    try {
      const file = await readRouterFile(path);
      if (file.certificatePem === present) continue;
      const { validFromDate } = new X509Certificate(file.certificatePem);
      if (validFromDate.getTime() > clock.now()) {
        log.warn({ from: validFromDate }, 'the renewed certificate is not valid yet: the issuer’s clock is ahead');
        continue;
      }
      renew(file);
      present = file.certificatePem;
      log.info('the renewed certificate is in use');
    } catch (error) {
      log.warn({ reason: messageOf(error) }, 'the renewed certificate cannot be used; keeping the present one');
    }
  }
}
