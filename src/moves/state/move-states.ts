/**
 * The states of one account's move.
 *
 *      queued ──▶ reserved ──▶ fenced ──▶ delivering ──▶ settled ──▶ closed
 *        ▲          │  ▲  │      │  │          ▲  │                     ▲
 *        │  failed, │  └──┼──────┘  │          │  └─────────────────────┘  within one database
 *        └──────────┴─────┼─────────┘          │
 *                         └────────────────────┘  at the first try, while no writer stands in the way
 *
 *   rolled-back: tried too often; cancelled: taken back, or the account is elsewhere. Both before the commit only.
 *
 * Until *delivering* the account is at its source. A reservation that runs out is reserved anew, from *fenced* as well: its
 * runner is dead, and only the account's row says what it came to. Within one database nothing is to be cleaned up at the source, so
 * *settled* and *closed* are one step.
 */
import { stateMachine } from '../../database/state-machine.ts';

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
    /** A runner has it in hand, or had until its reservation ran out. */
    tried: ['reserved', 'fenced'],
    /** Not settled: something of it is still to be done. */
    'under-way': ['queued', 'reserved', 'fenced', 'delivering'],
    /** The account has moved. */
    committed: ['delivering', 'settled', 'closed'],
    /** The account has moved, and the move is open. */
    closing: ['delivering', 'settled'],
    /** Nothing is to be done any more. */
    'settled-or-ended': ['settled', 'closed', 'rolled-back', 'cancelled'],
  },
});

export type MoveState = (typeof moveStates.states)[number];
