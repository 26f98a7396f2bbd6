/**
 * The states of an enrolment.
 *
 *              identity issued           it announces itself        tells how it is woken
 *      offered ───────────────▶ certified ───────────▶ authenticated ──────────▶ active
 *                                                            ▲                      │
 *                                                            └──────────────────────┘
 *                                      announces itself again; suspended, since another device claims the same identifier
 *
 * From each of them to *gone*: replaced by another offer, left, removed, or suspended for too long.
 *
 * A suspended enrolment is *authenticated* with a time of suspension (see devices/suspension.ts); when its key is seen it is
 * *active* again, or still has to announce how it is woken if it had not.
 */
import type { Queryable, SqlFragment } from '../database/connection.ts';
import { stateMachine } from '../database/state-machine.ts';

export const deviceStates = stateMachine({
  initial: ['offered'],
  transitions: {
    offered: ['certified', 'gone'],
    certified: ['authenticated', 'gone'],
    authenticated: ['active', 'gone'],
    active: ['authenticated', 'gone'],
    gone: [],
  },
  sets: {
    /** Has announced its name and is not gone. */
    enrolled: ['authenticated', 'active'],
    /** Has an identity that may be used or renewed. */
    identified: ['certified', 'authenticated', 'active'],
    /** Has announced its name, but not how it is woken, or is suspended. */
    'not-active': ['authenticated'],
    /** Enrolment in progress: another offer replaces it. */
    enrolling: ['offered', 'certified', 'authenticated'],
  },
});

export type DeviceState = (typeof deviceStates.states)[number];

/** A device row by its alias is a suspended enrolment. */
export function isSuspended(q: Queryable, row: string): SqlFragment {
  return q`(${deviceStates.in(q, 'not-active', row)} and ${q(row)}.suspended_at is not null)`;
}
