/**
 * Every shape of JSON that one release stores or says and another reads, by where that is. The manifest of a release holds a digest
 * of each, and a patch changes none: processes and supervisors of both releases of a patch run side by side, and write.
 *
 * A shape that is not listed is not compared: whoever adds a setting, a file, a column of JSON or a message adds it here.
 * Columns whose contents no release decides by are named in the test, with why.
 */
import { z } from 'zod';
import { cutShape } from '../src/access/audit/cut.ts';
import { headShape, keyShape } from '../src/access/audit/head-file.ts';
import { rulesShape } from '../src/access/openid/rules.ts';
import { accessFileShape } from '../src/api/access-file.ts';
import { budgetSchema } from '../src/api/budget.ts';
import { retentionSchema } from '../src/api/retention.ts';
import { secondFactorRule } from '../src/api/second-factor.ts';
import { upgradePlanSchema, waveGateShape } from '../src/api/upgrade-plan.ts';
import { homeFilesShape } from '../src/backup/home-files.ts';
import { backupHeadShape, backupManifestShape } from '../src/backup/manifest.ts';
import { profilesShape } from '../src/cli/profiles.ts';
import { serviceAddressShape } from '../src/component/service-address.ts';
import { roleCredentialShape } from '../src/database/roles/role-credentials.ts';
import { masterKeyFile } from '../src/database/sealed-value.ts';
import { deliverySettingsSchema } from '../src/deliveries/delivery-settings.ts';
import { hostSignerShape } from '../src/distribution/host-signer.ts';
import { identitySettingsSchema } from '../src/domain/identity-settings.ts';
import { masterKeySetting } from '../src/domain/master-key.ts';
import { releaseSignerSetting } from '../src/domain/release-signer.ts';
import { restoredSetting } from '../src/domain/restored-domain.ts';
import { verifiedBackupsShape } from '../src/domain/verified-backups.ts';
import { hostKeyShape } from '../src/hosts/host-key.ts';
import { sealedKeyShape } from '../src/hosts/host-master-keys.ts';
import { invitationShape } from '../src/hosts/invitation.ts';
import { joinAnswerShape, joinRequestShape } from '../src/hosts/join-messages.ts';
import { invitationSecretsShape } from '../src/hosts/sealed-invitation.ts';
import { credentialRequestShape, firstCredentialRequestShape } from '../src/instances/credential-requests.ts';
import { credentialShape, routerAddressShape } from '../src/link/credential.ts';
import {
  acceptedShape,
  helloShape,
  outcomeReportShape,
  refusedShape,
  revocationListShape,
  routeAnswersShape,
  routeEnvelopeShape,
  routeQuestionShape,
  routerRegistrationShape,
} from '../src/link/messages.ts';
import { routerFileShape } from '../src/link/router-file.ts';
import { trustStatementShape, trustStatementsShape } from '../src/link/trusted-authorities.ts';
import { webhookShape } from '../src/notices/webhook.ts';
import { storedPushSettingsSchema } from '../src/platforms/apple/push-settings.ts';
import { rules } from '../src/policies/rules.ts';
import {
  adoptableShape,
  adoptedShape,
  refusedShape as handOverRefusedShape,
  handOverShape,
  offeredShape,
  orphanShape,
  socketsShape,
  wantShape,
} from '../src/process/adoption-messages.ts';
import { configurationSchema } from '../src/process/configuration.ts';
import { processEnvironmentShape } from '../src/process/environment.ts';
import { administrationSettings } from '../src/processes/administration/main.ts';
import { wakeChannelSetting } from '../src/processes/administration/wake-channel.ts';
import { connectionServiceSettings } from '../src/processes/connection/main.ts';
import { coordinatorSettings } from '../src/processes/coordinator/main.ts';
import { routerSettingsShape } from '../src/processes/router/main.ts';
import { routerStateShape } from '../src/processes/router/router-state.ts';
import { serverSettings } from '../src/processes/server/main.ts';
import { backupScheduleShape, backupScheduleStateShape } from '../src/processes/supervisor/backup-schedule.ts';
import { lockFileShape } from '../src/processes/supervisor/home-lock.ts';
import { pendingRouterShape } from '../src/processes/supervisor/pending-router.ts';
import { signShape } from '../src/processes/supervisor/process-signs.ts';
import { componentDetailShape } from '../src/registry/component-detail.ts';
import { manifestSchema } from '../src/release/manifest.ts';
import { routerRequestShape } from '../src/routers/router-request.ts';
import { serviceSettings } from '../src/services/services.ts';
import { pendingJoinShape } from '../src/setup/join-domain.ts';
import { rehearsalsShape } from '../src/upgrade/plan/rehearsal-record.ts';
import { upgradeProgressSchema } from '../src/upgrade/state/upgrade-plan.ts';

