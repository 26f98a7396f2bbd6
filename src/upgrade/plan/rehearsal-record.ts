/**
 * What a rehearsal with the domain's data found and how long it took, in the home of the host where it was made: the newest of
 * each step of a domain. Plans and checks say what is in it; nothing relies on it alone.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { counted } from '../../base/counted.ts';
import { durationText } from '../../base/time-text.ts';
import { writeWholeFile } from '../../database/whole-file.ts';

const milliseconds = z.number().min(0);

const rehearsalShape = z.object({
  domainId: z.string(),
  fromRelease: z.string(),
  toRelease: z.string(),
  /** The backup that it was made of; ISO 8601, as are all times. */
  backup: z.object({ id: z.string(), file: z.string(), takenAt: z.string() }),
  rehearsedAt: z.string(),
  rehearsedBy: z.string(),
  rows: z.int(),
  accounts: z.int(),
  /** Why the upgrade must not begin; empty if nothing speaks against it. */
  obstacles: z.array(z.string()),
  /** What each release did on the copy, in words. */
  found: z.array(z.string()),
  /** What the waves of a plan with default options send, and the minimum time for that; null if nobody moves. */
  moving: z
    .object({ deliveries: z.int(), leastMinutes: z.number(), waves: z.int(), soakSeconds: z.number() })
    .nullable(),
  times: z.object({
    restoreMs: milliseconds,
    expandMs: milliseconds,
    /** Longest first. */
    migrations: z.array(z.object({ name: z.string(), ms: milliseconds, backfilledRows: z.int() })),
    oldStartMs: milliseconds.nullable(),
    newStartMs: milliseconds.nullable(),
  }),
});
export type Rehearsal = z.output<typeof rehearsalShape>;

/** Of `upgrade-rehearsals.json`. */
export const rehearsalsShape = z.object({ format: z.literal(1), rehearsals: z.array(rehearsalShape) });

type Step = Pick<Rehearsal, 'domainId' | 'fromRelease' | 'toRelease'>;

function isOf(one: Step, other: Step): boolean {
  const { domainId, fromRelease, toRelease } = other;
  return one.domainId === domainId && one.fromRelease === fromRelease && one.toRelease === toRelease;
}

/** Undefined where none is recorded, and for a file that says nothing of one. */
export async function readRehearsal(home: string, step: Step): Promise<Rehearsal | undefined> {
  return (await readAll(home)).find((rehearsal) => isOf(rehearsal, step));
}

export async function recordRehearsal(home: string, rehearsal: Rehearsal): Promise<void> {
  const others = (await readAll(home)).filter((other) => !isOf(other, rehearsal));
  await writeWholeFile(
    fileOf(home),
    `${JSON.stringify({ format: 1, rehearsals: [rehearsal, ...others] }, null, 2)}\n`,
    'w',
  );
}

async function readAll(home: string): Promise<Rehearsal[]> {
  try {
    return rehearsalsShape.parse(JSON.parse(await readFile(fileOf(home), 'utf8'))).rehearsals;
  } catch {
    return [];
  }
}

function fileOf(home: string): string {
  return join(home, 'upgrade-rehearsals.json');
}

/**
 * How long the administration would be away: from its last answer to the first of the new one. Sessions that the release
 * fence meets get their time in addition.
 */
export function fenceMs({ times }: Pick<Rehearsal, 'times'>): number {
  return times.expandMs + (times.newStartMs ?? 0);
}

/** In one sentence, without what was found. Pure. */
export function rehearsalText({ backup, accounts, rows, times }: Rehearsal): string {
  return (
    `rehearsed with the data of ${backup.takenAt} (${counted(accounts, 'account')}, ${counted(rows, 'row')}): the schema was expanded in ` +
    `${durationText(times.expandMs / 1000)}, and the administration would be away for about ` +
    `${durationText(fenceMs({ times }) / 1000)}`
  );
}
