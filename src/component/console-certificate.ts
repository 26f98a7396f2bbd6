/**
 * Certificate and key of the console's address, from the files that `config.json` names. They are read again and again, so that
 * whatever renews them need not restart anything.
 *
 * Invariant: files that cannot be read or do not fit together, such as ones that are just being replaced, change nothing.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { ConsoleSettings } from '../process/configuration.ts';
import type { Logger } from '../process/log/logger.ts';

/** In PEM. */
export interface ConsoleCertificate {
  readonly cert: string;
  readonly key: string;
}

const everyMs = 10_000;

/** Null where none is configured. @throws Error when the files cannot be read, or are no pair */
export async function readConsoleCertificate(
  home: string,
  { certificate, key }: Pick<ConsoleSettings, 'certificate' | 'key'>,
): Promise<ConsoleCertificate | null> {
  if (certificate === undefined || key === undefined) return null;
  const [cert, own] = await Promise.all(
    [certificate, key].map(async (file) => await readFile(resolve(home, file), 'utf8')),
  );
  const pair = { cert: cert ?? '', key: own ?? '' };
  if (!new X509Certificate(pair.cert).checkPrivateKey(createPrivateKey(pair.key))) {
    throw new Error(`${key} is not the key of ${certificate}`);
  }
  return pair;
}

/** Looks until the signal is aborted. Never rejects. */
export async function followConsoleCertificate(parts: {
  readonly read: () => Promise<ConsoleCertificate | null>;
  readonly present: ConsoleCertificate;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  use(renewed: ConsoleCertificate): void;
}): Promise<void> {
  const { read, clock, log, signal } = parts;
  let { present } = parts;
  let isTold = false;
  while (!signal.aborted) {
    await clock.sleep(everyMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      const renewed = await read();
      isTold = false;
      if (renewed === null || (renewed.cert === present.cert && renewed.key === present.key)) continue;
      parts.use(renewed);
      present = renewed;
      log.info('the renewed certificate of the console is in use');
    } catch (error) {
      if (!isTold)
        log.warn(
          { reason: messageOf(error) },
          'the certificate of the console cannot be used; keeping the present one',
        );
      isTold = true;
    }
  }
}
