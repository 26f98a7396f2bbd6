/**
 * The rules an IT policy can hold: data, one row each. A later release adds rows, nothing else. Each platform defines
 * what a rule becomes on a device, and which devices support it. Invariant: a rule's name and meaning never change once
 * a release with it is sealed, because stored policies use them. A rule with a `default` is compiled for every policy,
 * even one stored before the rule existed; a rule without one is compiled only if a policy sets it.
 */
import * as z from 'zod';
import { BrambleError } from '../base/errors.ts';
import { plainIssue } from '../base/plain-issue.ts';

export type RuleValue = boolean | number | string;
/** Rule name -> value: what a policy sets, and the result of merging policies. */
export type RuleValues = Readonly<Record<string, RuleValue>>;

type RuleGroup = 'password' | 'device' | 'security' | 'camera' | 'applications' | 'backup' | 'browser';

export interface Rule {
  readonly group: RuleGroup;
  readonly description: string;
  readonly value: z.ZodType<RuleValue>;
  /** Between groups the one with the better rank wins, rule by rule: the only combination so far. */
  readonly combination: 'rank';
  /** Compiled if no policy sets the rule: the device's usual behaviour, so that an upgrade takes nothing away. */
  readonly default?: RuleValue;
  /** The feature required for setting the rule, since an earlier release could not read it. */
  readonly feature?: string;
}

/** Rule name -> rule. */
export type RuleTable = Readonly<Record<string, Rule>>;

const password = { group: 'password', combination: 'rank' } as const;
const ranked = { combination: 'rank' } as const;
/** The rules introduced by 1.1. */
const secondSet = { ...ranked, feature: 'it-policy-rules-2' } as const;
const whole = (least: number, most: number) => z.number().int().min(least).max(most);

/** The rules of this release. */
export const rules: RuleTable = {
  passwordRequired: { ...password, value: z.boolean(), description: 'A password must be set.' },
  passwordMinimumLength: { ...password, value: whole(0, 16), description: 'Minimum number of characters.' },
  passwordAlphanumericRequired: { ...password, value: z.boolean(), description: 'At least one letter and one digit.' },
  passwordMinimumComplexCharacters: {
    ...password,
    value: whole(0, 4),
    description: 'Minimum number of characters that are neither letters nor digits.',
  },
  passwordAllowSimple: {
    ...password,
    value: z.boolean(),
    description: 'Repeated, ascending and descending sequences are allowed.',
  },
  passwordMaximumFailedAttempts: {
    ...password,
    value: whole(2, 11),
    description: 'Failed attempts before the device is wiped (a computer is locked).',
  },
  passwordMaximumInactivityMinutes: {
    ...password,
    value: whole(0, 15),
    description: 'Minutes of inactivity before the device locks; 0 means never.',
  },
  passwordMaximumGraceMinutes: {
    ...password,
    value: whole(0, 240),
    description: 'Minutes after locking during which no password is required.',
  },
  passwordHistoryLength: {
    ...password,
    value: whole(1, 50),
    description: 'Number of earlier passwords that must not be used again.',
  },
  passwordMaximumAgeDays: {
    ...password,
    value: whole(1, 730),
    description: 'Days until the password must be changed.',
  },
  allowCamera: { ...ranked, group: 'camera', value: z.boolean(), description: 'The camera may be used.' },
  allowVideoConferencing: { ...ranked, group: 'camera', value: z.boolean(), description: 'Video calls may be made.' },
  allowScreenShot: {
    ...ranked,
    group: 'device',
    value: z.boolean(),
    description: 'The screen may be captured and recorded.',
  },
  allowVoiceAssistantWhileLocked: {
    ...ranked,
    group: 'device',
    value: z.boolean(),
    description: 'The voice assistant answers while the device is locked.',
  },
  allowAppInstallation: {
    ...ranked,
    group: 'applications',
    value: z.boolean(),
    description: 'Users may install applications.',
  },
  allowAppRemoval: {
    ...ranked,
    group: 'applications',
    value: z.boolean(),
    description: 'Users may remove applications.',
  },
  allowInAppPurchases: {
    ...ranked,
    group: 'applications',
    value: z.boolean(),
    description: 'In-app purchases are allowed.',
  },
  allowCloudBackup: {
    ...ranked,
    group: 'backup',
    value: z.boolean(),
    description: 'The device may back itself up to a cloud service.',
  },
  forceEncryptedBackup: {
    ...ranked,
    group: 'backup',
    value: z.boolean(),
    description: 'Backups to a computer are encrypted.',
  },
  allowDiagnosticSubmission: {
    ...ranked,
    group: 'security',
    value: z.boolean(),
    description: 'Diagnostic data may be sent to the vendor.',
  },
  allowUntrustedTlsPrompt: {
    ...ranked,
    group: 'security',
    value: z.boolean(),
    description: 'Users may accept certificates that are not trusted.',
  },
  allowOpenFromManagedToUnmanaged: {
    ...ranked,
    group: 'security',
    value: z.boolean(),
    description: 'Work documents may be opened in private applications.',
  },
  allowBrowser: { ...ranked, group: 'browser', value: z.boolean(), description: 'The built-in browser may be used.' },
  browserForceFraudWarning: {
    ...ranked,
    group: 'browser',
    value: z.boolean(),
    description: 'The browser warns about fraudulent sites.',
  },
  allowBiometricUnlock: {
    ...secondSet,
    group: 'security',
    value: z.boolean(),
    default: true,
    description: 'A fingerprint or a face may unlock the device.',
  },
  allowHandoff: {
    ...secondSet,
    group: 'device',
    value: z.boolean(),
    default: true,
    description: 'Activities started on one device may be continued on another device of the same user.',
  },
  allowPersonalizedAdvertising: {
    ...secondSet,
    group: 'security',
    value: z.boolean(),
    default: true,
    description: 'The vendor’s advertising may be personalised.',
  },
  requireManagedPasteboard: {
    ...secondSet,
    group: 'security',
    value: z.boolean(),
    default: false,
    description: 'Copying and pasting follows the rules for opening work documents in private applications.',
  },
};

/** Features required for a policy with these rules; unknown names are left to {@link parseRules}. */
export function featuresNeeded(names: readonly string[], table: RuleTable = rules): string[] {
  const needed = names.flatMap((name) => (Object.hasOwn(table, name) ? (table[name]?.feature ?? []) : []));
  return [...new Set(needed)];
}

/**
 * Checks rules before they are stored in a policy.
 * @throws BrambleError ERR_POLICY_RULE_UNKNOWN if this release does not know a name, ERR_POLICY_RULE_VALUE if a value
 * is outside what its rule allows.
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
        `There is no IT policy rule "${name}" in this release: "bramble policy rules" lists all rules.`,
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
