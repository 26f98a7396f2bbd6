/**
 * What a component reports about itself beside its lease. Listed here are the fields that others act on; the rest is
 * for people. Releases read each other's: fields that an earlier one does not report are absent.
 */
import * as z from 'zod';

/** Of a process that dials: one link for each router that its credential names. */
const dialledLinkShape = z.looseObject({ router: z.string(), up: z.boolean(), reconnects: z.int() });

/** Of a router: who has a link. */
const takenLinkShape = z.looseObject({ identifier: z.string(), since: z.string(), reconnects: z.int() });

export const componentDetailShape = z.looseObject({
  links: z.array(z.union([dialledLinkShape, takenLinkShape])).optional(),
  /** Whether devices reach it, as also reported to its supervisor; absent before 1.2, and when nothing waits for it. */
  serving: z.boolean().optional(),
  /** Of an administration service that writes the audit record. */
  recordsChanges: z.boolean().optional(),
});
export type ComponentDetail = z.output<typeof componentDetailShape>;