const linkShapes = {
  ...{ acceptedShape, helloShape, outcomeReportShape, refusedShape, revocationListShape },
  ...{ routeAnswersShape, routeEnvelopeShape, routeQuestionShape, routerRegistrationShape },
  ...{ trustStatementShape, trustStatementsShape },
};
const namedBy = (where: string, shapes: Readonly<Record<string, z.ZodType>>) =>
  Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [`${where} ${name.replace('Shape', '')}`, shape]));
const policyRules = Object.fromEntries(Object.entries(rules).map(([name, { value }]) => [name, value]));

export const storedShapes: Readonly<Record<string, z.ZodType>> = {
  'setting budget': budgetSchema,
  'setting delivery': deliverySettingsSchema,
  'setting device-identity': identitySettingsSchema,
  'setting master-key': masterKeySetting,
  'setting push': storedPushSettingsSchema,
  'setting push-topic': wakeChannelSetting,
  'setting release-signer': releaseSignerSetting,
  'setting retention': retentionSchema,
  'setting restored': restoredSetting,
  'setting second-factor': secondFactorRule,
  'desired_process.settings administration': administrationSettings,
  'component.detail': componentDetailShape,
  'desired_process.settings connection': connectionServiceSettings,
  'desired_process.settings coordinator': coordinatorSettings,
  'desired_process.settings router': routerSettingsShape,
  'desired_process.settings server': serverSettings,
  'it_policy.rules': z.object(policyRules),
  'openid_provider.rules': rulesShape,
  'notice_target.sealed': webhookShape,
  'srp_renewal.routers': z.array(routerAddressShape),
  'service.settings': z.object(serviceSettings),
  'upgrade.plan': upgradePlanSchema,
  'upgrade.progress': upgradeProgressSchema,
  'upgrade_wave.gate': waveGateShape,
  'environment of processes': processEnvironmentShape,
  'file admin.json': accessFileShape,
  'file administration': serviceAddressShape,
  'file audit/cut': z.object({ cut: cutShape }),
  'file audit/head': headShape,
  'file audit/key': keyShape,
  'file backup head': backupHeadShape,
  'file backup home': homeFilesShape,
  'file backup manifest': backupManifestShape,
  'file backup-schedule.json': backupScheduleShape,
  'file backup-schedule-state.json': backupScheduleStateShape,
  'file backup-verified.json': verifiedBackupsShape,
  'file upgrade-rehearsals.json': rehearsalsShape,
  'file config.json': configurationSchema,
  'file credentials': credentialShape,
  'file database': roleCredentialShape,
  'file join.json': pendingJoinShape,
  'file keys/host.json': hostKeyShape,
  'file keys/master.json': masterKeyFile,
  'file profiles.json': profilesShape,
  'file release-signer.json': hostSignerShape,
  'file releases/manifest.json': manifestSchema,
  'file router/request.json': pendingRouterShape,
  'file router/router.json': routerFileShape,
  'file router/state.json': routerStateShape,
  'file run/processes': adoptableShape,
  'file supervisor.lock': lockFileShape,
  ...namedBy('link', linkShapes),
  'link credential request': credentialRequestShape,
  'link first credential request': firstCredentialRequestShape,
  ...namedBy('host', {
    ...{ invitationShape, invitationSecretsShape, joinRequestShape, joinAnswerShape, sealedKeyShape },
  }),
  'router request': routerRequestShape,
  'supervisor signs of processes': signShape,
  ...namedBy('supervisor socket', { adoptedShape, handOverShape, handOverRefusedShape, offeredShape, orphanShape }),
  ...namedBy('supervisor socket', { socketsShape, wantShape }),
};
