/**
 * The states of one account's move.
 *
 *      queued ──▶ reserved ──▶ fenced ──▶ delivering ──▶ settled ──▶ closed
 *        ▲          │  ▲  │      │  │          ▲  │                     ▲
 *        │  failed, │  └──┼──────┘  │          │  └─────────────────────┘  within one database
 *        └──────────┴─────┼─────────┘          │
 *                         └────────────────────┘  at the first try, while no writer stands in the way
 *
 * rolled-back: too many attempts; cancelled: withdrawn, or the account is elsewhere. Both only before the commit.
 *
 * Until *delivering* the account is at its source. A move with an expired reservation is reserved again, also from
 * *fenced*: its runner is dead, and only the account's row tells the outcome. Within one database nothing is to be
 * cleaned up at the source, so *settled* and *closed* are one step.
 */
import { stateMachine } from '../database/state-machine.ts';

export const moveStates = stateMachine({
  initial: ['queued'],
  transitions: {
    queued: ['reserved', 'cancelled'],
    reserved: ['queued', 'fenced', 'delivering', 'rolled-back', 'cancelled'],
    fenced: ['queued', 'reserved', 'delivering', 'rolled-back', 'cancelled'],
    delivering: ['settled', 'closed'],
    settled: ['closed'],
    closed: [],
    'rolled-back': [],
    cancelled: [],
  },
  sets: {
    /** Over. What is not ended is open: an account has one such move at most. */
    ended: ['closed', 'rolled-back', 'cancelled'],
    /** Not committed: the account is still to be moved. */
    uncommitted: ['queued', 'reserved', 'fenced'],
    /** A runner is working on it, or was until its reservation expired. */
    tried: ['reserved', 'fenced'],
    /** Not settled: some work is left. */
    'under-way': ['queued', 'reserved', 'fenced', 'delivering'],
    /** The account has moved. */
    committed: ['delivering', 'settled', 'closed'],
    /** The account has moved, or could not be. */
    'committed-or-failed': ['delivering', 'settled', 'closed', 'rolled-back'],
    /** The account has moved, and the move is open. */
    closing: ['delivering', 'settled'],
    /** No work is left. */
    'settled-or-ended': ['settled', 'closed', 'rolled-back', 'cancelled'],
  },
});
