/** The two deeds that `keepCredentialFresh` asks of the directory. */

import type { SrpIdentifier } from '../base/ids.ts';
import type { Database } from '../database/connection.ts';
import type { Authority } from '../domain/authorities.ts';
import { credentialShape, type SrpCredential } from '../link/credential.ts';
import { isSrpRenewalDue, renewSrpCredential, srpCredentialSerial } from './srp-credentials.ts';

export function credentialRenewal(db: Database, authority: Authority) {
  return {
    isDue: isSrpRenewalDue,
    renew: async (present: SrpCredential): Promise<SrpCredential> => {
      const renewed = await renewSrpCredential(db, {
        identifier: present.identifier as SrpIdentifier,
        authority,
        routers: present.routers,
        presentSerial: srpCredentialSerial(present),
      });
      return credentialShape.parse(renewed.file);
    },
  };
}
