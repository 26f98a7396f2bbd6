/**
 * How devices of one or more platforms speak: at which addresses, how they prove who they are, what their messages mean, and
 * how they are answered. Pure.
 *
 * Invariant: router and instance ask the same protocol about an address, so that nothing reaches an instance that it would
 * read differently.
 */
import type { ErrorCode } from '../base/error-codes.ts';
import type { CertificateKeys } from '../protocol/cms/certificate-keys.ts';
import type { Announcement, CommandReport } from './device-message.ts';

export type AddressPurpose =
  /** Commands are fetched and answered. Answered 2xx only to a device that has proven who it is, as announcements are. */
  | 'commands'
  /** What a device says of itself: see {@link Announcement}. */
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
  /** In metrics and logs. `no-token` is shaped like a device's address, with something that is no token. */
  readonly kind: string;
  readonly purpose: AddressPurpose;
  /** Of a request's body. */
  readonly maxBytes: number;
  readonly protocol: DeviceProtocol | null;
}

export interface DeviceAddress {
  readonly rule: AddressRule;
  /** The device's path token; empty where the address is not of one device. */
  readonly token: string;
}

/** A path token: 32 random bytes in base64url. */
export const pathToken = /^[A-Za-z0-9_-]{43}$/;

/** What a request proves itself by. */
export interface ProofRequest {
  /** A header as it came, the first of several. */
  header(name: string): string | undefined;
  /** The TLS client certificate, only where the router or a trusted proxy named it. @see RFC 9440 §2.2 */
  readonly clientCertHeader: string | undefined;
  /** The body as it was received. */
  readonly body: Buffer;
}

export interface ProvenIdentity {
  /** SHA-256 of the certificate, lower-case hex. */
  readonly fingerprint: string;
  /** Whether the key was used in TLS. A signature alone may be a repetition: whoever saw it can send it again. */
  readonly overTls: boolean;
  /** The certificate of TLS, where it is another one than that of the signature: as on a connection that outlived a renewal. */
  readonly otherInTls: string | undefined;
  /** What was signed, and when by the device's clock, if it says so. */
  readonly signature: { readonly covered: Uint8Array; readonly signedAt: Date | undefined } | undefined;
  /** The certificate itself, in DER. @throws BrambleError ERR_CLIENT_CERT_HEADER */
  readonly certificateDer: () => Uint8Array;
}

/** Who asks for an enrolment. */
export interface EnrolmentRequest {
  /** As it was typed. */
  readonly accountName: string;
  readonly password: string;
  readonly platform: string;
  /** Whether the answer is to be signed by the domain. */
  readonly signed: boolean;
}

/** Who asks for an identity. */
export interface IdentityRequest {
  /** Of the offer, or of a renewal. */
  readonly challenge: string | undefined;
  /** The certificate that proved the request, where it asks for another one in its place. */
  readonly renews: Uint8Array | null;
  readonly publicKeySpkiDer: Uint8Array;
  readonly transactionId: string;
}

/** How devices get identities that do not speak SCEP. */
export interface IdentityProtocol {
  /** Throws where it cannot be read. */
  read(body: Buffer): IdentityRequest;
  write(certificateDer: Uint8Array): Buffer;
}

export interface DeviceProtocol {
  /** Undefined where it is none of this protocol's. Asked for every request, by routers too. @param url path and query */
  addressOf(url: string): DeviceAddress | undefined;
  /** @throws BrambleError ERR_IDENTITY_MISSING, ERR_SIGNATURE_INVALID, ERR_CLIENT_CERT_HEADER */
  prove(request: ProofRequest, keys: CertificateKeys): ProvenIdentity;
  /** Throws where it cannot be read so far that it names a command and says how that went. */
  readReport(body: Buffer): CommandReport;
  /** Throws where it cannot be read. */
  readAnnouncement(body: Buffer): Announcement;
  /** Codes of what these throw where the device is at fault, beside those of every protocol. */
  readonly faults: ReadonlySet<ErrorCode>;
  /** Of an answer that holds a command or a secret. */
  readonly contentType: string;
  /** A secret that the device left in keeping; null where there is none. */
  writeSecret(secret: Uint8Array | null): Buffer;
  /** The one status that makes a device leave management. It is given on purpose, never because something failed. */
  readonly leaveStatus: number;
  /** @throws BrambleError ERR_CONTENT_TYPE; ERR_INPUT when it is not readable, or a field is missing. */
  readEnrolment(contentType: string | undefined, body: Buffer): EnrolmentRequest;
  /** Null where all is SCEP. */
  readonly identity: IdentityProtocol | null;
}
