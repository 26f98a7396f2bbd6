/**
 * Check-in: a device announces itself, brings its push token, leaves, keeps its bootstrap token.
 *
 * Invariant: each message is one transaction under the account fence, on the account's owner alone; nothing of it is
 * visible when its answer was not sent, but everything is when it was (invariant 3).
 */

import { type FencedOutcome, withAccountFence } from '../accounts/account-fence.ts';
import type { InstanceId } from '../base/ids.ts';
import type { Database, Transaction } from '../database/connection.ts';
import { type MasterKeys, openValue, sealValue } from '../database/sealed-value.ts';
import { type CheckinMessage, enrolmentNameOf } from '../protocol/apple/checkin.ts';
import type { PlistDictionary } from '../protocol/plist/value.ts';
import {
  authenticateDevice,
  describeDevice,
  type EnrolledDevice,
  findDeviceByToken,
  readBootstrapToken,
  removeUser,
  storeBootstrapToken,
  updateToken,
  updateUserToken,
} from './device-store.ts';
import { checkOutDevice } from './enrolment-end.ts';
import { isRenewing } from './identity-renewal.ts';
import { listHeard, takeBack } from './suspension.ts';

export type CheckinOutcome =
  /** 200; `bootstrapToken` only for GetBootstrapToken. */
  | { kind: 'accepted' }
  | { kind: 'bootstrap-token'; token: Buffer | null }
  /** A message that this release does not serve; its status tells the device so. */
  | { kind: 'not-served'; status: 400 | 404 | 410; reason: string }
  /** Another UDID or EnrollmentID than this enrolment's; only Authenticate may bring one. */
  | { kind: 'another-enrolment' }
  /** The topic is not the domain's, or the message does not fit the enrolment's state. */
  | { kind: 'refused'; reason: string };

export interface CheckinOptions {
  db: Database;
  instanceId: InstanceId;
  keys: MasterKeys;
  /** The domain's topic just now: a push certificate may replace a made-up one at any time. */
  pushTopic: (tx: Transaction) => Promise<string>;
  /** Called in the transaction that makes an enrolment active: what is owed, and the end of the activation password. */
  onActivated: (tx: Transaction, device: EnrolledDevice) => Promise<unknown>;
  /** Called in the transaction in which a suspended enrolment becomes active again: it was owed nothing meanwhile. */
  onReturned: (tx: Transaction, device: EnrolledDevice) => Promise<unknown>;
}

const otherTopic = { kind: 'refused', reason: 'the topic is not the domain’s' } as const;

/** Handles one message of a device whose identity was proven. */
export async function checkIn(
  options: CheckinOptions,
  device: EnrolledDevice,
  message: CheckinMessage,
): Promise<FencedOutcome<CheckinOutcome>> {
  return await withAccountFence(options.db, device.accountId, options.instanceId, async (tx) => {
    if (message.messageType !== 'Authenticate' && !isOf(device, message)) return { kind: 'another-enrolment' };
    if (device.suspended && message.messageType !== 'CheckOut') await takeDeviceBack(options, tx, device);
    switch (message.messageType) {
      case 'Authenticate':
        return await takeAuthenticate(options, tx, device, message);
      case 'TokenUpdate':
        return await takeToken(options, tx, device, message);
      case 'CheckOut':
        // A user who leaves takes the user channel along, never the device.
        if (message.userId !== undefined) {
          await removeUser(tx, device.deviceId, message.userId);
          return { kind: 'accepted' };
        }
        await checkOutDevice(tx, device.deviceId);
        return { kind: 'accepted' };
      case 'SetBootstrapToken': {
        const place = `device/bootstrap_token/${device.deviceId}`;
        const token = message.bootstrapToken;
        await storeBootstrapToken(tx, device.deviceId, token?.length ? sealValue(options.keys, place, token) : null);
        return { kind: 'accepted' };
      }
      case 'GetBootstrapToken': {
        const sealed = await readBootstrapToken(tx, device.deviceId);
        const place = `device/bootstrap_token/${device.deviceId}`;
        const token = sealed ? openValue(options.keys, place, sealed.ciphertext, sealed.keyId) : null;
        return { kind: 'bootstrap-token', token };
      }
      case 'UserAuthenticate':
        // The device asks no more for this login, and manages the user without a channel. @see Apple, UserAuthenticate
        return { kind: 'not-served', status: 410, reason: 'users of a directory are not managed' };
      case 'DeclarativeManagement':
        return { kind: 'not-served', status: 404, reason: 'declarative management is not supported' };
      case 'GetToken':
        return { kind: 'not-served', status: 400, reason: 'this token service is unknown' };
    }
  });
}

