/**
 * The protocol of one or more platforms' devices: addresses, proof of identity, meaning of messages, and answers. Pure.
 *
 * Invariant: router and instance ask the same protocol about an address, so that an instance never interprets a request
 * differently from the router.
 */
import type { ErrorCode } from '../base/error-codes.ts';
import type { CertificateKeys } from '../protocol/cms/certificate-keys.ts';
import type { Announcement, CommandReport } from './device-message.ts';

type AddressPurpose =
  /** Commands are fetched and answered. Like announcements, answered 2xx only if the device has proven its identity. */
  | 'commands'
  /** Announcements of a device: see {@link Announcement}. */
  | 'announcements'
  /** A device gets its identity by SCEP, or as {@link DeviceProtocol.identity} says. */
  | 'scep'
  | 'identity'
  /** An account's name and activation password are exchanged for an enrolment. */
  | 'enrolment'
  /** Nothing is served. */
  | 'none';

/** One kind of address. */
export interface AddressRule {
  /** In metrics and logs. `no-token` has the shape of a device's address, but no valid token. */
  readonly kind: string;
  readonly purpose: AddressPurpose;
  /** Of a request's body. */
  readonly maxBytes: number;
  readonly protocol: DeviceProtocol | null;
}

export interface DeviceAddress {
  readonly rule: AddressRule;
  /** The device's path token; empty if the address does not belong to one device. */
  readonly token: string;
}

/** A path token: 32 random bytes in base64url. */
export const pathToken = /^[A-Za-z0-9_-]{43}$/;

/** The proofs of identity in a request. */
interface ProofRequest {
  /** A header as received, the first of several. */
  header(name: string): string | undefined;
  /** The TLS client certificate, only if the router or a trusted proxy named it. @see RFC 9440 §2.2 */
  readonly clientCertHeader: string | undefined;
  /** The body as it was received. */
  readonly body: Buffer;
}

export interface ProvenIdentity {
  /** SHA-256 of the certificate, lower-case hex. */
  readonly fingerprint: string;
  /** Whether the key was used in TLS. A signature alone may be a replay by anybody who saw it. */
  readonly overTls: boolean;
  /** The TLS certificate if it differs from the signature's, as on a connection that outlived a renewal. */
  readonly otherInTls: string | undefined;
  /** The signed content, and when by the device's clock, if given. */
  readonly signature: { readonly covered: Uint8Array; readonly signedAt: Date | undefined } | undefined;
  /** The certificate itself, in DER. @throws BrambleError ERR_CLIENT_CERT_HEADER */
  readonly certificateDer: () => Uint8Array;
}

/** A request for an enrolment. */
export interface EnrolmentRequest {
  /** As typed. */
  readonly accountName: string;
  readonly password: string;
  readonly platform: string;
  /** Whether the domain should sign the answer. */
  readonly signed: boolean;
}

/** A request for an identity. */
export interface IdentityRequest {
  /** Of the offer, or of a renewal. */
  readonly challenge: string | undefined;
  /** The certificate that proved the request, if it asks for a replacement. */
  readonly renews: Uint8Array | null;
  readonly publicKeySpkiDer: Uint8Array;
  readonly transactionId: string;
}

/** How devices without SCEP get identities. */
export interface IdentityProtocol {
  /** Throws where it cannot be read. */
  read(body: Buffer): IdentityRequest;
  write(certificateDer: Uint8Array): Buffer;
}

export interface DeviceProtocol {
  /**
   * Undefined if it does not belong to this protocol. Called for every request, also by routers. @param url path and
   * query
   */
  addressOf(url: string): DeviceAddress | undefined;
  /** @throws BrambleError ERR_IDENTITY_MISSING, ERR_SIGNATURE_INVALID, ERR_CLIENT_CERT_HEADER */
  prove(request: ProofRequest, keys: CertificateKeys): ProvenIdentity;
  /** Throws if it cannot be read well enough to tell the command and its result. */
  readReport(body: Buffer): CommandReport;
  /** Throws where it cannot be read. */
  readAnnouncement(body: Buffer): Announcement;
  /** Codes that these throw if the device is at fault, in addition to those of every protocol. */
  readonly faults: ReadonlySet<ErrorCode>;
  /** Of an answer that contains a command or a secret. */
  readonly contentType: string;
  /** A secret that the device escrowed; null if there is none. */
  writeSecret(secret: Uint8Array | null): Buffer;
  /** The one status that makes a device leave management. Sent deliberately, never because something failed. */
  readonly leaveStatus: number;
  /** @throws BrambleError ERR_CONTENT_TYPE; ERR_INPUT when it cannot be read, or a field is missing. */
  readEnrolment(contentType: string | undefined, body: Buffer): EnrolmentRequest;
  /** Null if all devices use SCEP. */
  readonly identity: IdentityProtocol | null;
}
