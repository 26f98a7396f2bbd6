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
 * Whatever is pending can be cancelled. A device may answer a command that was taken back from it: the answer counts as
 * if it had been *sent*.
 */
import { stateMachine } from '../database/state-machine.ts';

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
    /** Not carried out yet: an answer is accepted, and it is handed out (again). */
    pending: ['queued', 'sent', 'not-now'],
    /** Pending and not postponed by the device: handed out before those that are. */
    next: ['queued', 'sent'],
    settled: ['acknowledged', 'error', 'cancelled'],
    /** The device has reported the result. */
    answered: ['acknowledged', 'error'],
  },
});

export type CommandState = (typeof commandStates.states)[number];
export type PendingCommandState = 'queued' | 'sent' | 'not-now';

/** SQL text: the state of a command after its device's answer, *done*, *later* or *failed*, which `answer` is. */
export function stateAfterAnswer(answer: string): string {
  return `case ${answer} when 'done' then 'acknowledged' when 'later' then 'not-now' else 'error' end`;
}

/** SQL text: the state of the delivery behind a command that has been answered or given up, from the command's state. */
export function deliveryStateAfter(state: string): string {
  return `case ${state} when 'acknowledged' then 'done' when 'not-now' then 'released' else 'failed' end`;
}

/** SQL text: the device answered the command of a row *later*. */
export function postponed(row: string): string {
  return `${row}.state = 'not-now'`;
}

/** SQL text: the opposite. */
export function notPostponed(row: string): string {
  return `${row}.state <> 'not-now'`;
}
