/**
 * Which backups were tried by restoring them, in the home of the host that tried them. The check `backup` of an upgrade asks for
 * the newest of its domain.
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

/** The most recent one of those, of any domain if none is named. Undefined where none is recorded, and for a file that says nothing of one. */
export async function readVerifiedBackup(home: string, domainId?: string): Promise<VerifiedBackup | undefined> {
  const backups = (await readAll(home)).filter((backup) => domainId === undefined || backup.domainId === domainId);
  return backups.toSorted((a, b) => Date.parse(b.takenAt) - Date.parse(a.takenAt))[0];
}

/** When each was verified last, by the backup's id. */
export async function listVerifications(home: string): Promise<Map<string, string>> {
  return new Map((await readAll(home)).map(({ id, verifiedAt }) => [id, verifiedAt]));
}

/** Of all domains; a folder hardly has more backups. */
const maxKept = 200;

/** The one that was verified last comes first. */
export async function recordVerifiedBackup(home: string, backup: VerifiedBackup): Promise<void> {
  const isOther = ({ id, domainId }: VerifiedBackup) => id !== backup.id || domainId !== backup.domainId;
  const others = (await readAll(home)).filter(isOther).slice(0, maxKept - 1);
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
