/**
 * The upgrade coordinator as a process: it belongs to the target release, is a registered component, steps the upgrade
 * while it holds the lease, runs account moves alongside, and takes operators' commands on loopback. If it is killed
 * anywhere, the next one continues from the row.
 */
import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { runSealer } from '../../access/audit/sealer.ts';
import { isBrambleError, messageOf } from '../../base/errors.ts';
import { createNameLookups } from '../../base/name-lookups.ts';
import { type ComponentContext, componentProcess, type Work } from '../../component/component-process.ts';
import { openMasterKeyRing } from '../../component/master-key-ring.ts';
import { applicationName } from '../../database/connection.ts';
import { moveDeliveries } from '../../deliveries/move-deliveries.ts';
import { readDomain } from '../../domain/domain.ts';
import { offeredMasterKey } from '../../hosts/host-master-keys.ts';
import { runMoves } from '../../moves/move-runner.ts';
import { backupLook } from '../../notices/backup-look.ts';
import { clockLook } from '../../notices/clock-look.ts';
import { deliverNotices } from '../../notices/delivery.ts';
import { hostLook } from '../../notices/host-look.ts';
import { lookOut } from '../../notices/look-out.ts';
import { teller } from '../../notices/tell.ts';
import { upgradeLook } from '../../notices/upgrade-look.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { healthHandler } from '../../process/health.ts';
import { poolSize } from '../../registry/database-sessions.ts';
import { ownRelease } from '../../registry/own-release.ts';
import { migrationFolder } from '../../release/program.ts';
import { featureList } from '../../upgrade/plan/feature-list.ts';
import { leaseHolderOf, releaseDeadHolder } from '../../upgrade/state/lease-holder.ts';
import { domainEffects } from '../../upgrade/steps/domain-effects.ts';
import { heldUpgrade } from '../../upgrade/waves/schedule.ts';
import { serveConsoleAcrossFence } from './console-across-fence.ts';
import { runSteps } from './coordinator.ts';
import { type CoordinatorEndpoint, openCoordinatorEndpoint } from './coordinator-endpoint.ts';
import { fenceLook } from './fence-look.ts';

export const coordinatorSettings = z.looseObject({
  /** Milliseconds between two polls of the upgrade while it waits. */
  intervalMs: z.number().int().min(10).max(60_000).default(250),
});
type Context = ComponentContext<z.output<typeof coordinatorSettings>>;

/** Runs until asked to end. @throws BrambleError as {@link componentProcess}. */
export async function runCoordinator(): Promise<void> {
  let endpoint: CoordinatorEndpoint | undefined;
  await componentProcess({
    kind: 'coordinator',
    settings: coordinatorSettings,
    maxConnections: poolSize.coordinator,
    listen: async (context) => {
      endpoint = await openCoordinatorEndpoint({
        db: context.db,
        home: context.environment.home,
        host: context.identity.host,
        name: context.identity.name,
        features: featureList,
        platforms: registeredPlatforms,
        health: healthHandler(context),
        log: context.log,
      });
      return endpoint;
    },
    work: async (context) => {
      const work = await coordinate(context);
      const console = endpoint === undefined ? undefined : serveConsoleAcrossFence(context, endpoint.app);
      return { ...work, drain: async () => void (await Promise.all([console, work.drain()])) };
    },
  });
}

async function coordinate(context: Context): Promise<Work> {
  const { db, log, identity, environment, databaseUrl, stopping } = context;
  const masterKeys = await openMasterKeyRing({
    ...{ db, home: environment.home, log },
    offered: (keyId) => offeredMasterKey(db, { home: environment.home, host: identity.host, keyId }),
  });
  const effects = domainEffects({
    db,
    databaseUrl,
    home: environment.home,
    host: identity.host,
    release: ownRelease,
    migrations: migrationFolder(),
    applicationName: applicationName('coordinator', identity.name, identity.host, identity.processId),
    masterKeys,
  });
  await releaseDeadHolder(db, identity);
  const fence = fenceLook(ownRelease);
  const stepping = runSteps({
    db,
    stepped: fence.stepped,
    release: ownRelease,
    name: identity.name,
    host: identity.host,
    holder: leaseHolderOf(identity),
    effects,
    signal: stopping,
    intervalMs: environment.settings.intervalMs,
    log,
  });
  const moving = moveWhileOwnRelease(context);
  const sealing = runSealer({ db, home: environment.home, log, signal: stopping });
  // No administration service is at work while the domain is handed over.
  const telling = deliverNotices({
    db,
    tell: teller({ db, masterKeys, names: createNameLookups() }),
    log,
    signal: stopping,
  });
  const looking = lookOut({
    db,
    looks: [hostLook(db), clockLook(db), upgradeLook(db), backupLook(db), fence.look],
    log,
    signal: stopping,
  });
  const following = masterKeys.run(stopping);
  return {
    detail: () => masterKeys.detail(),
    drain: async () => void (await Promise.all([stepping, moving, sealing, telling, looking, following])),
  };
}

const lookAgainMs = 500;

/**
 * Runs account moves while the domain is of this release: between the fence and its reverse. Outside of that it only
 * reads, so that the fence never meets a transaction of the coordinator.
 */
async function moveWhileOwnRelease({ db, log, identity, stopping }: Context): Promise<void> {
  while (!stopping.aborted) {
    try {
      if ((await readDomain(db)).release === ownRelease) {
        await runMoves({
          db,
          release: ownRelease,
          name: identity.name,
          log,
          signal: stopping,
          heldUpgrade,
          ...moveDeliveries(registeredPlatforms),
        });
      }
    } catch (error) {
      const fenced = isBrambleError(error, 'ERR_RELEASE_FENCED');
      if (!fenced) log.warn({ error: messageOf(error) }, 'moving was interrupted; will retry');
    }
    await delay(lookAgainMs, undefined, { signal: stopping }).catch(() => {});
  }
}
