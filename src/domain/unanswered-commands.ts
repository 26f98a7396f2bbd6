/** When a command that nobody answers is shown and given up, and how a delivery ends that its device did not settle. */

/** Handed out so often without an answer, a command is shown as such, with an event. */
export const handOutsShown = 5;
/** Handed out so often without an answer that could be read, it fails when the device comes again. */
export const handOutsAtMost = 10;

/** In `delivery.failure`. */
export const givenUpFailure = `handed out ${handOutsAtMost} times without an answer that could be read`;
/** In `delivery.failure`: it is not sent again before something changes. */
export const cancelledByOperator = 'cancelled by an operator';
