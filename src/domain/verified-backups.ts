/**
 * Which backups were tried by restoring them: the newest of each domain, in the home of the host that tried it. The check
 * `backup` of an upgrade asks for one.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { writeWholeFile } from '../database/whole-file.ts';

const verifiedBackupShape = z.object({
  /** Of the backup, and SHA-256 of its manifest. */
  id: z.uuid(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  file: z.string(),
  domainId: z.uuid(),
  domain: z.string(),
  /** The domain's, when the backup was taken. */
  release: z.string(),
  schemaVersion: z.int(),
  takenAt: z.iso.datetime(),
  verifiedAt: z.iso.datetime(),
  verifiedBy: z.string(),
  /** What was done with it. */
  found: z.object({ tables: z.int(), rows: z.int(), started: z.string() }),
});
export type VerifiedBackup = z.output<typeof verifiedBackupShape>;

/** Of `backup-verified.json`. */
export const verifiedBackupsShape = z.object({ format: z.literal(1), backups: z.array(verifiedBackupShape) });

/** Undefined where none is recorded, and for a file that says nothing of one. */
export async function readVerifiedBackup(home: string, domainId?: string): Promise<VerifiedBackup | undefined> {
  const backups = await readAll(home);
  return backups.find((backup) => domainId === undefined || backup.domainId === domainId);
}

/** The newest comes first. */
export async function recordVerifiedBackup(home: string, backup: VerifiedBackup): Promise<void> {
  const others = (await readAll(home)).filter(({ domainId }) => domainId !== backup.domainId);
  await writeWholeFile(fileOf(home), `${JSON.stringify({ format: 1, backups: [backup, ...others] }, null, 2)}\n`, 'w');
}

async function readAll(home: string): Promise<VerifiedBackup[]> {
  try {
    return verifiedBackupsShape.parse(JSON.parse(await readFile(fileOf(home), 'utf8'))).backups;
  } catch {
    return [];
  }
}

function fileOf(home: string): string {
  return join(home, 'backup-verified.json');
}
