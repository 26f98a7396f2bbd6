/**
 * That this domain was restored from a backup, and whether it is still paused: setting 'restored'. While it is,
 * only administration services run.
 */
import * as z from 'zod';
import type { Queryable } from '../database/connection.ts';
import { readSetting, writeSetting } from './settings.ts';

const restoredShape = z.object({
  /** Of the backup. */
  backup: z.uuid(),
  takenAt: z.iso.datetime(),
  restoredAt: z.iso.datetime(),
  by: z.string(),
  /** Names of what was running and is stopped; null once it was resumed. */
  stopped: z.array(z.string()).nullable(),
  /** Hosts that had joined: what is placed there stays, and they are invited again under their names. */
  joinedHosts: z.array(z.string()).default([]),
});
export type RestoredDomain = z.output<typeof restoredShape>;
/** Nothing is stored for a domain that never was restored. */
export const restoredSetting = z.object({ restored: restoredShape.nullable().default(null) });

const key = 'restored';

export async function readRestored(q: Queryable): Promise<RestoredDomain | null> {
  return (await readSetting(q, key, restoredSetting)).restored;
}

export async function writeRestored(q: Queryable, restored: RestoredDomain): Promise<void> {
  await writeSetting(q, key, { restored });
}
