/** How a platform's devices enrol, renew their identity and are told to leave. Pure. */
import type { DeviceId } from '../base/ids.ts';
import type { Order } from './order.ts';

/** A device row that was made before any device is seen. */
export interface OfferedDevice {
  readonly deviceId: DeviceId;
  /** Path token of its addresses. */
  readonly token: string;
  /** Whoever shows it first gets the identity. */
  readonly challenge: string;
}

export interface EnrolmentFacts {
  readonly domain: {
    readonly domainId: string;
    readonly name: string;
    readonly publicUrl: string;
    /** The domain's wake channel, or the one that the device knows. */
    readonly pushTopic: string;
  };
  readonly authorities: {
    readonly domainCertificateDer: Uint8Array;
    /** Issues device identities. */
    readonly device: Signing;
    readonly profileSigner: Signing;
  };
  readonly device: OfferedDevice;
  readonly accountName: string;
}

interface Signing {
  readonly certificateDer: Uint8Array;
  readonly privateKeyPem: string;
}

export interface Enrolment {
  /** What whoever activated is answered: the same for the same offer. `signed`: by the domain, if the platform can. */
  offer(facts: EnrolmentFacts, signed: boolean): { readonly contentType: string; readonly body: Buffer };
  /** Has the device get a new identity, by the challenge of its facts; everything else is as it was when it enrolled. */
  renewal(facts: EnrolmentFacts): Order;
  /** Tells the device to leave. */
  removal(domain: Pick<EnrolmentFacts['domain'], 'domainId'>): Order;
}
