/**
 * What is told of backups in the domain's events, and with them in notices. They are made and tried where nobody may be watching, and
 * a failure is not to be told by whoever waits for it alone.
 */
import { messageOf } from '../base/errors.ts';
import { withDatabase } from '../database/connection.ts';
import { recordEvent } from '../domain/events.ts';
import { unverifiedSuffix } from './backup-folder.ts';
import type { BackupHead } from './manifest.ts';

type NewEvent = Parameters<typeof recordEvent>[1];

export function createdEvent({ path, head, sha256 }: { path: string; head: BackupHead; sha256: string }): NewEvent {
  const next = path.endsWith(unverifiedSuffix)
    ? `It loses "${unverifiedSuffix}" when it has passed.`
    : '`bramble backup verify` tries it.';
  return {
    kind: 'backup-created',
    subject: head.id,
    message: `A backup was made by ${head.madeBy.user} on ${head.madeBy.host}: ${path}. ${next}`,
    detail: { sha256, takenAt: head.takenAt },
  };
}

export function failedEvent(user: string, host: string, error: unknown): NewEvent {
  return {
    kind: 'backup-failed',
    subject: host,
    message: `A backup that ${user} was making on ${host} failed: ${messageOf(error)}`,
  };
}

export function unverifiedEvent(user: string, host: string, file: string, error: unknown): NewEvent {
  return {
    kind: 'backup-failed',
    subject: host,
    message: `The backup ${file} did not pass when ${user} tried it on ${host}: ${messageOf(error)}`,
  };
}

export async function noteEvent(url: string, event: NewEvent): Promise<void> {
  await withDatabase(url, 'bramble/backup', async (db) => await recordEvent(db, event));
}
