/**
 * Sends the wakes that are due, evenly and in the background: nothing waits for the platforms' wake services.
 * Invariant: a wake is recorded before it is sent, so that a crash in between costs one interval and never causes a
 * storm. A wake service that pauses, or is not there, holds up its own devices only.
 */
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Database } from '../database/connection.ts';
import type { WakeClient } from '../platforms/waking.ts';
import type { Logger } from '../process/log/logger.ts';
import type { DeliverySettings } from './delivery-settings.ts';
import { createPacedLook } from './paced-look.ts';
import { availableTokens, type Bucket, refill, takeTokens } from './token-bucket.ts';
import { listSleeping, markWoken, type SleepingDevice, waitForAddress } from './wake-store.ts';

interface WakerOptions {
  readonly db: Database;
  readonly instanceId: string;
  /** The domain's; a channel announced by the device takes precedence. */
  readonly channel: string;
  /** By platform; devices of other platforms connect by themselves. */
  readonly clients: ReadonlyMap<string, Pick<WakeClient, 'wake' | 'pausedForMs'>>;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Wakes {
  readonly woken: number;
  /** Milliseconds until devices that were not woken now may be due; Infinity if none are known. */
  readonly dueInMs: number;
}

export interface Waker {
  /** Starts the wakes that are due and allowed, given `freeSlots`. */
  wake(settings: DeliverySettings, freeSlots: number, signal?: AbortSignal): Promise<Wakes>;
  /** Resolves when no wake is in progress. */
  idle(): Promise<void>;
}

/** This many devices that only need a slot are woken per free slot: some connect late. */
const devicesPerFreeSlot = 2;
/** With tens of thousands of waiting commands the query takes a while: it may use a tenth of the time, no more. */
const durationsPerLook = 10;
/** Delay before the next attempt if more were due than could be woken now. */
const restOfThemMs = 200;

export function createWaker(options: WakerOptions): Waker {
  const { db, instanceId, clients, clock, log } = options;
  const underWay = new Set<Promise<void>>();
  const paced = createPacedLook(clock, durationsPerLook);
  const rate = createWakeRate(clock);
  /** When the devices just woken are due again, should the wake be lost. */
  let againAt = Infinity;

  function sendInBackground(device: SleepingDevice, signal: AbortSignal | undefined): void {
    const sending = sendWake(options, device, signal)
      .catch((error: unknown) => log.error({ error: messageOf(error) }, 'the outcome of a wake could not be noted'))
      .finally(() => underWay.delete(sending));
    underWay.add(sending);
  }

  return {
    async wake(settings, freeSlots, signal) {
      // Devices due meanwhile are not known: the caller has to retry when the query may run.
      const { awake, pauseMs } = readPauses(clients);
      const heldBackMs = Math.max(awake.length > 0 ? 0 : pauseMs, paced.dueInMs());
      if (heldBackMs > 0) return { woken: 0, dueInMs: heldBackMs };
      const allowed = rate.allowance(settings.wakesPerSecond);
      if (allowed === 0) return { woken: 0, dueInMs: Math.max(restOfThemMs, 1000 / settings.wakesPerSecond) };
      const pace = {
        againSeconds: settings.wakeAgainSeconds,
        maxAgainSeconds: settings.wakeAgainAtMostSeconds,
        slotRetrySeconds: settings.slotRetrySeconds,
      };
      const sleeping = await paced.look(() => listSleeping(db, instanceId, awake, pace, allowed));
      const chosen = withinSlots(sleeping, freeSlots * devicesPerFreeSlot);
      const ids = chosen.map(({ deviceId }) => deviceId);
      const woken = new Set(await markWoken(db, instanceId, ids));
      rate.take(woken.size);
      if (clock.now() >= againAt) againAt = Infinity;
      if (woken.size > 0) againAt = Math.min(againAt, clock.now() + settings.wakeAgainSeconds * 1000);
      for (const device of chosen) if (woken.has(device.deviceId)) sendInBackground(device, signal);
      const isComplete = sleeping.length < allowed && woken.size === chosen.length;
      return { woken: woken.size, dueInMs: Math.min(isComplete ? againAt - clock.now() : restOfThemMs, pauseMs) };
    },
    async idle() {
      while (underWay.size > 0) await Promise.allSettled(underWay);
    },
  };
}

/** The platforms whose devices can be woken now, and how long until more of them can; Infinity if no others wait. */
function readPauses(clients: WakerOptions['clients']): { awake: string[]; pauseMs: number } {
  const pauses = new Map([...new Set(clients.values())].map((client) => [client, client.pausedForMs()]));
  return {
    awake: [...clients].filter(([, client]) => pauses.get(client) === 0).map(([platform]) => platform),
    pauseMs: Math.min(...[...pauses.values()].filter((pausedForMs) => pausedForMs > 0)),
  };
}

/** Those that need no slot, and the first `slots` of those that do. Pure. */
export function withinSlots<Sleeping extends { readonly needsSlot: boolean }>(
  sleeping: readonly Sleeping[],
  slots: number,
): Sleeping[] {
  let left = slots;
  return sleeping.filter(({ needsSlot }) => !needsSlot || left-- > 0);
}

/** Wakes are spread evenly: at most a second's worth at once. */
function createWakeRate(clock: Clock) {
  let bucket: Bucket = { perMinute: 0, tokens: 0, refilledAtSeconds: 0 };
  return {
    allowance(wakesPerSecond: number): number {
      const perMinute = wakesPerSecond * 60;
      const known = bucket.perMinute === perMinute;
      bucket = refill(known ? bucket : { perMinute, tokens: wakesPerSecond, refilledAtSeconds: 0 }, clock.now() / 1000);
      return availableTokens(bucket);
    },
    take(count: number): void {
      bucket = takeTokens(bucket, count);
    },
  };
}

async function sendWake(
  { db, instanceId, channel, clients, log }: WakerOptions,
  device: SleepingDevice,
  signal: AbortSignal | undefined,
): Promise<void> {
  const address = { ...device.address, channel: device.address.channel || channel };
  const outcome = await clients.get(device.platform)?.wake(address, signal);
  switch (outcome?.outcome) {
    case undefined:
    case 'sent':
    case 'later':
      // A wake that failed is repeated like one that was not answered.
      return;
    case 'address-gone':
      log.info(
        { device: device.deviceId, reason: outcome.reason },
        'the address that the device is woken at is gone; waiting until it tells another',
      );
      await waitForAddress(db, instanceId, device);
      return;
    case 'rejected':
      log.error(
        { device: device.deviceId, reason: outcome.reason },
        'the wake service rejects wakes; check its settings',
      );
      return;
  }
}
