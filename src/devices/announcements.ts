/**
 * Device announcements: enrolment, wake address, departure, and an escrowed secret.
 *
 * Invariant: each announcement is one transaction under the account fence, only on the account's owner; once its answer
 * is sent, all of it is visible, and before that nothing (invariant 3).
 */
import { type FencedOutcome, withAccountFence } from '../accounts/account-fence.ts';
import type { InstanceId } from '../base/ids.ts';
import type { Database, Transaction } from '../database/connection.ts';
import { type MasterKeys, openValue, sealValue } from '../database/sealed-value.ts';
import { type Announcement, nameOf } from '../platforms/device-message.ts';
import { sealedPlace } from '../states/stored-names.ts';
import {
  beginEnrolment,
  describeDevice,
  type EnrolledDevice,
  findDeviceByToken,
  readKeptSecret,
  removeUser,
  storeKeptSecret,
  storeUserWakeAddress,
  storeWakeAddress,
} from './device-store.ts';
import { endByDevice } from './enrolment-end.ts';
import { isRenewing } from './identity-renewal.ts';
import { listHeard, takeBack } from './suspension.ts';

type AnnouncementOutcome =
  | { kind: 'accepted' }
  /** The secret that the device escrowed. */
  | { kind: 'kept-secret'; secret: Buffer | null }
  /** An announcement that this release does not support; the status tells the device so. */
  | { kind: 'not-served'; status: 400 | 404 | 410; reason: string }
  /** The name differs from this enrolment's; only the start of an enrolment may change it. */
  | { kind: 'another-enrolment' }
  /** The channel is not the domain's, or the announcement is not allowed in the enrolment's state. */
  | { kind: 'refused'; reason: string };

export interface AnnouncementOptions {
  db: Database;
  instanceId: InstanceId;
  keys: MasterKeys;
  /** The domain's current wake channel: a push certificate may replace a generated one at any time. */
  wakeChannel: (tx: Transaction) => Promise<string>;
  /**
   * Called in the transaction that makes an enrolment active: queues its deliveries and consumes the activation
   * password.
   */
  onActivated: (tx: Transaction, device: EnrolledDevice) => Promise<unknown>;
  /** Called in the transaction that reactivates a suspended enrolment, for which nothing was queued meanwhile. */
  onReturned: (tx: Transaction, device: EnrolledDevice) => Promise<unknown>;
}

const otherChannel = { kind: 'refused', reason: 'the wake channel is not the domain’s' } as const;

/** Handles one announcement of a device with a proven identity. */
export async function takeAnnouncement(
  options: AnnouncementOptions,
  device: EnrolledDevice,
  message: Announcement,
): Promise<FencedOutcome<AnnouncementOutcome>> {
  return await withAccountFence(options.db, device.accountId, options.instanceId, async (tx) => {
    if (message.kind !== 'enrols' && !isOf(device, message)) return { kind: 'another-enrolment' };
    if (device.suspended && message.kind !== 'leaves') await takeDeviceBack(options, tx, device);
    switch (message.kind) {
      case 'enrols':
        return await takeEnrolment(options, tx, device, message);
      case 'wake-address':
        return await takeWakeAddress(options, tx, device, message);
      case 'leaves':
        // When a user leaves, only the user channel goes, never the device.
        if (message.user !== null) await removeUser(tx, device.deviceId, message.user.id);
        else await endByDevice(tx, device.deviceId);
        return { kind: 'accepted' };
      case 'keeps-secret': {
        const place = sealedPlace('keptSecret', device.deviceId);
        const { secret } = message;
        await storeKeptSecret(tx, device.deviceId, secret?.length ? sealValue(options.keys, place, secret) : null);
        return { kind: 'accepted' };
      }
      case 'fetches-secret': {
        const sealed = await readKeptSecret(tx, device.deviceId);
        const place = sealedPlace('keptSecret', device.deviceId);
        const secret = sealed ? openValue(options.keys, place, sealed.ciphertext, sealed.keyId) : null;
        return { kind: 'kept-secret', secret };
      }
      case 'not-served':
        return { kind: 'not-served', status: message.status, reason: message.reason };
    }
  });
}

