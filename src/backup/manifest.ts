/**
 * What a backup says of itself. The head comes first and can be read without the passphrase; the manifest comes last, with
 * the digest of everything before it, and is signed under the passphrase.
 */
import * as z from 'zod';
import { keyFactsShape } from './passphrase-key.ts';

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const release = z.string().regex(/^\d{1,6}\.\d{1,6}\.\d{1,6}$/);

export const backupHeadShape = z.object({
  format: z.literal(1),
  id: z.uuid(),
  /** ISO 8601, by the database's clock: everything committed before is in it. */
  takenAt: z.iso.datetime(),
  domain: z.object({
    id: z.uuid(),
    name: z.string(),
    publicUrl: z.string(),
    release,
    schemaVersion: z.int(),
    featureLevel: release,
  }),
  /** The program, the person and the host that made it. */
  madeBy: z.object({ release, user: z.string(), host: z.string() }),
  key: keyFactsShape,
});
export type BackupHead = z.output<typeof backupHeadShape>;

export const backupManifestShape = z.object({
  /** SHA-256 of the head. */
  head: digest,
  /** Applied to the database, in order: a domain in the middle of an upgrade has some of the next release's. */
  migrations: z.array(z.object({ number: z.int(), name: z.string(), digest })),
  /** In the order of the file: those first that others refer to. */
  tables: z.array(
    z.object({
      name: z.string(),
      columns: z.array(z.string()),
      rows: z.int(),
      /** SHA-256 of the rows' text. */
      sha256: digest,
    }),
  ),
  sequences: z.array(z.object({ name: z.string(), value: z.string().regex(/^-?\d+$/), called: z.boolean() })),
  /** Everything but head and manifest, in the order of the file. */
  parts: z.array(z.object({ name: z.string(), bytes: z.int(), sha256: digest })),
});
export type BackupManifest = z.output<typeof backupManifestShape>;
export type TableFacts = BackupManifest['tables'][number];
