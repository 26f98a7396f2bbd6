/**
 * Turns for reading large messages. A MiB of a message takes up to 0.2 s of the event loop, and a device that has proven
 * its key may send one after the other.
 *
 * Invariant: one large message is read at a time, with the devices taking turns, and afterwards the event loop is left
 * to others for as long as reading it took: however much some devices send, half of the time remains.
 */

import type { Clock } from '../../base/clock.ts';
import { BrambleError } from '../../base/errors.ts';
import { createFairQueue } from '../../base/fair-queue.ts';

/**
 * Larger messages wait for a turn, and are read only after their sender was checked. An idle message takes 400 bytes.
 */
export const largeFromBytes = 32 * 1024;
/** Of up to a MiB each. */
const maxPlaces = 64;
const maxPlacesOfDevice = 4;

export interface LargeMessages {
  /**
   * @param token the address of the device that sent it
   * @throws BrambleError ERR_OVERLOADED when too many wait, in total or of this device; or what `read` throws
   */
  inTurn<Value>(token: string, body: Buffer, read: () => Value): Promise<Value>;
}

export function createLargeMessages(clock: Clock): LargeMessages {
  const queue = createFairQueue({
    ...{ lanes: ['messages'], maxInProgress: 1 },
    ...{ maxPlaces, maxPlacesOfKey: maxPlacesOfDevice },
  });
  return {
    async inTurn(token, body, read) {
      if (body.length <= largeFromBytes) return read();
      const place = queue.enter('messages', token);
      if (place === undefined) {
        throw new BrambleError('ERR_OVERLOADED', 'Too many large messages are waiting to be read; retry later.');
      }
      await place.turn();
      const startedAt = clock.now();
      try {
        return read();
      } finally {
        void clock.sleep(clock.now() - startedAt).then(() => place.leave());
      }
    },
  };
}
