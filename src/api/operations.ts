/** Every operation of the administration, by resource. */
import { accountOperations } from './accounts.ts';
import { administrationServiceOperations } from './administration-services.ts';
import { administratorOperations } from './administrators.ts';
import { auditOperations } from './audit.ts';
import { authorityOperations } from './authorities.ts';
import { componentOperations } from './components.ts';
import { connectionServiceOperations } from './connection-services.ts';
import { deliveryOperations } from './deliveries.ts';
import { deviceCommandOperations } from './device-commands.ts';
import { deviceOperations } from './devices.ts';
import { domainOperations } from './domain.ts';
import { figureOperations } from './figures.ts';
import { groupOperations } from './groups.ts';
import { hostOperations } from './hosts.ts';
import { instanceOperations } from './instances.ts';
import { itPolicyOperations } from './it-policies.ts';
import { masterKeyOperations } from './master-keys.ts';
import { moveOperations } from './moves.ts';
import { noticeOperations } from './notices.ts';
import { openidOperations } from './openid.ts';
import { openidProviderOperations } from './openid-providers.ts';
import type { Operations } from './operation.ts';
import { passkeyOperations } from './passkeys.ts';
import { pushOperations } from './push.ts';
import { releaseSignerOperations } from './release-signer.ts';
import { retentionOperations } from './retention.ts';
import { roleOperations } from './roles.ts';
import { routerOperations } from './routers.ts';
import { searchOperations } from './search.ts';
import { secondFactorOperations } from './second-factor.ts';
import { serviceOperations } from './services.ts';
import { signInOperations } from './sign-in.ts';
import { srpCredentialOperations } from './srp-credentials.ts';
import { tokenOperations } from './tokens.ts';
import { upgradeOperations } from './upgrade.ts';
import { upgradeEffectOperations } from './upgrade-effects.ts';

export const resources = {
  accounts: accountOperations,
  administrationServices: administrationServiceOperations,
  administrators: administratorOperations,
  audit: auditOperations,
  authorities: authorityOperations,
  components: componentOperations,
  connectionServices: connectionServiceOperations,
  deliveries: deliveryOperations,
  deviceCommands: deviceCommandOperations,
  devices: deviceOperations,
  domain: domainOperations,
  figures: figureOperations,
  groups: groupOperations,
  hosts: hostOperations,
  instances: instanceOperations,
  itPolicies: itPolicyOperations,
  masterKeys: masterKeyOperations,
  moves: moveOperations,
  notices: noticeOperations,
  openid: openidOperations,
  openidProviders: openidProviderOperations,
  passkeys: passkeyOperations,
  push: pushOperations,
  releaseSigner: releaseSignerOperations,
  retention: retentionOperations,
  roles: roleOperations,
  routers: routerOperations,
  search: searchOperations,
  secondFactor: secondFactorOperations,
  services: serviceOperations,
  signIn: signInOperations,
  srpCredentials: srpCredentialOperations,
  tokens: tokenOperations,
  upgrade: upgradeOperations,
  upgradeEffects: upgradeEffectOperations,
} as const satisfies Record<string, Operations>;
