/**
 * Tells the supervisor every two seconds that this process's event loop turns. A process that hangs cannot say so: it falls
 * silent, and the supervisor replaces it.
 *
 * Invariant: the beat comes from the event loop that does the work. A thread of its own would beat on while the work hangs.
 */

const everyMs = 2000;

/** Beats until the returned function is called; without a supervisor it does nothing. Keeps no process alive. */
export function beatHeart(): () => void {
  let underWay = false;
  const beat = () => {
    // A supervisor that is stopped reads nothing: what it has not taken is not sent again.
    if (!process.connected || underWay) return;
    underWay = true;
    process.send?.({ type: 'alive' }, undefined, undefined, () => {
      underWay = false;
    });
  };
  beat();
  const timer = setInterval(beat, everyMs).unref();
  return () => clearInterval(timer);
}
