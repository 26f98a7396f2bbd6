/**
 * What a component reports about itself beside its lease. Listed here are the fields that others act on; the rest is
 * for people. Releases read each other's: fields that an earlier one does not report are absent.
 */
import * as z from 'zod';
import type { Queryable, SqlFragment } from '../database/connection.ts';

/** Of a process that dials: one link for each router that its credential names. */
const dialledLinkShape = z.looseObject({ router: z.string(), up: z.boolean(), reconnects: z.int() });

/** Of a router: who has a link. */
const takenLinkShape = z.looseObject({ identifier: z.string(), since: z.string(), reconnects: z.int() });

/** The same as a router of any release reports it. */
const reportedLinkShape = takenLinkShape.extend({
  since: z.string().nullable().catch(null),
  reconnects: z.int().catch(0),
});

export const componentDetailShape = z.looseObject({
  links: z.array(z.union([dialledLinkShape, takenLinkShape])).optional(),
  /** Whether devices reach it, as also reported to its supervisor; absent before 1.2, and when nothing waits for it. */
  serving: z.boolean().optional(),
  /** Of an administration service that writes the audit record. */
  recordsChanges: z.boolean().optional(),
  /** How far its host's clock is ahead of the database's (`host-clock.ts`); absent before 1.4, and from routers. */
  clockAheadMs: z.number().optional(),
  /** Ids of the master keys that it holds, and of the one that it seals with; absent before 1.4, and where it has none. */
  masterKeys: z.object({ current: z.string(), held: z.array(z.string()) }).optional(),
  /** Of an instance: the serial number of the route signer by which it signs; absent before 1.4. */
  routeSignerSerial: z.string().optional(),
  /** Fingerprints of domain authorities: those it trusts, and the one its certificate is of; absent before 1.4. */
  authorities: z.object({ trusts: z.array(z.string()), credentialBy: z.string().nullable() }).optional(),
});
export type ComponentDetail = z.output<typeof componentDetailShape>;

/** The links that a router reports; what is not one is left out. */
export function takenLinks({ links }: Readonly<Record<string, unknown>>): z.output<typeof reportedLinkShape>[] {
  if (!Array.isArray(links)) return [];
  return links.flatMap((link) => reportedLinkShape.safeParse(link).data ?? []);
}

/** In an administration service's detail: it records what it changes. */
export const recordsChanges = 'recordsChanges';

/** A query for the administration services of this release that record what they change. */
export function administrationRecords(q: Queryable, release: string): SqlFragment {
  return q`
       select from component c
        where c.kind = 'administration' and c.release = ${release} and c.detail->>${recordsChanges} = 'true'`;
}
