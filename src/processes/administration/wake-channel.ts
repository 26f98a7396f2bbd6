/**
 * The push topic of the domain. A new domain has a generated one, with which the vendor's service cannot wake any
 * device; the first real certificate replaces it, and from then on it never changes: devices keep it for ever.
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
export const pushTopicSetting = z.object({ fixedAt: z.iso.datetime().nullable().default(null) });

export interface PushTopic {
  topic: string;
  /** Whether a certificate has determined it. */
  fixed: boolean;
  /** Enrolments with another topic, which have to enrol again. */
  mustEnrolAgain: number;
}

/** Counts the devices: for display, not for each message. */
export async function readPushTopic(q: Queryable): Promise<PushTopic> {
  const { fixedAt } = await readSetting(q, settingKey, pushTopicSetting);
  const { wakeChannel: topic } = await readDomain(q);
  return { topic, fixed: fixedAt !== null, mustEnrolAgain: await countOfOtherTopics(q, topic) };
}

async function countOfOtherTopics(q: Queryable, topic: string): Promise<number> {
  return (await countByWakeChannel(q, topic)).another;
}

/**
 * Fixes the topic of a certificate that is being set. Locks the domain's row, so that of two concurrent certificates
 * the second is checked against the first. Returns how many enrolments have to enrol again.
 * @throws BrambleError ERR_PUSH_TOPIC when another topic was fixed before, ERR_FEATURE_LOCKED while a component of an earlier
 *   release would go on with the made-up one
 */
export async function fixPushTopic(
  tx: Transaction,
  features: readonly Feature[],
  topic: string,
  at: Date,
): Promise<{ replaced: boolean; mustEnrolAgain: number }> {
  await lockDomain(tx);
  const { fixed, replaces } = await admitTopic(tx, features, topic);
  if (replaces) await setWakeChannel(tx, topic);
  if (!fixed) await writeSetting(tx, settingKey, { fixedAt: at.toISOString() });
  return { replaced: replaces, mustEnrolAgain: await countOfOtherTopics(tx, topic) };
}

/** The result of setting a certificate with this topic. Changes nothing, and throws as {@link fixPushTopic} would. */
export async function previewPushTopic(q: Queryable, features: readonly Feature[], topic: string): Promise<PushTopic> {
  const { fixed } = await admitTopic(q, features, topic);
  return { topic, fixed, mustEnrolAgain: await countOfOtherTopics(q, topic) };
}

async function admitTopic(
  q: Queryable,
  features: readonly Feature[],
  topic: string,
): Promise<{ fixed: boolean; replaces: boolean }> {
  const { fixedAt } = await readSetting(q, settingKey, pushTopicSetting);
  const { wakeChannel: before } = await readDomain(q);
  const [fixed, replaces] = [fixedAt !== null, before !== topic];
  if (fixed && replaces) throw await otherTopic(q, before, topic);
  if (replaces) {
    await requireFeature(q, features, 'push-topic-from-certificate', 'A push certificate with a topic of its own');
  }
  return { fixed, replaces };
}

async function otherTopic(q: Queryable, fixed: string, given: string): Promise<BrambleError> {
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
