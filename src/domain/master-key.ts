/** Which master key seals, and how far its rotation is: setting 'master-key'. The keys themselves are in files alone. */
import * as z from 'zod';
import type { Queryable } from '../database/connection.ts';
import { readSetting, writeSetting } from './settings.ts';

export const masterKeySetting = z.object({
  /** Seals, wherever it is held; null until the first rotation: the current one of each file does. */
  sealing: z.string().nullable().default(null),
  /** Is to seal once every process holds it. */
  next: z.string().nullable().default(null),
  /** Since when all values have been sealed by `sealing`. */
  settledAt: z.string().nullable().default(null),
  /** Seal nothing any more: they go from the file of every home. */
  removed: z.array(z.string()).default([]),
});
export type MasterKeyState = z.output<typeof masterKeySetting>;

export async function readMasterKeyState(q: Queryable): Promise<MasterKeyState> {
  return await readSetting(q, 'master-key', masterKeySetting);
}

export async function writeMasterKeyState(q: Queryable, state: MasterKeyState): Promise<void> {
  await writeSetting(q, 'master-key', state);
}

export function isRotating({ sealing, next, settledAt }: MasterKeyState): boolean {
  return next !== null || (sealing !== null && settledAt === null);
}
