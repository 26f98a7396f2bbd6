/** Every place where the database holds values under the master key. One that is missing here fails a test. */
import { sealedAnswers } from '../../access/idempotency.ts';
import { sealedClientSecrets } from '../../access/openid/sealed-client-secret.ts';
import { sealedTotp } from '../../access/sign-in/sealed-totp.ts';
import type { SealedPlace } from '../../database/sealed-place.ts';
import { sealedKeptSecrets, sealedUnlockSecrets } from '../../devices/sealed-secrets.ts';
import { sealedAuthorities, sealedDomainKey, sealedOtherDomainKey } from '../../domain/sealed-authorities.ts';
import { sealedInvitations } from '../../hosts/sealed-invitation.ts';
import { sealedMailPassword } from '../../notices/sealed-mail-password.ts';
import { sealedWebhooks } from '../../notices/sealed-webhook.ts';
import type { Platforms } from '../../platforms/port.ts';
import { sealedPushKey } from './push-settings-store.ts';

export function sealedPlaces(platforms: Platforms): readonly SealedPlace[] {
  return [
    sealedAuthorities,
    sealedDomainKey,
    sealedOtherDomainKey,
    sealedPushKey(platforms),
    sealedWebhooks,
    sealedInvitations,
    sealedMailPassword,
    sealedTotp,
    sealedClientSecrets,
    sealedUnlockSecrets,
    sealedKeptSecrets,
    sealedAnswers,
  ];
}
