/** Renews a component's SRP credential in time; its links follow. */
import { X509Certificate } from 'node:crypto';
import { type Bell, createBell } from '../base/bell.ts';
import { type Clock, systemClock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { readCredential, type SrpCredential } from '../link/credential.ts';
import type { ComponentContext } from './component-process.ts';
import { changeCredential } from './credential-file.ts';
import type { SrpLinks } from './srp-links.ts';

export interface CredentialRenewal {
  context: Pick<ComponentContext<unknown>, 'environment' | 'log'>;
  identifier: string;
  /** Whether it is time, by the certificate's validity or because another authority issues. */
  isDue: (credential: SrpCredential) => Promise<boolean>;
  /** Gets the successor of the present credential; may take until an administration service is at work. */
  renew: (present: SrpCredential, signal: AbortSignal) => Promise<SrpCredential>;
  links: Pick<SrpLinks, 'reread'>;
  /** Rung when it may be time. */
  bell?: Bell;
  signal: AbortSignal;
  clock?: Pick<Clock, 'now' | 'sleep'>;
}

const renewalCheckMs = 3_600_000;
const soonestRetryMs = 60_000;

/** Renews the credential when a third of its validity is left; looks every hour, and sooner after a failure where it ends soon. */
export async function keepCredentialFresh(options: CredentialRenewal): Promise<void> {
  const { context, identifier, links, signal, clock = systemClock, bell = createBell(clock) } = options;
  const { home } = context.environment;
  while (!signal.aborted) {
    let restMs = renewalCheckMs;
    try {
      const present = await readCredential(home, identifier);
      if (await options.isDue(present)) {
        restMs = retryMs(present, clock.now());
        const { certificatePem, privateKeyPem } = await options.renew(present, signal);
        await changeCredential(home, identifier, () => ({ certificatePem, privateKeyPem }));
        await links.reread();
        restMs = renewalCheckMs;
        context.log.info({ identifier }, 'SRP credential renewed');
      }
    } catch (error) {
      if (signal.aborted) return;
      context.log.error(
        { reason: messageOf(error), minutes: Math.round(restMs / 60_000) },
        'the SRP credential was not renewed; will retry',
      );
    }
    await bell.rest(restMs, signal);
  }
}

/** Often enough to leave several tries before it expires; an expired one cannot be renewed. */
function retryMs(present: SrpCredential, nowMs: number): number {
  const leftMs = new X509Certificate(present.certificatePem).validToDate.getTime() - nowMs;
  return leftMs <= 0 ? renewalCheckMs : Math.min(renewalCheckMs, Math.max(soonestRetryMs, leftMs / 4));
}
