/**
 * The coordinator's own loopback REST: pause, resume, reverse, finalize and assignments with the administrators'
 * tokens, while no administration service is running. Its address is in `BRAMBLE_HOME/coordinator.json` and, for the
 * command line, among the addresses that services announce.
 */
import { rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { auditRequests, recordedRequest } from '../../access/audited-request.ts';
import { authenticate } from '../../access/authentication.ts';
import { KnownCredentials } from '../../access/rate-limits.ts';
import { logRefusals } from '../../access/refusal-log.ts';
import { passkeyRoutes } from '../../access/routes/passkeys.ts';
import { sessionRoutes } from '../../access/routes/sessions.ts';
import { signInRoutes } from '../../access/routes/sign-in.ts';
import { cookiesOf } from '../../access/sign-in/cookies.ts';
import type { SignInDesk } from '../../access/sign-in/desk.ts';
import { createPasswords } from '../../access/sign-in/password.ts';
import { BrambleError } from '../../base/errors.ts';
import { masterKeyPath } from '../../component/master-key-ring.ts';
import { announceAddress } from '../../component/service-address.ts';
import type { Database } from '../../database/connection.ts';
import { hasTable } from '../../database/has-table.ts';
import { readMasterKeys } from '../../database/sealed-value.ts';
import { writeWholeFile } from '../../database/whole-file.ts';
import { readDomain } from '../../domain/domain.ts';
import type { Platforms } from '../../platforms/port.ts';
import type { HealthHandler } from '../../process/health.ts';
import type { Feature } from '../../registry/features.ts';
import { ownRelease } from '../../registry/own-release.ts';
import { thisRelease } from '../../release/this-release.ts';
import { closeInOrder } from '../../rest/orderly-close.ts';
import { answerHealthPaths, createRestServer } from '../../rest/rest-server.ts';
import { upgradeRoutes } from '../../upgrade/operations/routes.ts';

interface CoordinatorEndpointOptions {
  db: Database;
  home: string;
  host: string;
  /** Of the component. */
  name: string;
  features: readonly Feature[];
  platforms: Platforms;
  health: HealthHandler;
  log: Record<'error' | 'warn', (fields: object, message: string) => void>;
}

export interface CoordinatorEndpoint {
  url: string;
  /** To be reached over the console's socket too. */
  app: FastifyInstance;
  close(): Promise<void>;
}

const maxBodyBytes = 64 * 1024;

/** Listens on an ephemeral port of 127.0.0.1 and announces it. */
export async function openCoordinatorEndpoint(options: CoordinatorEndpointOptions): Promise<CoordinatorEndpoint> {
  const { db, home, host, name, features, platforms, health } = options;
  const app = createRestServer({
    maxBodyBytes,
    log: options.log,
    release: thisRelease.release,
    // The code that makes a client try the next announced service.
    unknownPath: () =>
      new BrambleError(
        'ERR_RELEASE_FENCED',
        'This is the upgrade coordinator, which serves only /upgrade; no administration service is running at the ' +
          'moment.',
      ),
  });
  answerHealthPaths(app, health);
  const write: SignInDesk['write'] = async (work, as) =>
    (await db.begin((tx) => recordedRequest(tx, work, as))) as Awaited<ReturnType<typeof work>>;
  const desk: SignInDesk = {
    ...{ db, release: ownRelease, service: 'coordinator', component: name, write },
    cookies: cookiesOf((await readDomain(db)).domainId),
    passwords: createPasswords(),
    known: new KnownCredentials(),
    masterKeys: () => readMasterKeys(masterKeyPath(home)),
    note: async (work) => (await db.begin(work)) as Awaited<ReturnType<typeof work>>,
    // It reaches the network for what an upgrade takes, and for nothing else.
    openidProviders: async () => [],
    isOpen: () => hasTable(db, 'administrator_identity'),
  };
  logRefusals(app, options.log);
  authenticate(app, db, desk);
  // Before the expansion its schema has no place for keys; what it does is refused when it was done already.
  auditRequests(app, { component: name, host }, null);
  const routes = upgradeRoutes({
    db,
    home,
    host,
    features,
    platforms,
    write,
    planning: false,
    assignment: true,
  });
  for (const one of [routes, signInRoutes(desk), passkeyRoutes(desk), sessionRoutes(desk)])
    await app.register(one, { prefix: '/api/v1' });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const file = join(home, 'coordinator.json');
  await writeWholeFile(file, `${JSON.stringify({ url })}\n`, 'w');
  const withdraw = await announceAddress(home, name, url);
  return {
    url,
    app,
    close: async () => {
      await withdraw();
      await rm(file, { force: true });
      await closeInOrder(app);
    },
  };
}
