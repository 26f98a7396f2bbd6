/** How devices of a platform enrol, renew their identity and are told to leave. Pure. */
import type { DeviceId } from '../base/ids.ts';
import type { Order } from './order.ts';

/** A device row, created before any device is seen. */
export interface OfferedDevice {
  readonly deviceId: DeviceId;
  /** Path token of its addresses. */
  readonly token: string;
  /** The first to present it gets the identity. */
  readonly challenge: string;
}

export interface EnrolmentFacts {
  readonly domain: {
    readonly domainId: string;
    readonly name: string;
    readonly publicUrl: string;
    /** The domain's wake channel, or the one that the device knows. */
    readonly wakeChannel: string;
  };
  readonly authorities: {
    readonly domainCertificateDer: Uint8Array;
    /** During its rollover: the other one. */
    readonly otherDomainDer?: Uint8Array | undefined;
    /** Issues device identities. */
    readonly device: Signing;
    readonly profileSigner: Signing;
    /** During a rollover: the one before, which may still be the profile signer's issuer. */
    readonly formerDeviceDer?: Uint8Array | undefined;
    /** The issuer of identities, certified by the one before: leads devices that know only that one. */
    readonly deviceBridgeDer?: Uint8Array | undefined;
  };
  readonly device: OfferedDevice;
  readonly accountName: string;
}

interface Signing {
  readonly certificateDer: Uint8Array;
  readonly privateKeyPem: string;
}

export interface Enrolment {
  /**
   * The answer to an activation: the same for the same offer. `signed`: by the domain, if the platform supports that.
   */
  offer(facts: EnrolmentFacts, signed: boolean): { readonly contentType: string; readonly body: Buffer };
  /** Makes the device get a new identity, with the challenge in its facts; everything else stays as at enrolment. */
  renewal(facts: EnrolmentFacts): Order;
  /** Tells the device to leave. */
  removal(domain: Pick<EnrolmentFacts['domain'], 'domainId'>): Order;
}