/**
 * A connect proved the key of a suspended enrolment: resumes it. False if there was nothing to resume, or it did not
 * become active.
 */
export async function resumeSuspended(
  options: AnnouncementOptions,
  device: EnrolledDevice,
): Promise<FencedOutcome<boolean>> {
  return await withAccountFence(options.db, device.accountId, options.instanceId, async (tx) => {
    return (await takeDeviceBack(options, tx, device)) === 'active';
  });
}

/**
 * Resumes the instance's suspended enrolments whose certificate opened a tunnel; accounts held by a move wait for the
 * next pass.
 */
export async function reinstateHeard(options: AnnouncementOptions): Promise<void> {
  for (const token of await listHeard(options.db, options.instanceId)) {
    const device = await findDeviceByToken(options.db, token);
    if (device !== 'not-found' && device.suspended) await resumeSuspended(options, device);
  }
}

async function takeDeviceBack(options: AnnouncementOptions, tx: Transaction, device: EnrolledDevice) {
  const state = await takeBack(tx, device.deviceId);
  if (state === 'active') await options.onReturned(tx, device);
  return state;
}

function isOf(device: EnrolledDevice, { names }: Announcement): boolean {
  return device.enrolment === null || device.enrolment.toLowerCase() === nameOf(names).toLowerCase();
}

async function takeEnrolment(
  options: AnnouncementOptions,
  tx: Transaction,
  device: EnrolledDevice,
  message: Extract<Announcement, { kind: 'enrols' }>,
): Promise<AnnouncementOutcome> {
  const { names, channel, facts } = message;
  const renews = await isRenewing(tx, device.deviceId);
  // Only a new enrolment may change the name. A renewal keeps the device's channel, whatever the domain's is now.
  if (renews && !isOf(device, message)) return { kind: 'another-enrolment' };
  if (!(renews && channel === device.channel) && !(await isTheDomains(options, tx, channel))) return otherChannel;
  if (renews) {
    await describeDevice(tx, device.deviceId, facts);
    return { kind: 'accepted' };
  }
  const own = { deviceId: device.deviceId, instanceId: options.instanceId };
  const isBegun = await beginEnrolment(tx, own, { ...names, ...facts, channel });
  return isBegun ? { kind: 'accepted' } : { kind: 'refused', reason: 'the enrolment has ended' };
}

async function takeWakeAddress(
  options: AnnouncementOptions,
  tx: Transaction,
  device: EnrolledDevice,
  message: Extract<Announcement, { kind: 'wake-address' }>,
): Promise<AnnouncementOutcome> {
  const { address, user } = message;
  // A device that enrolled under an earlier channel keeps it, and is served until it enrols again.
  if (address.channel !== device.channel && !(await isTheDomains(options, tx, address.channel))) return otherChannel;
  if (user !== null) {
    const stored = await storeUserWakeAddress(tx, device.deviceId, user, address);
    if (stored === 'out-of-order') return { kind: 'refused', reason: 'the device of this user channel is not active' };
    return { kind: 'accepted' };
  }
  const place = sealedPlace('unlockSecret', device.deviceId);
  const unlockSecret = message.unlockSecret ? sealValue(options.keys, place, message.unlockSecret) : null;
  const outcome = await storeWakeAddress(tx, device.deviceId, address, unlockSecret);
  if (outcome === 'out-of-order')
    return { kind: 'refused', reason: 'the device told how it is woken before it enrolled' };
  if (outcome === 'activated') await options.onActivated(tx, device);
  return { kind: 'accepted' };
}

/** Null: the device's platform has none. */
async function isTheDomains(options: AnnouncementOptions, tx: Transaction, channel: string | null): Promise<boolean> {
  return channel === null || channel === (await options.wakeChannel(tx));
}
