/**
 * The administration service's HTTP interface: tokens and sessions, bodies of at most 1 MiB, one error format, OpenAPI, health
 * paths. Invariant: every route except the health paths, the OpenAPI document and those of sign-in requires a token or a session
 * and has a schema.
 */
import type { FastifyInstance } from 'fastify';
import { auditRequests } from '../../access/audited-request.ts';
import { authenticate } from '../../access/authentication.ts';
import { createProviderClient } from '../../access/openid/provider-client.ts';
import type { Rates } from '../../access/rate-limits.ts';
import { logRefusals } from '../../access/refusal-log.ts';
import { passkeyRoutes } from '../../access/routes/passkeys.ts';
import { sessionRoutes } from '../../access/routes/sessions.ts';
import { signInRoutes } from '../../access/routes/sign-in.ts';
import { problem, problemMediaType } from '../../api/shapes.ts';
import { BrambleError } from '../../base/errors.ts';
import type { HealthHandler } from '../../process/health.ts';
import { describeApi } from '../../rest/api-description.ts';
import type { BodyPatience } from '../../rest/body-deadline.ts';
import { answerHealthPaths, createRestServer } from '../../rest/rest-server.ts';
import type { AdministrationContext } from './context.ts';
import { apiRoutes } from './routes/api.ts';
import { openidProviderRoutes } from './routes/openid-providers.ts';
import { openidSignInRoutes } from './routes/openid-sign-in.ts';
import { ownAccessRoutes } from './routes/own-access.ts';
import { ownPasskeyRoutes } from './routes/own-passkeys.ts';
import { ownTotpRoutes } from './routes/own-totp.ts';
import { keepWithinGroups } from './scope.ts';
import { signInDesk } from './sign-in-desk.ts';

const maxBodyBytes = 1024 * 1024;

export interface AdministrationServerOptions {
  context: AdministrationContext;
  /** Answers /healthz, /readyz and /metrics; leaves other paths alone. */
  health?: HealthHandler;
  /** For bodies that never arrive. */
  bodyPatience?: BodyPatience;
  rates?: Rates;
}

/** Builds the server; it does not listen yet. */
export async function administrationServer(options: AdministrationServerOptions): Promise<FastifyInstance> {
  const { context } = options;
  const app = createRestServer({
    maxBodyBytes,
    unknownPath: ({ method, url }) =>
      new BrambleError(
        'ERR_NOT_FOUND',
        `There is nothing at ${method} ${url.slice(0, 200)}. GET /api/v1/openapi.json lists all operations.`,
      ),
    log: context.log,
    release: context.release,
    abilities: ['idempotency-key'],
    ...(options.bodyPatience === undefined ? {} : { bodyPatience: options.bodyPatience }),
  });
  app.addHook('onRoute', (route) => {
    if (route.schema === undefined) return;
    const response = (route.schema.response ?? {}) as Record<string, unknown>;
    const failure = { description: 'Refused or failed.', content: { [problemMediaType]: { schema: problem } } };
    route.schema = { ...route.schema, response: { ...response, '4xx': failure, '5xx': failure } };
  });
  const desk = await signInDesk(context);
  await describeApi(app, context.release, desk.cookies.nameOf('session'));
  if (options.health) answerHealthPaths(app, options.health);
  logRefusals(app, context.log);
  authenticate(app, context.db, desk, options.rates);
  keepWithinGroups(app, context.db);
  auditRequests(app, { component: context.name, host: context.host }, context);
  await app.register(apiRoutes(context), { prefix: '/api/v1' });
  for (const routes of [signInRoutes, sessionRoutes, ownAccessRoutes, ownTotpRoutes, passkeyRoutes, ownPasskeyRoutes])
    await app.register(routes(desk), { prefix: '/api/v1' });
  const openid = createProviderClient({ names: context.names });
  for (const routes of [openidProviderRoutes(context, openid), openidSignInRoutes(desk, openid)])
    await app.register(routes, { prefix: '/api/v1' });
  await app.ready();
  return app;
}
