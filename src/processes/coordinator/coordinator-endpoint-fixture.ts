/** For tests: the coordinator's REST without a coordinator at work behind it, and an upgrade that it answers for. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Database } from '../../database/connection.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import type { HealthHandler } from '../../process/health.ts';
import { startUpgrade, writePlan } from '../../upgrade/operations/operator-actions.ts';
import { openCoordinatorEndpoint } from './coordinator-endpoint.ts';

/** With a home of its own, which is removed when it is closed. */
export async function startCoordinatorEndpoint(db: Database, health: HealthHandler = () => false) {
  const home = await mkdtemp(join(tmpdir(), 'bramble-coordinator-'));
  const endpoint = await openCoordinatorEndpoint({
    ...{ db, home, host: 'here', name: 'upgrade-coordinator', features: [], platforms: registeredPlatforms, health },
    log: { error: () => undefined, warn: () => undefined },
  });
  return {
    url: endpoint.url,
    home,
    close: async () => {
      await endpoint.close();
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** Plans an upgrade and starts it, by ada. */
export async function startTestUpgrade(db: Database, release = '1.1.0'): Promise<void> {
  const target = { release, features: [], differences: [] };
  await db.begin(async (tx) => {
    await writePlan(tx, { by: 'ada', target, host: 'here', features: [], platforms: registeredPlatforms });
    await startUpgrade(tx, { by: 'ada', host: 'here' });
  });
}
