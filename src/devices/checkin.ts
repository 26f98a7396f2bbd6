/**
 * Check-in: a device announces itself, brings its push token, leaves, keeps its bootstrap token.
 *
 * Invariant: each message is one transaction under the account fence, on the account's owner alone; nothing of it is
 * visible when its answer was not sent, but everything is when it was (invariant 3).
 */
import type { InstanceId } from '../base/ids.ts';
import { type FencedOutcome, withAccountFence } from '../database/account-fence.ts';
import type { Database, Transaction } from '../database/connection.ts';
import { type MasterKeys, openValue, sealValue } from '../database/sealed-value.ts';
import type { CheckinMessage } from '../protocol/apple/checkin.ts';
import type { PlistDictionary } from '../protocol/plist/value.ts';
import {
  authenticateDevice,
  checkOutDevice,
  type EnrolledDevice,
  readBootstrapToken,
  removeUser,
  storeBootstrapToken,
  updateToken,
  updateUserToken,
} from './device-store.ts';

export type CheckinOutcome =
  /** 200; `bootstrapToken` only for GetBootstrapToken. */
  | { kind: 'accepted' }
  | { kind: 'bootstrap-token'; token: Buffer | null }
  /** A message that this release does not serve: 200 with an empty body, as Apple allows. */
  | { kind: 'not-served' }
  /** The topic is not the domain's, or the message does not fit the enrolment's state. */
  | { kind: 'refused'; reason: string };

export interface CheckinOptions {
  db: Database;
  instanceId: InstanceId;
  keys: MasterKeys;
  pushTopic: string;
  /** Called in the transaction that makes an enrolment active: what is owed, and the end of the activation password. */
  onActivated: (tx: Transaction, device: EnrolledDevice) => Promise<unknown>;
}

/** Handles one message of a device whose identity was proven. */
export async function checkIn(
  options: CheckinOptions,
  device: EnrolledDevice,
  message: CheckinMessage,
): Promise<FencedOutcome<CheckinOutcome>> {
  return await withAccountFence(options.db, device.accountId, options.instanceId, async (tx) => {
    switch (message.messageType) {
      case 'Authenticate':
        if (message.topic !== options.pushTopic) return { kind: 'refused', reason: 'the topic is not the domain’s' };
        await authenticateDevice(tx, device.deviceId, {
          udid: message.udid ?? null,
          enrollmentId: message.enrollmentId ?? null,
          topic: message.topic,
          serialNumber: message.serialNumber ?? null,
          model: message.modelName ?? message.model ?? null,
          product: message.productName ?? null,
          osVersion: message.osVersion ?? null,
          softwareVersion: textOf(message.dictionary, 'DeviceSoftware'),
        });
        return { kind: 'accepted' };
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
      case 'DeclarativeManagement':
      case 'GetToken':
        return { kind: 'not-served' };
    }
  });
}

async function takeToken(
  options: CheckinOptions,
  tx: Transaction,
  device: EnrolledDevice,
  message: Extract<CheckinMessage, { messageType: 'TokenUpdate' }>,
): Promise<CheckinOutcome> {
  if (message.topic !== options.pushTopic) return { kind: 'refused', reason: 'the topic is not the domain’s' };
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
