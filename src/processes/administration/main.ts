/**
 * The administration service: REST under /api/v1 on 127.0.0.1, and a runner of account moves. It works only on a domain
 * of exactly its own release; when the domain leaves that release, it drains and exits with an error that says so.
 */

import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import * as z from 'zod';
import { runSealer } from '../../access/audit/sealer.ts';
import { systemClock } from '../../base/clock.ts';
import { BrambleError, messageOf } from '../../base/errors.ts';
import { createNameLookups, type NameLookups } from '../../base/name-lookups.ts';
import {
  type ComponentContext,
  componentProcess,
  type Listening,
  type Work,
} from '../../component/component-process.ts';
import type { ConsoleCertificate } from '../../component/console-certificate.ts';
import { serveConsole } from '../../component/console-listener.ts';
import { type MasterKeyRing, openMasterKeyRing } from '../../component/master-key-ring.ts';
import { announceAddress } from '../../component/service-address.ts';
import { moveDeliveries } from '../../deliveries/move-deliveries.ts';
import { recordEvent } from '../../domain/events.ts';
import { offeredMasterKey } from '../../hosts/host-master-keys.ts';
import { runMoves } from '../../moves/move-runner.ts';
import { backupLook } from '../../notices/backup-look.ts';
import { clockLook } from '../../notices/clock-look.ts';
import { deliverNotices } from '../../notices/delivery.ts';
import { hostLook } from '../../notices/host-look.ts';
import { lookOut } from '../../notices/look-out.ts';
import { teller } from '../../notices/tell.ts';
import { endedFenceLook, upgradeLook } from '../../notices/upgrade-look.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import type { ConsoleSettings } from '../../process/configuration.ts';
import { healthHandler } from '../../process/health.ts';
import { recordsChanges } from '../../registry/component-detail.ts';
import { poolSize } from '../../registry/database-sessions.ts';
import { ownFeatures, ownRelease } from '../../registry/own-release.ts';
import { consoleFolders } from '../../release/console-folders.ts';
import { createConsoleServer } from '../../rest/console-server.ts';
import { closeInOrder } from '../../rest/orderly-close.ts';
import { heldUpgrade } from '../../upgrade/waves/schedule.ts';
import { administrationServer } from './administration-server.ts';
import { certificateLooks } from './certificate-looks.ts';
import { createCertificateUpkeep } from './certificate-upkeep.ts';
import { keepSigning } from './domain-signing.ts';
import { createFigureUpkeep } from './figure-upkeep.ts';
import { keepAnsweringHosts } from './host-joins.ts';
import { watchJoiningSessions } from './joining-sessions.ts';
import { keepRotating } from './master-key-rotation.ts';
import { createRetentionUpkeep } from './retention-upkeep.ts';
import { sealedPlaces } from './sealed-places.ts';

/** BRAMBLE_SETTINGS of an administration service. */
export const administrationSettings = z.object({
  /** On 127.0.0.1; 0 means any free one. */
  port: z.number().int().min(0).max(65_535).default(0),
});
type Context = ComponentContext<z.output<typeof administrationSettings>>;

/** Runs until asked to end. @throws BrambleError as {@link componentProcess}. */
export async function runAdministration(): Promise<void> {
  const names = createNameLookups();
  let opened: Promise<MasterKeyRing> | undefined;
  const ringOf = async ({ db, log, environment, identity }: Context): Promise<MasterKeyRing> => {
    opened ??= openMasterKeyRing({
      ...{ db, home: environment.home, log },
      offered: (keyId) => offeredMasterKey(db, { home: environment.home, host: identity.host, keyId }),
    });
    return await opened;
  };
  let built: Promise<FastifyInstance> | undefined;
  const appOf = async (context: Context): Promise<FastifyInstance> => {
    built ??= restServer(context, await ringOf(context), names);
    return await built;
  };
  await componentProcess({
    kind: 'administration',
    settings: administrationSettings,
    maxConnections: poolSize.administration,
    listen: async (context) => await listenForAdministrators(context, await appOf(context)),
    work: async (context) => {
      const [ring, app] = [await ringOf(context), await appOf(context)];
      const server = consoleServer(context, app);
      const console = serveConsole(context, server, context.stopping, { tell: tellUnserved(context) });
      const work = await workUntilStopped(context, ring, names);
      return { ...work, drain: async () => void (await Promise.all([console, work.drain()])) };
    },
  });
}

function consoleServer({ environment }: Context, app: FastifyInstance) {
  const folders = () => consoleFolders(environment.home);
  return ({ names }: ConsoleSettings, certificate: ConsoleCertificate | null) =>
    createConsoleServer({ app, folders, names, certificate, servedBy: 'administration' });
}

