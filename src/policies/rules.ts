/**
 * The rules an IT policy can hold: data, one row each. A later release adds rows, nothing else.
 * Invariant: a rule's name, its Apple key and its meaning never change once a release with it is sealed, because stored
 * policies and the profiles on devices hold them. A rule with a `default` is compiled for every policy, also for those that
 * were stored before the rule existed; a rule without one is compiled only where a policy sets it.
 */
import * as z from 'zod';
import { BrambleError } from '../base/errors.ts';
import { plainIssue } from '../base/plain-issue.ts';
import type { DeviceFamily } from './device-family.ts';

export type RuleValue = boolean | number | string;
/** Rule name -> value: what a policy sets, and what merging policies yields. */
export type RuleValues = Readonly<Record<string, RuleValue>>;

export type RuleGroup = 'password' | 'device' | 'security' | 'camera' | 'applications' | 'backup' | 'browser';
export type PolicyPayloadType = 'com.apple.mobiledevice.passwordpolicy' | 'com.apple.applicationaccess';

export interface Rule {
  readonly group: RuleGroup;
  readonly description: string;
  readonly value: z.ZodType<RuleValue>;
  /** Where the value goes in the device's profile. */
  readonly payload: PolicyPayloadType;
  readonly key: string;
  /** Least version of each family that knows the key; a family that is missing here does not know it at all. */
  readonly least: Readonly<Partial<Record<DeviceFamily, string>>>;
  /** Between groups the one with the better rank wins, rule by rule: the only combination so far. */
  readonly combination: 'rank';
  /** Compiled where no policy sets the rule: what holds on a device anyway, so that an upgrade takes nothing away. */
  readonly default?: RuleValue;
  /** The feature without which no policy may set the rule, since an earlier release could not read it. */
  readonly feature?: string;
}

/** Rule name -> rule. */
export type RuleTable = Readonly<Record<string, Rule>>;

const password = {
  group: 'password',
  payload: 'com.apple.mobiledevice.passwordpolicy',
  least: { ios: '4.0', macos: '10.7', agent: '1.0' },
  combination: 'rank',
} as const;
const restriction = { payload: 'com.apple.applicationaccess', combination: 'rank' } as const;
/** The rules that 1.1 brought. */
const secondSet = { ...restriction, feature: 'it-policy-rules-2' } as const;
const iosAndAgent = { ios: '4.0', agent: '1.0' } as const;
const whole = (least: number, most: number) => z.number().int().min(least).max(most);

