/**
 * The states of an enrolment.
 *
 *              identity issued           Authenticate               TokenUpdate
 *      offered ───────────────▶ certified ───────────▶ authenticated ──────────▶ active
 *                                                            ▲                      │
 *                                                            └──────────────────────┘
 *                                      Authenticate again; suspended, since a newcomer names the same UDID
 *
 *   From every one of them to *gone*: another offer in its place, CheckOut, removed, suspended for too long.
 *
 * A suspended enrolment is *authenticated* with a time of suspension (see suspension.ts); when its key is heard it is *active*
 * again, or awaits its TokenUpdate where it had sent none.
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
    /** Has named its UDID and is not gone. */
    enrolled: ['authenticated', 'active'],
    /** Has an identity that may be used or renewed. */
    identified: ['certified', 'authenticated', 'active'],
    /** The enrolment is under way: another offer takes its place. */
    enrolling: ['offered', 'certified', 'authenticated'],
  },
});

export type DeviceState = (typeof deviceStates.states)[number];
