/** What a holder of an SRP identifier signs to get a credential. */
import * as z from 'zod';
import { identifierShape } from '../link/messages.ts';

/** A holder's request for the successor of its credential. */
export const credentialRequestShape = z.object({
  identifier: identifierShape,
  presentSerial: z.string().regex(/^[0-9a-f]{1,40}$/),
  /** SubjectPublicKeyInfo in DER. */
  publicKey: z.base64().max(1024),
});

/** Of a process on a host that joined, for its first credential. */
export const firstCredentialRequestShape = z.object({
  identifier: identifierShape,
  host: z.string().max(253),
  /** SubjectPublicKeyInfo in DER. */
  publicKey: z.base64().max(1024),
});
