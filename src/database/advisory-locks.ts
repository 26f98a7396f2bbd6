/**
 * The advisory locks of a domain, in one place so that no two meanings share a number.
 * All are of the two-integer form under one class, which is `'bram'` in ASCII.
 */
export const lockClass = 0x6272616d;

export const advisoryLock = {
  /** Shared by every administration transaction; exclusive by the release fence. */
  administration: 1,
  /** Shared by registrations and leases of components; exclusive while the feature level is raised. */
  featureLevel: 2,
  /** Exclusive while applying migrations. */
  migration: 3,
  /** Held exclusively by the sealer of the audit. */
  audit: 4,
  /** Exclusive for setting the trusted signer of a release, so that only one is the first. */
  releaseSigner: 5,
  /** Held exclusively by whoever looks which conditions hold that somebody is told of. */
  noticeConditions: 6,
  /** Exclusive while the master key is rotated a step further, or a home's key file is rewritten. */
  masterKey: 7,
  /** Exclusive while an invitation of a host is made, answered or removed. */
  invitations: 8,
  /** Held exclusively by whoever counts the figures of the last minutes. */
  figures: 9,
} as const;

export type AdvisoryLock = (typeof advisoryLock)[keyof typeof advisoryLock];
