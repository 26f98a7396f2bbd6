/**
 * The states of a command in a device's queue.
 *
 *                       handed out               answered
 *      queued ─────────────────────────▶ sent ───────────▶ acknowledged, or error (also: given up after many hand-outs)
 *       ▲ ▲                              │ ▲ │
 *       │ └── taken back, requeued ──────┘ │ └──▶ not-now: in the queue, behind all others
 *       └───────── requeued ───────────────┼────────┘ │
 *                                          └──────────┘ handed out again
 *
 *   Whatever is pending can be cancelled. A device may answer a command that was taken back from it: then what it says
 *   counts, as if it had been *sent*.
 */
import { stateMachine } from '../../database/state-machine.ts';

export const commandStates = stateMachine({
  initial: ['queued'],
  transitions: {
    queued: ['sent', 'not-now', 'acknowledged', 'error', 'cancelled'],
    sent: ['queued', 'not-now', 'acknowledged', 'error', 'cancelled'],
    'not-now': ['queued', 'sent', 'acknowledged', 'error', 'cancelled'],
    acknowledged: [],
    error: [],
    cancelled: [],
  },
  sets: {
    /** The device is still to carry it out: an answer is taken, and it is handed out (again). */
    pending: ['queued', 'sent', 'not-now'],
    /** Pending, and the device did not put it off: handed out before those that it did. */
    next: ['queued', 'sent'],
    settled: ['acknowledged', 'error', 'cancelled'],
    /** The device has said what came of it. */
    answered: ['acknowledged', 'error'],
  },
});

export type CommandState = (typeof commandStates.states)[number];
export type PendingCommandState = 'queued' | 'sent' | 'not-now';
