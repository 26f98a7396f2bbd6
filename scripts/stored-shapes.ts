/**
 * Every shape of JSON that one release stores and another reads, by where it is stored. The manifest of a release holds a digest
 * of each, and a patch changes none: either release of a patch may run at any time, and write.
 *
 * A shape that is stored and not listed is not compared: whoever adds a setting, a file or a column of JSON adds it here.
 */
import { z } from 'zod';
import { administrationSettings } from '../src/admin/main.ts';
import { headShape, keyShape } from '../src/audit/head-file.ts';
import { connectionServiceSettings } from '../src/connection/main.ts';
import { masterKeyFile } from '../src/database/sealed-value.ts';
import { routersSetting } from '../src/directory/router-addresses.ts';
import { identitySettingsSchema } from '../src/domain/identity-settings.ts';
import { releaseSignerSetting } from '../src/domain/release-signer.ts';
import { credentialShape } from '../src/link/credential.ts';
import { routerFileShape } from '../src/link/router-file.ts';
import { budgetSchema } from '../src/policy/delivery/budget.ts';
import { deliverySettingsSchema } from '../src/policy/delivery/delivery-settings.ts';
import { storedPushSettingsSchema } from '../src/policy/push-settings.ts';
import { pushTopicSetting } from '../src/policy/push-topic.ts';
import { rules } from '../src/policy/rules.ts';
import { serviceSettings } from '../src/policy/services.ts';
import { routerSettingsShape } from '../src/router/main.ts';
import { routerStateShape } from '../src/router/router-state.ts';
import { serverSettings } from '../src/server/main.ts';
import { configurationSchema } from '../src/supervisor/configuration.ts';
import { upgradePlanSchema, upgradeProgressSchema } from '../src/upgrade/upgrade-plan.ts';

const policyRules = Object.fromEntries(Object.entries(rules).map(([name, { value }]) => [name, value]));

export const storedShapes: Readonly<Record<string, z.ZodType>> = {
  'setting budget': budgetSchema,
  'setting delivery': deliverySettingsSchema,
  'setting device-identity': identitySettingsSchema,
  'setting push': storedPushSettingsSchema,
  'setting push-topic': pushTopicSetting,
  'setting release-signer': releaseSignerSetting,
  'setting routers': routersSetting,
  'desired_process.settings administration': administrationSettings,
  'desired_process.settings connection': connectionServiceSettings,
  'desired_process.settings router': routerSettingsShape,
  'desired_process.settings server': serverSettings,
  'it_policy.rules': z.object(policyRules),
  'service.settings': z.object(serviceSettings),
  'upgrade.plan': upgradePlanSchema,
  'upgrade.progress': upgradeProgressSchema,
  'file audit/head': headShape,
  'file audit/key': keyShape,
  'file config.json': configurationSchema,
  'file credentials': credentialShape,
  'file keys/master.json': masterKeyFile,
  'file router/router.json': routerFileShape,
  'file router/state.json': routerStateShape,
};
