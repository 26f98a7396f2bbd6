/**
 * The states of a batch of moves.
 *
 *                paused
 *      running ◀─────────▶ paused
 *         │      resumed      │
 *         │                   │ moved back, or its moves cancelled
 *         ▼                   │
 *        done ◀───────────────┘
 *
 * A running batch is *done* when no move of it is left to be made or delivered, or when it is moved back. While it is paused no
 * move of it starts; those that have started go on, and it runs again if only such are left when the others are cancelled.
 */
import { stateMachine } from '../database/state-machine.ts';

export const moveBatchStates = stateMachine({
  initial: ['running'],
  transitions: {
    running: ['paused', 'done'],
    paused: ['running', 'done'],
    done: [],
  },
  sets: {
    /** Has moves to be made or delivered, as far as is known. */
    open: ['running', 'paused'],
  },
});

export type MoveBatchState = (typeof moveBatchStates.states)[number];
