/** When an unanswered command is reported and given up, and how a delivery ends if its device did not settle it. */

/** After this many hand-outs without an answer a command is reported, with an event. */
export const handOutsShown = 5;
/** After this many hand-outs without a readable answer it fails at the next contact. */
export const maxHandOuts = 10;

/** In `delivery.failure`. */
export const givenUpFailure = `handed out ${maxHandOuts} times without a readable answer`;
/** In `delivery.failure`; not sent again until something changes. */
export const cancelledByOperator = 'cancelled by an operator';
