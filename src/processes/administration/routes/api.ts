/** All routes under /api/v1, and their description. */
import type { FastifyPluginAsync } from 'fastify';
import { domainOperations } from '../../../api/domain.ts';
import type { AnswerOf } from '../../../api/operation.ts';
import { serve } from '../../../rest/serve.ts';
import { upgradeRoutes } from '../../../upgrade/operations/routes.ts';
import { type AdministrationContext, write } from '../context.ts';
import { accountRoutes } from './accounts.ts';
import { administrationServiceRoutes } from './administration-services.ts';
import { administratorAccessRoutes } from './administrator-access.ts';
import { administratorRoutes } from './administrators.ts';
import { auditRoutes } from './audit.ts';
import { authorityRoutes } from './authorities.ts';
import { componentRoutes } from './components.ts';
import { connectionServiceRoutes } from './connection-services.ts';
import { deliveryRoutes } from './deliveries.ts';
import { deviceCommandRoutes } from './device-commands.ts';
import { deviceRemovalRoutes } from './device-removal.ts';
import { deviceRoutes } from './devices.ts';
import { domainRoutes } from './domain.ts';
import { eventRoutes } from './events.ts';
import { figureRoutes } from './figures.ts';
import { groupRoutes } from './groups.ts';
import { hostRoutes } from './hosts.ts';
import { instanceRoutes } from './instances.ts';
import { mailServerRoutes } from './mail-server.ts';
import { masterKeyRoutes } from './master-keys.ts';
import { moveControlRoutes, moveRoutes } from './moves.ts';
import { noticeRoutes } from './notices.ts';
import { policyAssignmentRoutes, policyRoutes } from './policies.ts';
import { policyRuleRoutes } from './policy-rules.ts';
import { pushRoutes } from './push.ts';
import { releaseSignerRoutes } from './release-signer.ts';
import { retentionRoutes } from './retention.ts';
import { roleRoutes } from './roles.ts';
import { routerRoutes } from './routers.ts';
import { searchRoutes } from './search.ts';
import { secondFactorRoutes } from './second-factor.ts';
import { serviceRoutes } from './services.ts';
import { srpCredentialRoutes } from './srp-credentials.ts';
import { tlsIdentityRoutes } from './tls-identities.ts';
import { tokenRoutes } from './tokens.ts';
import { cancelRoutes, requeueRoutes } from './unsettled-commands.ts';

const resources = [
  domainRoutes,
  eventRoutes,
  figureRoutes,
  pushRoutes,
  accountRoutes,
  groupRoutes,
  policyRoutes,
  policyRuleRoutes,
  policyAssignmentRoutes,
  serviceRoutes,
  deviceRoutes,
  searchRoutes,
  deviceRemovalRoutes,
  tlsIdentityRoutes,
  deviceCommandRoutes,
  cancelRoutes,
  requeueRoutes,
  administrationServiceRoutes,
  hostRoutes,
  instanceRoutes,
  connectionServiceRoutes,
  routerRoutes,
  srpCredentialRoutes,
  componentRoutes,
  deliveryRoutes,
  moveRoutes,
  moveControlRoutes,
  releaseSignerRoutes,
  upgradePlugin,
  noticeRoutes,
  mailServerRoutes,
  tokenRoutes,
  roleRoutes,
  administratorRoutes,
  administratorAccessRoutes,
  secondFactorRoutes,
  auditRoutes,
  retentionRoutes,
  masterKeyRoutes,
  authorityRoutes,
];

export function apiRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    for (const routes of resources) await app.register(routes(context));
    let text: string | undefined;
    serve(app, domainOperations.describe, async (_request, reply) => {
      const description = app.swagger() as AnswerOf<typeof domainOperations.describe>;
      // It never changes, is large, and anybody may ask for it.
      text ??= JSON.stringify(description);
      const written = text;
      reply.type('application/json; charset=utf-8').serializer(() => written);
      return description;
    });
  };
}

/** The upgrade's routes are shared with the coordinator; here they write under the release lock. */
function upgradePlugin(context: AdministrationContext): FastifyPluginAsync {
  const { db, home, host, features, platforms } = context;
  return upgradeRoutes({
    db,
    home,
    host,
    features,
    platforms,
    write: (work) => write(context, work),
    planning: true,
    assignment: true,
  });
}