/** Under a supervisor of 1.4 nobody else says it. */
function tellUnserved({ db, identity: { name, host }, log }: Context) {
  return (reason: string): void => {
    const message =
      `${name} does not answer at the console's address on ${host}; everything else works: ${reason}. Free the port, or ` +
      "choose another as console.port in the home's config.json";
    void recordEvent(db, { kind: 'console-not-served', subject: name, message }).catch((error: unknown) =>
      log.warn({ error: messageOf(error) }, 'the event was not recorded'),
    );
  };
}

async function restServer(context: Context, masterKeys: MasterKeyRing, names: NameLookups): Promise<FastifyInstance> {
  return await administrationServer({
    context: {
      db: context.db,
      name: context.identity.name,
      release: ownRelease,
      features: ownFeatures,
      platforms: registeredPlatforms,
      host: context.identity.host,
      home: context.environment.home,
      masterKeys,
      names,
      log: context.log,
      stopping: context.stopping,
    },
    health: healthHandler(context),
  });
}

async function listenForAdministrators({ environment }: Context, app: FastifyInstance): Promise<Listening> {
  await listenOn(app, environment.settings.port);
  const { port } = app.server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const withdraw = await announceAddress(environment.home, environment.name, url);
  return {
    url,
    close: async () => {
      await withdraw();
      await closeInOrder(app);
    },
  };
}

/** A predecessor on the same port may still be draining: retried for some seconds, every 250 ms. */
async function listenOn(
  app: { listen(options: { host: string; port: number }): Promise<string> },
  port: number,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await app.listen({ host: '127.0.0.1', port });
      return;
    } catch (cause) {
      const inUse = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (!inUse) throw cause;
      if (attempt >= 20) {
        throw new BrambleError(
          'ERR_PORT_IN_USE',
          `Port ${port} of 127.0.0.1 is in use by another program. Set another port for the administration service, ` +
            'or 0 for any.',
          { cause },
        );
      }
      await delay(250);
    }
  }
}

async function workUntilStopped(context: Context, masterKeys: MasterKeyRing, names: NameLookups): Promise<Work> {
  const { db, log, identity, environment, stopping, fail } = context;
  const sealing = runSealer({ db, home: environment.home, log, signal: stopping });
  const { home } = environment;
  const signing = keepSigning({ db, release: ownRelease, home, masterKeys, log }, systemClock, stopping);
  const { name, host } = identity;
  const joining = keepAnsweringHosts(
    { db, release: ownRelease, name, host, home, masterKeys, log },
    systemClock,
    stopping,
  );
  const watching = watchJoiningSessions({ db, log }, systemClock, stopping);
  const certificates = createCertificateUpkeep({
    ...{ db, release: ownRelease, name, home, host, masterKeys, clock: systemClock, log },
  }).run(stopping);
  const telling = deliverNotices({
    ...{ db, release: ownRelease, log, signal: stopping },
    tell: teller({ db, masterKeys, names }),
  });
  const looking = lookOut({
    ...{ db, release: ownRelease, log, signal: stopping },
    looks: [
      ...[hostLook(db), clockLook(db), upgradeLook(db), endedFenceLook(db), backupLook(db)],
      ...certificateLooks(
        { db, home: environment.home, host: identity.host, platforms: registeredPlatforms, masterKeys },
        systemClock,
      ),
    ],
  });
  const removing = createRetentionUpkeep({
    ...{ db, release: ownRelease, name: identity.name, home: environment.home, clock: systemClock, log },
  }).run(stopping);
  const counting = createFigureUpkeep({ db, release: ownRelease, clock: systemClock, log }).run(stopping);
  const following = masterKeys.run(stopping);
  const rotating = keepRotating(
    {
      ...{ db, release: ownRelease, name: identity.name, home: environment.home, ring: masterKeys, log },
      places: sealedPlaces(registeredPlatforms),
    },
    stopping,
  );
  const moving = runMoves({
    db,
    release: ownRelease,
    name: identity.name,
    log,
    signal: stopping,
    heldUpgrade,
    ...moveDeliveries(registeredPlatforms),
  }).catch((error: unknown) => {
    log.error({ error: messageOf(error) }, 'the move runner ended');
    fail(error);
  });
  return {
    detail: () => ({ [recordsChanges]: true, ...masterKeys.detail() }),
    drain: async () =>
      void (await Promise.all([
        moving,
        sealing,
        signing,
        joining,
        watching,
        certificates,
        removing,
        counting,
        telling,
        looking,
        following,
        rotating,
      ])),
  };
}
