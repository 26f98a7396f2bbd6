/**
 * The states of an enrolment.
 *
 *              identity issued           it announces itself        tells how it is woken
 *      offered ───────────────▶ certified ───────────▶ authenticated ──────────▶ active
 *                                                            ▲                      │
 *                                                            └──────────────────────┘
 *                                      announces itself again; suspended, since a newcomer calls itself the same
 *
 *   From every one of them to *gone*: another offer in its place, it leaves, removed, suspended for too long.
 *
 * A suspended enrolment is *authenticated* with a time of suspension (see suspension.ts); when its key is heard it is *active*
 * again, or has yet to tell how it is woken where it had not.
 */
import { stateMachine } from '../../database/state-machine.ts';

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
    /** Has said what it is called and is not gone. */
    enrolled: ['authenticated', 'active'],
    /** Has an identity that may be used or renewed. */
    identified: ['certified', 'authenticated', 'active'],
    /** The enrolment is under way: another offer takes its place. */
    enrolling: ['offered', 'certified', 'authenticated'],
  },
});

export type DeviceState = (typeof deviceStates.states)[number];
