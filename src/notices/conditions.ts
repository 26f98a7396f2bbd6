/**
 * Conditions that somebody is told of: a host that is silent, a certificate that ends. No event begins them, so they are
 * looked for. What is told is an event, which goes the way of all notices.
 *
 * Invariants: a condition is told once when it begins, again when a reminder is due, and once when it is over; one that was
 * not told begins and ends in silence. One process looks at a time (an advisory lock). A look that fails or cannot tell
 * ends nothing, and after a gap in looking what was seen before it counts for nothing: the time in which nobody could look,
 * while the database was away, is not the time in which a host was silent.
 */
import type { NoticeKind } from '../api/notices.ts';
import { advisoryLock, lockClass } from '../database/advisory-locks.ts';
import type { Database, Transaction } from '../database/connection.ts';
import { administrationTransaction } from '../database/release-lock.ts';
import { recordEvent } from '../domain/events.ts';

export interface Condition {
  subject: string;
  message: string;
  /** When to tell it again, while it holds. */
  again?: Date;
}

export interface Look {
  kind: keyof typeof endings;
  /** Whose look finds it: '' for all of the domain, a host for what is seen from there alone. */
  scope: string;
  /** How long it has to be seen before it is told. */
  confirmSeconds: number;
  /** Null if it cannot tell at the moment. */
  look(): Promise<readonly Condition[] | null>;
}

/** The event at the end of each, and what it says. Null for what ends by an event of its own. */
const endings = {
  'host-lost': { kind: 'host-back', message: (host) => `the host ${host} is not missed any more` },
  'clock-wrong': {
    kind: 'clock-right',
    message: (host) => `the clock of the host ${host} is right again, or nothing at work there says it`,
  },
  'certificate-ending': {
    kind: 'certificate-renewed',
    message: (name) => `the certificate ${name} does not end soon any more`,
  },
  'fence-blocked': {
    kind: 'fence-passed',
    message: (release) => `the fence of the upgrade to ${release} is not blocked any more`,
  },
  'backup-overdue': {
    kind: 'backup-caught-up',
    message: (host) => `the backup that ${host} was to make is not overdue any more`,
  },
  'upgrade-unfinalized': null,
} as const satisfies Partial<Record<NoticeKind, { kind: string; message: (subject: string) => string } | null>>;

/** Between two looks, at most; otherwise what was seen counts from the later one. */
const gapSeconds = 120;

/**
 * One round of all looks; `failed` is called for each that throws. An administration service says its `release`, and looks under
 * the release lock. False if another process is looking.
 */
export async function tellConditions(
  db: Database,
  looks: readonly Look[],
  failed: (look: Look, error: unknown) => void,
  release?: string,
): Promise<boolean> {
  const round = async (tx: Transaction): Promise<boolean> => {
    const [lock] = await tx<{ held: boolean }[]>`
      select pg_try_advisory_xact_lock(${lockClass}, ${advisoryLock.noticeConditions}) as held`;
    if (lock?.held !== true) return false;
    const stored = await tx<{ place: string }[]>`select distinct kind || ' ' || scope as place from notice_condition`;
    const places = new Set(stored.map(({ place }) => place));
    for (const look of looks) {
      const found = await look.look().catch((error: unknown) => {
        failed(look, error);
        return null;
      });
      if (found === null) continue;
      if (places.has(`${look.kind} ${look.scope}`)) await endOthers(tx, look, found);
      await tellOf(tx, look, found);
    }
    return true;
  };
  return release === undefined
    ? ((await db.begin(round)) as boolean)
    : await administrationTransaction(db, release, round);
}

async function tellOf(tx: Transaction, look: Look, found: readonly Condition[]): Promise<void> {
  for (const condition of found) {
    const { kind, scope } = look;
    const { subject, message, again = null } = condition;
    const [told] = await tx<{ told: boolean }[]>`
      insert into notice_condition as c (kind, scope, subject, message)
      values (${kind}, ${scope}, ${subject}, ${message})
      on conflict (kind, scope, subject) do update
         set message = excluded.message, seen_at = now(),
             since = case when c.told_at is null and c.seen_at < now() - make_interval(secs => ${gapSeconds})
                          then now() else c.since end
      returning case when told_at is null then since <= now() - make_interval(secs => ${look.confirmSeconds})
                     else again_at <= now() end as told`;
    if (told?.told !== true) continue;
    await tx`
      update notice_condition set told_at = now(), again_at = ${again}
       where kind = ${kind} and scope = ${scope} and subject = ${subject}`;
    await recordEvent(tx, { kind, subject, message });
  }
}

async function endOthers(tx: Transaction, { kind, scope }: Look, found: readonly Condition[]): Promise<void> {
  const ended = await tx<{ subject: string; told: boolean }[]>`
    delete from notice_condition
     where kind = ${kind} and scope = ${scope} and not subject = any(${found.map(({ subject }) => subject)}::text[])
    returning subject, told_at is not null as told`;
  const ending = endings[kind];
  if (ending === null) return;
  for (const { subject, told } of ended) {
    if (told) await recordEvent(tx, { kind: ending.kind, subject, message: ending.message(subject) });
  }
}
