/**
 * The seven IT policies that every domain starts with. Invariant: seeding never changes an existing policy, so an
 * administrator's changes are kept.
 */
import { newId } from '../base/ids.ts';
import type { Queryable } from '../database/connection.ts';
import { parseRules, type RuleValues } from './rules.ts';

/** The name of the policy that applies to every account, below all others. It cannot be deleted. */
export const defaultPolicyName = 'Default';

const basicPassword: RuleValues = {
  passwordRequired: true,
  passwordMinimumLength: 4,
  passwordAllowSimple: true,
  passwordMaximumFailedAttempts: 10,
  passwordMaximumInactivityMinutes: 15,
};
const mediumPassword: RuleValues = {
  passwordRequired: true,
  passwordMinimumLength: 6,
  passwordAlphanumericRequired: true,
  passwordAllowSimple: false,
  passwordMaximumFailedAttempts: 10,
  passwordMaximumInactivityMinutes: 10,
  passwordHistoryLength: 5,
  passwordMaximumAgeDays: 180,
};
const mediumSecurity: RuleValues = {
  ...mediumPassword,
  allowUntrustedTlsPrompt: false,
  allowOpenFromManagedToUnmanaged: false,
  forceEncryptedBackup: true,
  allowDiagnosticSubmission: false,
};
const advancedSecurity: RuleValues = {
  ...mediumSecurity,
  passwordMinimumLength: 8,
  passwordMinimumComplexCharacters: 1,
  passwordMaximumFailedAttempts: 6,
  passwordMaximumInactivityMinutes: 5,
  passwordMaximumGraceMinutes: 0,
  passwordHistoryLength: 12,
  passwordMaximumAgeDays: 90,
  allowCamera: false,
  allowScreenShot: false,
  allowVoiceAssistantWhileLocked: false,
  allowCloudBackup: false,
};
const noThirdPartyApplications: RuleValues = { allowAppInstallation: false, allowInAppPurchases: false };

/** Policy name -> rules. */
export const preconfiguredPolicies: Readonly<Record<string, RuleValues>> = {
  [defaultPolicyName]: {
    passwordRequired: false,
    allowCamera: true,
    allowScreenShot: true,
    allowAppInstallation: true,
    browserForceFraudWarning: true,
  },
  'Individual-Liable Devices': { ...basicPassword, allowOpenFromManagedToUnmanaged: false, forceEncryptedBackup: true },
  'Basic Password Security': basicPassword,
  'Medium Password Security': mediumPassword,
  'Medium Security with No 3rd Party Applications': { ...mediumSecurity, ...noThirdPartyApplications },
  'Advanced Security': advancedSecurity,
  'Advanced Security with No 3rd Party Applications': { ...advancedSecurity, ...noThirdPartyApplications },
};

/** Inserts missing ones, by name; returns how many. Idempotent. By it_policy_name_key. */
export async function seedPolicies(q: Queryable): Promise<number> {
  let inserted = 0;
  for (const [name, rules] of Object.entries(preconfiguredPolicies)) {
    const result = await q`
      insert into it_policy (id, name, preconfigured, rules)
      values (${newId<string>()}, ${name}, true, ${q.json(parseRules(rules))})
      on conflict (name) do nothing`;
    inserted += result.count;
  }
  return inserted;
}
