/**
 * The domain's wake channel: the topic of its push certificate. A new domain has a generated one, with which the vendor's
 * service cannot wake any device; the first real certificate replaces it, and from then on it never changes: devices keep
 * it for ever.
 */
import * as z from 'zod';
import { BrambleError } from '../../base/errors.ts';
import type { Queryable, Transaction } from '../../database/connection.ts';
import { countByWakeChannel } from '../../devices/wake-channels.ts';
import { readDomain } from '../../domain/domain.ts';
import { lockDomain, setWakeChannel } from '../../domain/domain-changes.ts';
import { readSetting, writeSetting } from '../../domain/settings.ts';
import type { Feature } from '../../registry/features.ts';
import { requireFeature } from '../../registry/features.ts';

const settingKey = 'push-topic';
export const wakeChannelSetting = z.object({ fixedAt: z.iso.datetime().nullable().default(null) });

export interface WakeChannel {
  channel: string;
  /** Whether a certificate has determined it. */
  fixed: boolean;
  /** Enrolments with another channel, which have to enrol again. */
  mustEnrolAgain: number;
}

/** Counts the devices: for display, not for each message. */
export async function readWakeChannel(q: Queryable): Promise<WakeChannel> {
  const { fixedAt } = await readSetting(q, settingKey, wakeChannelSetting);
  const { wakeChannel: channel } = await readDomain(q);
  return { channel, fixed: fixedAt !== null, mustEnrolAgain: await countOnOtherChannels(q, channel) };
}

async function countOnOtherChannels(q: Queryable, channel: string): Promise<number> {
  return (await countByWakeChannel(q, channel)).another;
}

/**
 * Fixes the channel to the topic of a certificate that is being set. Locks the domain's row, so that of two concurrent certificates
 * the second is checked against the first. Returns how many enrolments have to enrol again.
 * @throws BrambleError ERR_PUSH_TOPIC when another one was fixed before, ERR_FEATURE_LOCKED while a component of an earlier
 *   release would go on with the made-up one
 */
export async function fixWakeChannel(
  tx: Transaction,
  features: readonly Feature[],
  channel: string,
  at: Date,
): Promise<{ replaced: boolean; mustEnrolAgain: number }> {
  await lockDomain(tx);
  const { fixed, replaces } = await admitChannel(tx, features, channel);
  if (replaces) await setWakeChannel(tx, channel);
  if (!fixed) await writeSetting(tx, settingKey, { fixedAt: at.toISOString() });
  return { replaced: replaces, mustEnrolAgain: await countOnOtherChannels(tx, channel) };
}

/** The result of setting a certificate with this topic. Changes nothing, and throws as {@link fixWakeChannel} would. */
export async function previewWakeChannel(
  q: Queryable,
  features: readonly Feature[],
  channel: string,
): Promise<WakeChannel> {
  const { fixed } = await admitChannel(q, features, channel);
  return { channel, fixed, mustEnrolAgain: await countOnOtherChannels(q, channel) };
}

async function admitChannel(
  q: Queryable,
  features: readonly Feature[],
  channel: string,
): Promise<{ fixed: boolean; replaces: boolean }> {
  const { fixedAt } = await readSetting(q, settingKey, wakeChannelSetting);
  const { wakeChannel: before } = await readDomain(q);
  const [fixed, replaces] = [fixedAt !== null, before !== channel];
  if (fixed && replaces) throw await otherChannel(q, before, channel);
  if (replaces) {
    await requireFeature(q, features, 'push-topic-from-certificate', 'A push certificate with a topic of its own');
  }
  return { fixed, replaces };
}

async function otherChannel(q: Queryable, fixed: string, given: string): Promise<BrambleError> {
  const { same: enrolled } = await countByWakeChannel(q, fixed);
  return new BrambleError(
    'ERR_PUSH_TOPIC',
    `The certificate is for the topic ${given}, and this domain's is ${fixed}, for good since its first certificate was set. ` +
      `Devices that enrol with one topic cannot be woken under another${enrolled > 0 ? `; enrolled so: ${enrolled}` : ''}. ` +
      'Nothing was changed. ' +
      'Renew the certificate that you had (same account, "renew", not "create") and set that one.',
    { details: { topic: fixed, given, enrolled } },
  );
}
