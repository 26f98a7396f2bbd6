/**
 * The states of a delivery: one item that is owed to one device.
 *
 *             released by the policy service        handed to the device
 *      owed ─────────────────────────▶ released ──────────────────────▶ handed-out ──▶ done
 *       │                               ▲   ▲                            │    │         ▲
 *       │                               │   └── later, silent, requeued ─┘    │ silent  │ answered
 *       │                               │                                     ▼         │
 *       │                               └─────── taken back, later ──────── suspect ────┤
 *       ▼                                                                               ▼
 *   superseded: nothing is owed after all, or withdrawn from the queue ◀── owed again ─── failed: refused, given up, cancelled, or the enrolment ended
 *
 * *owed* has no command yet and is renewed in place, so there is at most one per item and device. From *released* on it
 * has a command; *handed-out* holds a slot of its instance and one of the domain, *suspect* a suspects' place. A
 * command that was taken back keeps its id, so a late answer settles a delivery that is *released*, too.
 */
import { stateMachine } from '../database/state-machine.ts';

export const deliveryStates = stateMachine({
  initial: ['owed'],
  transitions: {
    owed: ['released', 'failed', 'superseded'],
    released: ['handed-out', 'done', 'failed', 'superseded'],
    'handed-out': ['released', 'suspect', 'done', 'failed'],
    suspect: ['released', 'done', 'failed'],
    done: [],
    failed: ['superseded'],
    superseded: [],
  },
  sets: {
    /** Not settled: still to be delivered. */
    open: ['owed', 'released', 'handed-out', 'suspect'],
    /** Open, and its device is expected, not silent. */
    awaited: ['owed', 'released', 'handed-out'],
    /** Open, and not with the device. */
    waiting: ['owed', 'released'],
    /** Open, and has a command. */
    carried: ['released', 'handed-out', 'suspect'],
    /** With the device: it holds permits. */
    'with-device': ['handed-out', 'suspect'],
    settled: ['done', 'failed', 'superseded'],
    /** Settled without effect on the device. */
    undelivered: ['failed', 'superseded'],
  },
});

export type OpenDeliveryState = 'owed' | 'released' | 'handed-out' | 'suspect';