/**
 * The key of a suspended enrolment was heard at a connect: serves it again. False where there was nothing to take back, or
 * it did not become active.
 */
export async function resumeSuspended(
  options: CheckinOptions,
  device: EnrolledDevice,
): Promise<FencedOutcome<boolean>> {
  return await withAccountFence(options.db, device.accountId, options.instanceId, async (tx) => {
    return (await takeDeviceBack(options, tx, device)) === 'active';
  });
}

/** Takes back the instance's suspended enrolments whose certificate opened a tunnel; what a move holds waits for the next look. */
export async function resumeHeard(options: CheckinOptions): Promise<void> {
  for (const token of await listHeard(options.db, options.instanceId)) {
    const device = await findDeviceByToken(options.db, token);
    if (device !== 'not-found' && device.suspended) await resumeSuspended(options, device);
  }
}

async function takeDeviceBack(options: CheckinOptions, tx: Transaction, device: EnrolledDevice) {
  const state = await takeBack(tx, device.deviceId);
  if (state === 'active') await options.onReturned(tx, device);
  return state;
}

function isOf(device: EnrolledDevice, message: CheckinMessage): boolean {
  return device.enrolment === null || device.enrolment.toLowerCase() === enrolmentNameOf(message).toLowerCase();
}

async function takeAuthenticate(
  options: CheckinOptions,
  tx: Transaction,
  device: EnrolledDevice,
  message: Extract<CheckinMessage, { messageType: 'Authenticate' }>,
): Promise<CheckinOutcome> {
  const { topic } = message;
  const described = {
    udid: message.udid ?? null,
    enrollmentId: message.enrollmentId ?? null,
    topic,
    serialNumber: message.serialNumber ?? null,
    model: message.modelName ?? message.model ?? null,
    product: message.productName ?? null,
    osVersion: message.osVersion ?? null,
    softwareVersion: textOf(message.dictionary, 'DeviceSoftware'),
  };
  const renews = await isRenewing(tx, device.deviceId);
  // Only a new enrolment may bring another name. A renewal keeps the topic that the device has, whatever the domain's is now.
  if (renews && !isOf(device, message)) return { kind: 'another-enrolment' };
  if (topic !== (await options.pushTopic(tx)) && !(renews && topic === device.topic)) return otherTopic;
  if (renews) {
    await describeDevice(tx, device.deviceId, described);
    return { kind: 'accepted' };
  }
  const own = { deviceId: device.deviceId, instanceId: options.instanceId };
  const isBegun = await authenticateDevice(tx, own, described);
  return isBegun ? { kind: 'accepted' } : { kind: 'refused', reason: 'the enrolment has ended' };
}

async function takeToken(
  options: CheckinOptions,
  tx: Transaction,
  device: EnrolledDevice,
  message: Extract<CheckinMessage, { messageType: 'TokenUpdate' }>,
): Promise<CheckinOutcome> {
  // A device that enrolled under an earlier topic keeps it, and is served until it enrols again.
  if (message.topic !== device.topic && message.topic !== (await options.pushTopic(tx))) return otherTopic;
  const push = { pushToken: message.token, pushMagic: message.pushMagic };
  if (message.channel === 'user' && message.userId !== undefined) {
    const stored = await updateUserToken(tx, device.deviceId, { userId: message.userId, userName: null, ...push });
    if (stored === 'out-of-order') return { kind: 'refused', reason: 'the device of this user channel is not active' };
    return { kind: 'accepted' };
  }
  const place = `device/unlock_token/${device.deviceId}`;
  const unlockToken = message.unlockToken ? sealValue(options.keys, place, message.unlockToken) : null;
  const outcome = await updateToken(tx, device.deviceId, { topic: message.topic, ...push, unlockToken });
  if (outcome === 'out-of-order') return { kind: 'refused', reason: 'TokenUpdate came before Authenticate' };
  if (outcome === 'activated') await options.onActivated(tx, device);
  return { kind: 'accepted' };
}

function textOf(dictionary: PlistDictionary, name: string): string | null {
  const value = dictionary[name];
  return typeof value === 'string' ? value.slice(0, 200) : null;
}
