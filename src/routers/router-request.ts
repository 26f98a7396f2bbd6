/**
 * How the supervisor of a host that joined gets the certificate of a router there: it makes a key and asks in the database, signed
 * with the host's key; an administration service answers there (`router-answers.ts`). Renewed in the same way, for the same key.
 *
 * Protects: the router needs no access to the database, and no private key leaves its host.
 */
import * as z from 'zod';

const port = z.number().int().min(1).max(65_535);

export const routerRequestShape = z.object({
  router: z.string().max(63),
  host: z.string().max(253),
  /** SubjectPublicKeyInfo in DER. */
  publicKey: z.base64().max(1024),
  /** Where the router listens, as the supervisor has bound it. */
  listenAddress: z.string().max(64),
  srpPort: port,
  publicPort: port,
});
export type RouterRequest = z.output<typeof routerRequestShape>;
