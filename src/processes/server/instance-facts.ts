/** What a server instance knows of its domain and of itself from the start. */
import { systemClock } from '../../base/clock.ts';
import { BrambleError } from '../../base/errors.ts';
import type { InstanceId, SrpIdentifier } from '../../base/ids.ts';
import type { ComponentContext } from '../../component/component-process.ts';
import { type MasterKeyRing, openMasterKeyRing } from '../../component/master-key-ring.ts';
import { type InstanceAuthorities, loadInstanceAuthorities } from '../../domain/authorities.ts';
import { type Domain, readDomain } from '../../domain/domain.ts';
import { offeredMasterKey } from '../../hosts/host-master-keys.ts';
import { findInstance } from '../../instances/instances.ts';
import { isFeatureActive } from '../../registry/features.ts';
import { ownFeatures } from '../../registry/own-release.ts';
import { createPresentAuthorities } from './present-authorities.ts';

export interface InstanceFacts {
  readonly instance: { readonly id: InstanceId; readonly name: string; readonly srpIdentifier: SrpIdentifier };
  readonly domain: Domain;
  readonly keys: MasterKeyRing;
  readonly authorities: InstanceAuthorities;
  /** The same, as they are now. */
  readonly presentAuthorities: () => Promise<InstanceAuthorities>;
  /** Whether every component supports renewals of identities. */
  readonly renewalActive: () => Promise<boolean>;
}

/** @throws BrambleError ERR_NOT_FOUND if there is no such instance */
export async function readInstanceFacts(
  { db, log, environment, identity }: ComponentContext<unknown>,
  srpIdentifier: string,
): Promise<InstanceFacts> {
  const domain = await readDomain(db);
  const instance = await findInstance(db, srpIdentifier);
  if (!instance) {
    const message = `No instance has the SRP identifier ${srpIdentifier}.`;
    throw new BrambleError('ERR_NOT_FOUND', `${message} Issue one with \`bramble instance add\`.`);
  }
  const keys = await openMasterKeyRing({
    ...{ db, home: environment.home, log },
    offered: (keyId) => offeredMasterKey(db, { home: environment.home, host: identity.host, keyId }),
  });
  const authorities = await loadInstanceAuthorities(db, keys);
  let renews = false;
  return {
    ...{ instance, domain, keys, authorities },
    presentAuthorities: createPresentAuthorities({ db, keys, authorities, clock: systemClock, log }),
    renewalActive: async () => {
      // Once active it stays so.
      renews ||= await isFeatureActive(db, ownFeatures, 'device-identity-renewal');
      return renews;
    },
  };
}
