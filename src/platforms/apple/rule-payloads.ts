/**
 * Where each rule of an IT policy goes in a device's profile, and which Apple devices support it: data, one row each.
 * Invariant: the compiled form of a rule never changes once a release with it is sealed, because the profiles on
 * devices contain it.
 * @see Apple device-management, mdm/profiles/com.apple.mobiledevice.passwordpolicy and com.apple.applicationaccess
 */
import type { MinVersions } from './device-family.ts';

export type PolicyPayloadType = 'com.apple.mobiledevice.passwordpolicy' | 'com.apple.applicationaccess';

interface RulePlace {
  readonly payload: PolicyPayloadType;
  readonly key: string;
  /** Minimum Apple system versions that support the key. */
  readonly least: MinVersions;
}

/** Rule name -> its place. */
export type RulePlaces = Readonly<Record<string, RulePlace>>;

const password = (key: string): RulePlace => ({
  payload: 'com.apple.mobiledevice.passwordpolicy',
  key,
  least: { ios: '4.0', macos: '10.7' },
});
const restriction = (key: string, least: MinVersions): RulePlace => ({
  payload: 'com.apple.applicationaccess',
  key,
  least,
});

export const rulePlaces: RulePlaces = {
  passwordRequired: password('forcePIN'),
  passwordMinimumLength: password('minLength'),
  passwordAlphanumericRequired: password('requireAlphanumeric'),
  passwordMinimumComplexCharacters: password('minComplexChars'),
  passwordAllowSimple: password('allowSimple'),
  passwordMaximumFailedAttempts: password('maxFailedAttempts'),
  passwordMaximumInactivityMinutes: password('maxInactivity'),
  passwordMaximumGraceMinutes: password('maxGracePeriod'),
  passwordHistoryLength: password('pinHistory'),
  passwordMaximumAgeDays: password('maxPINAgeInDays'),
  allowCamera: restriction('allowCamera', { ios: '4.0', macos: '10.11' }),
  allowVideoConferencing: restriction('allowVideoConferencing', { ios: '4.0' }),
  allowScreenShot: restriction('allowScreenShot', { ios: '4.0', macos: '10.14.4' }),
  allowVoiceAssistantWhileLocked: restriction('allowAssistantWhileLocked', { ios: '5.1' }),
  allowAppInstallation: restriction('allowAppInstallation', { ios: '4.0' }),
  allowAppRemoval: restriction('allowAppRemoval', { ios: '4.2.1' }),
  allowInAppPurchases: restriction('allowInAppPurchases', { ios: '4.0' }),
  allowCloudBackup: restriction('allowCloudBackup', { ios: '5.0' }),
  forceEncryptedBackup: restriction('forceEncryptedBackup', { ios: '4.0' }),
  allowDiagnosticSubmission: restriction('allowDiagnosticSubmission', { ios: '6.0', macos: '10.13' }),
  allowUntrustedTlsPrompt: restriction('allowUntrustedTLSPrompt', { ios: '5.0' }),
  allowOpenFromManagedToUnmanaged: restriction('allowOpenFromManagedToUnmanaged', { ios: '7.0' }),
  allowBrowser: restriction('allowSafari', { ios: '4.0' }),
  browserForceFraudWarning: restriction('safariForceFraudWarning', { ios: '4.0' }),
  allowBiometricUnlock: restriction('allowFingerprintForUnlock', { ios: '7.0', macos: '10.12.4' }),
  allowHandoff: restriction('allowActivityContinuation', { ios: '8.0', macos: '10.15' }),
  allowPersonalizedAdvertising: restriction('allowApplePersonalizedAdvertising', { ios: '14.0', macos: '12.0' }),
  requireManagedPasteboard: restriction('requireManagedPasteboard', { ios: '15.0' }),
};
