/**
 * Sends the wakes that are due, evenly and in the background: nothing waits for the push service.
 * Invariant: a device is noted as woken before it is woken, so that a crash between both costs one interval and never a storm.
 */
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Database } from '../database/connection.ts';
import type { PushClient } from '../platforms/apple/push.ts';
import type { Logger } from '../process/log/logger.ts';
import type { DeliverySettings } from './delivery-settings.ts';
import { createPacedLook } from './paced-look.ts';
import { availableTokens, type Bucket, refill, takeTokens } from './token-bucket.ts';
import { listSleeping, markWoken, type SleepingDevice, waitForToken } from './wake-store.ts';

export interface WakerOptions {
  readonly db: Database;
  readonly instanceId: string;
  /** The domain's; a device's own counts where it told one. */
  readonly topic: string;
  readonly push: Pick<PushClient, 'push' | 'pausedForMs'>;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Wakes {
  readonly woken: number;
  /** In how many milliseconds devices may be due that were not woken now; Infinity where it knows of none. */
  readonly dueInMs: number;
}

export interface Waker {
  /** Starts the wakes that are due and allowed, for `freeSlots` free slots. */
  wake(settings: DeliverySettings, freeSlots: number, signal?: AbortSignal): Promise<Wakes>;
  /** Resolves when no push is under way. */
  idle(): Promise<void>;
}

/** Devices that only need a slot are woken for so many for each free one: some come late. */
const devicesPerFreeSlot = 2;
/** With tens of thousands of waiting commands a look takes a while: it may cost a tenth of the time, no more. */
const durationsPerLook = 10;
/** After which it is tried again where more were due than could be woken now. */
const restOfThemMs = 200;

export function createWaker(options: WakerOptions): Waker {
  const { db, instanceId, push, clock, log } = options;
  const underWay = new Set<Promise<void>>();
  const paced = createPacedLook(clock, durationsPerLook);
  /** When whoever was woken is due again, should the wake be lost. */
  let againAt = Infinity;
  let bucket: Bucket = { perMinute: 0, tokens: 0, refilledAtSeconds: 0 };

  function allowance(wakesPerSecond: number): number {
    const perMinute = wakesPerSecond * 60;
    const known = bucket.perMinute === perMinute;
    bucket = refill(known ? bucket : { perMinute, tokens: wakesPerSecond, refilledAtSeconds: 0 }, clock.now() / 1000);
    return availableTokens(bucket);
  }

  async function send(device: SleepingDevice, signal: AbortSignal | undefined): Promise<void> {
    const target = { token: device.pushToken, pushMagic: device.pushMagic, topic: device.topic || options.topic };
    const outcome = await push.push(target, signal);
    switch (outcome.outcome) {
      case 'sent':
      case 'retry-later':
        // A wake that did not get through is repeated like one that was not answered.
        return;
      case 'unregistered':
      case 'bad-token':
        log.info(
          { device: device.deviceId, reason: outcome.reason },
          'push token is dead; waiting for the next TokenUpdate',
        );
        await waitForToken(db, instanceId, device);
        return;
      case 'rejected':
        log.error(
          { device: device.deviceId, reason: outcome.reason },
          'the push service rejects wakes; check its settings',
        );
        return;
    }
  }

  return {
    async wake(settings, freeSlots, signal) {
      // Who is due meanwhile is not known: whoever asks has to come again when it may be looked.
      const heldBackMs = Math.max(push.pausedForMs(), paced.dueInMs());
      if (heldBackMs > 0) return { woken: 0, dueInMs: heldBackMs };
      const allowed = allowance(settings.wakesPerSecond);
      if (allowed === 0) return { woken: 0, dueInMs: Math.max(restOfThemMs, 1000 / settings.wakesPerSecond) };
      const pace = {
        againSeconds: settings.wakeAgainSeconds,
        againAtMostSeconds: settings.wakeAgainAtMostSeconds,
        slotRetrySeconds: settings.slotRetrySeconds,
      };
      const sleeping = await paced.look(() => listSleeping(db, instanceId, pace, allowed));
      let forSlots = freeSlots * devicesPerFreeSlot;
      const chosen = sleeping.filter((device) => !device.needsSlot || forSlots-- > 0);
      const woken = new Set(
        await markWoken(
          db,
          instanceId,
          chosen.map((device) => device.deviceId),
        ),
      );
      bucket = takeTokens(bucket, woken.size);
      if (clock.now() >= againAt) againAt = Infinity;
      if (woken.size > 0) againAt = Math.min(againAt, clock.now() + settings.wakeAgainSeconds * 1000);
      for (const device of chosen.filter(({ deviceId }) => woken.has(deviceId))) {
        const pushing = send(device, signal)
          .catch((error: unknown) => log.error({ error: messageOf(error) }, 'the outcome of a wake could not be noted'))
          .finally(() => underWay.delete(pushing));
        underWay.add(pushing);
      }
      const isComplete = sleeping.length < allowed && woken.size === chosen.length;
      return { woken: woken.size, dueInMs: isComplete ? againAt - clock.now() : restOfThemMs };
    },
    async idle() {
      while (underWay.size > 0) await Promise.allSettled(underWay);
    },
  };
}
