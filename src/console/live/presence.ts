/**
 * Whether somebody is at the page. It asks by itself every few seconds, which must not keep a session open that nobody uses: what is
 * asked while nobody is there says so.
 */

/** Reading takes a while. */
const restMs = 60_000;
let touchedAt = performance.now();

for (const kind of ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart']) {
  addEventListener(kind, noteTouch, { capture: true, passive: true });
}

function noteTouch(): void {
  touchedAt = performance.now();
}

export function isAttended(): boolean {
  return performance.now() - touchedAt < restMs;
}