/** The rules of this release. @see Apple device-management, mdm/profiles/com.apple.mobiledevice.passwordpolicy and com.apple.applicationaccess */
export const rules: RuleTable = {
  passwordRequired: { ...password, key: 'forcePIN', value: z.boolean(), description: 'A password must be set.' },
  passwordMinimumLength: {
    ...password,
    key: 'minLength',
    value: whole(0, 16),
    description: 'Least number of characters.',
  },
  passwordAlphanumericRequired: {
    ...password,
    key: 'requireAlphanumeric',
    value: z.boolean(),
    description: 'At least one letter and one digit.',
  },
  passwordMinimumComplexCharacters: {
    ...password,
    key: 'minComplexChars',
    value: whole(0, 4),
    description: 'Least number of characters that are neither letters nor digits.',
  },
  passwordAllowSimple: {
    ...password,
    key: 'allowSimple',
    value: z.boolean(),
    description: 'Repeated, rising and falling sequences are allowed.',
  },
  passwordMaximumFailedAttempts: {
    ...password,
    key: 'maxFailedAttempts',
    value: whole(2, 11),
    description: 'Wrong tries before the device is wiped (or locked, on a computer).',
  },
  passwordMaximumInactivityMinutes: {
    ...password,
    key: 'maxInactivity',
    value: whole(0, 15),
    description: 'Minutes without use until the device locks; 0 means never.',
  },
  passwordMaximumGraceMinutes: {
    ...password,
    key: 'maxGracePeriod',
    value: whole(0, 240),
    description: 'Minutes after locking in which no password is asked.',
  },
  passwordHistoryLength: {
    ...password,
    key: 'pinHistory',
    value: whole(1, 50),
    description: 'Number of earlier passwords that must not be used again.',
  },
  passwordMaximumAgeDays: {
    ...password,
    key: 'maxPINAgeInDays',
    value: whole(1, 730),
    description: 'Days until the password must be changed.',
  },
  allowCamera: {
    ...restriction,
    group: 'camera',
    key: 'allowCamera',
    value: z.boolean(),
    least: { ios: '4.0', macos: '10.11', agent: '1.0' },
    description: 'The camera may be used.',
  },
  allowVideoConferencing: {
    ...restriction,
    group: 'camera',
    key: 'allowVideoConferencing',
    value: z.boolean(),
    least: { ios: '4.0' },
    description: 'Video calls may be made.',
  },
  allowScreenShot: {
    ...restriction,
    group: 'device',
    key: 'allowScreenShot',
    value: z.boolean(),
    least: { ios: '4.0', macos: '10.14.4', agent: '2.0' },
    description: 'The screen may be captured and recorded.',
  },
  allowVoiceAssistantWhileLocked: {
    ...restriction,
    group: 'device',
    key: 'allowAssistantWhileLocked',
    value: z.boolean(),
    least: { ios: '5.1' },
    description: 'The voice assistant answers while the device is locked.',
  },
  allowAppInstallation: {
    ...restriction,
    group: 'applications',
    key: 'allowAppInstallation',
    value: z.boolean(),
    least: iosAndAgent,
    description: 'Users may install applications.',
  },
  allowAppRemoval: {
    ...restriction,
    group: 'applications',
    key: 'allowAppRemoval',
    value: z.boolean(),
    least: { ios: '4.2.1', agent: '2.0' },
    description: 'Users may remove applications.',
  },
  allowInAppPurchases: {
    ...restriction,
    group: 'applications',
    key: 'allowInAppPurchases',
    value: z.boolean(),
    least: { ios: '4.0' },
    description: 'Purchases from within applications are allowed.',
  },
  allowCloudBackup: {
    ...restriction,
    group: 'backup',
    key: 'allowCloudBackup',
    value: z.boolean(),
    least: { ios: '5.0' },
    description: 'The device may back itself up to a cloud service.',
  },
  forceEncryptedBackup: {
    ...restriction,
    group: 'backup',
    key: 'forceEncryptedBackup',
    value: z.boolean(),
    least: iosAndAgent,
    description: 'Backups to a computer are encrypted.',
  },
  allowDiagnosticSubmission: {
    ...restriction,
    group: 'security',
    key: 'allowDiagnosticSubmission',
    value: z.boolean(),
    least: { ios: '6.0', macos: '10.13', agent: '3.0' },
    description: 'Diagnostic data may be sent to the vendor.',
  },
  allowUntrustedTlsPrompt: {
    ...restriction,
    group: 'security',
    key: 'allowUntrustedTLSPrompt',
    value: z.boolean(),
    least: { ios: '5.0', agent: '1.0' },
    description: 'Users may accept certificates that are not trusted.',
  },
  allowOpenFromManagedToUnmanaged: {
    ...restriction,
    group: 'security',
    key: 'allowOpenFromManagedToUnmanaged',
    value: z.boolean(),
    least: { ios: '7.0' },
    description: 'Work documents may be opened in private applications.',
  },
  allowBrowser: {
    ...restriction,
    group: 'browser',
    key: 'allowSafari',
    value: z.boolean(),
    least: iosAndAgent,
    description: 'The built-in browser may be used.',
  },
  browserForceFraudWarning: {
    ...restriction,
    group: 'browser',
    key: 'safariForceFraudWarning',
    value: z.boolean(),
    least: { ios: '4.0' },
    description: 'The browser warns of fraudulent sites.',
  },
  allowBiometricUnlock: {
    ...secondSet,
    group: 'security',
    key: 'allowFingerprintForUnlock',
    value: z.boolean(),
    default: true,
    least: { ios: '7.0', macos: '10.12.4', agent: '1.0' },
    description: 'A fingerprint or a face may unlock the device.',
  },
  allowHandoff: {
    ...secondSet,
    group: 'device',
    key: 'allowActivityContinuation',
    value: z.boolean(),
    default: true,
    least: { ios: '8.0', macos: '10.15' },
    description: 'What was begun on one device may be carried on on another of the same user.',
  },
  allowPersonalizedAdvertising: {
    ...secondSet,
    group: 'security',
    key: 'allowApplePersonalizedAdvertising',
    value: z.boolean(),
    default: true,
    least: { ios: '14.0', macos: '12.0' },
    description: 'The vendor’s advertising may be chosen after the user’s behaviour.',
  },
  requireManagedPasteboard: {
    ...secondSet,
    group: 'security',
    key: 'requireManagedPasteboard',
    value: z.boolean(),
    default: false,
    least: { ios: '15.0' },
    description: 'Copying and pasting keeps to what holds for opening work documents in private applications.',
  },
};

/** Features without which a policy may not hold these rules; names of no rule are left to {@link parseRules}. */
export function featuresNeeded(names: readonly string[], table: RuleTable = rules): string[] {
  const needed = names.flatMap((name) => (Object.hasOwn(table, name) ? (table[name]?.feature ?? []) : []));
  return [...new Set(needed)];
}

/**
 * Checks the rules that somebody wants to store in a policy.
 * @throws BrambleError ERR_POLICY_RULE_UNKNOWN where a name stands in no table of this release,
 *   ERR_POLICY_RULE_VALUE where a value is outside what its rule allows.
 */
export function parseRules(input: unknown, table: RuleTable = rules): RuleValues {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new BrambleError(
      'ERR_POLICY_RULE_VALUE',
      'The rules of an IT policy are an object of rule names and values.',
    );
  }
  const result: Record<string, RuleValue> = {};
  for (const [name, value] of Object.entries(input)) {
    const rule = Object.hasOwn(table, name) ? table[name] : undefined;
    if (rule === undefined) {
      throw new BrambleError(
        'ERR_POLICY_RULE_UNKNOWN',
        `There is no IT policy rule "${name}" in this release: "bramble policy rules" lists those there are.`,
        { details: { rule: name } },
      );
    }
    const checked = rule.value.safeParse(value);
    if (!checked.success) {
      const why = checked.error.issues.map((issue) => plainIssue(issue.message)).join('; ');
      throw new BrambleError('ERR_POLICY_RULE_VALUE', `The value of the rule "${name}" ${why}.`, {
        details: { rule: name },
      });
    }
    result[name] = checked.data;
  }
  return result;
}
