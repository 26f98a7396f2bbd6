/** The master keys, and their rotation. */
import type { FastifyPluginAsync } from 'fastify';
import { type MasterKeyList, masterKeyOperations } from '../../../api/master-keys.ts';
import { masterKeyPath } from '../../../component/master-key-ring.ts';
import type { Queryable } from '../../../database/connection.ts';
import { readMasterKeys } from '../../../database/sealed-value.ts';
import { recordEvent } from '../../../domain/events.ts';
import { readMasterKeyState } from '../../../domain/master-key.ts';
import { requireFeature } from '../../../registry/features.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';
import {
  assertHostsReport,
  beginRotation,
  processesWithout,
  processesWithRemoved,
  pruneMasterKeys,
  usedKeys,
} from '../master-key-rotation.ts';
import { sealedPlaces } from '../sealed-places.ts';

export function masterKeyRoutes(context: AdministrationContext): FastifyPluginAsync {
  const places = sealedPlaces(context.platforms);

  async function list(q: Queryable): Promise<MasterKeyList> {
    const keyState = await readMasterKeyState(q);
    const { sealing, next, settledAt } = keyState;
    const file = await readMasterKeys(masterKeyPath(context.home));
    const seals = sealing ?? file.current;
    const used = await usedKeys(q, places);
    const waitsFor =
      next !== null
        ? await processesWithout(q, ({ held }) => held.includes(next))
        : sealing !== null && settledAt === null
          ? await processesWithout(q, ({ current }) => current === sealing)
          : await processesWithRemoved(q, keyState);
    const ids = new Set([...file.keys.keys(), ...used.map(({ keyId }) => keyId)]);
    return {
      state: next !== null ? 'begun' : sealing !== null && settledAt === null ? 'chosen' : 'settled',
      ...{ next, waitsFor },
      keys: [...ids].map((id) => {
        const own = used.filter(({ keyId }) => keyId === id);
        return {
          ...{ id, seals: id === seals, inFile: file.keys.has(id) },
          values: own.reduce((sum, { count }) => sum + count, 0),
          places: own.map(({ place, count }) => ({ place, count })),
        };
      }),
    };
  }

  return async (app) => {
    serve(app, masterKeyOperations.list, async () => await list(context.db));

    serve(app, masterKeyOperations.rotate, async ({ administrator, body }) => {
      await write(context, async (tx) => {
        await requireFeature(tx, context.features, 'master-key-rotation', 'Rotating the master key');
        if (!body.silentHosts) await assertHostsReport(tx);
        const key = await beginRotation(tx, context.home, context.masterKeys);
        const message = `${administrator} began to rotate the master key to ${key}`;
        await recordEvent(tx, { kind: 'master-key-rotation', subject: key, message });
      });
      return await list(context.db);
    });

    serve(app, masterKeyOperations.prune, async ({ administrator }) => {
      const removed = await write(context, async (tx) => {
        await requireFeature(tx, context.features, 'master-key-rotation', 'Removing master keys');
        const ids = await pruneMasterKeys(tx, context.home, places);
        const message = `${administrator} removed the master keys that seal nothing: ${ids.join(', ') || 'none'}`;
        await recordEvent(tx, { kind: 'master-keys-pruned', message });
        return ids;
      });
      return { removed, waitsFor: await processesWithRemoved(context.db, await readMasterKeyState(context.db)) };
    });
  };
}
