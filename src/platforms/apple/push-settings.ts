/**
 * The settings of the push service, and their stored form, in which the push certificate's key is sealed under the
 * master key. Invariant: the key is never in the clear in the database or in a response.
 */
import * as z from 'zod';

export const pushSettingsSchema = z.object({
  url: z.url({ protocol: /^https?$/ }).default('https://api.push.apple.com'),
  /** Trusted instead of the machine's authorities, for a relay or a simulator. */
  caPem: z.string().optional(),
  /** The domain's push certificate and its key. */
  certificatePem: z.string().optional(),
  privateKeyPem: z.string().optional(),
});
export type PushSettings = z.output<typeof pushSettingsSchema>;

/** Setting 'push'. */
export const pushSettingsKey = 'push';
/** The context that the key is sealed for. */
export const pushKeyPlace = 'setting/push/privateKeyPem';

export const storedPushSettingsSchema = pushSettingsSchema.omit({ privateKeyPem: true }).extend({
  /** Base64 of the sealed PEM. */
  privateKey: z.object({ ciphertext: z.base64(), keyId: z.string() }).optional(),
});
type StoredPushSettings = z.output<typeof storedPushSettingsSchema>;

/** Throws as `open` does if the key cannot be opened. */
export function unsealPushSettings(
  stored: StoredPushSettings,
  open: (place: string, ciphertext: Buffer, keyId: string) => Buffer,
): PushSettings {
  const { privateKey, ...settings } = stored;
  if (privateKey === undefined) return settings;
  const pem = open(pushKeyPlace, Buffer.from(privateKey.ciphertext, 'base64'), privateKey.keyId);
  return { ...settings, privateKeyPem: pem.toString('utf8') };
}
