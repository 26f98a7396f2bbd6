/** Administration services: several may be at work, on any host that may run them. */
import type { FastifyPluginAsync } from 'fastify';
import { administrationServiceOperations } from '../../../api/administration-services.ts';
import { BrambleError } from '../../../base/errors.ts';
import { notFound } from '../../../base/not-found.ts';
import type { Transaction } from '../../../database/connection.ts';
import { readDomain } from '../../../domain/domain.ts';
import { recordEvent } from '../../../domain/events.ts';
import { listHosts } from '../../../hosts/hosts.ts';
import { listComponents } from '../../../registry/components.ts';
import { listDesiredProcesses, lockDesiredProcesses, setDesiredProcess } from '../../../registry/desired-processes.ts';
import { forgetProcesses } from '../../../registry/process-removal.ts';
import { serve } from '../../../rest/serve.ts';
import { lockOpenUpgrade, readOpenUpgrade } from '../../../upgrade/state/upgrade-store.ts';
import { type AdministrationContext, write } from '../context.ts';
import { assertNameUnused, assertUsable } from '../new-component.ts';

export function administrationServiceRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, administrationServiceOperations.add, async ({ body, administrator }) => {
      const { name, host = context.host } = body;
      return await write(context, async (tx) => {
        await assertNotHandedOver(tx, name);
        await assertNameUnused(tx, name);
        await assertUsable(context, tx, host);
        const joined = (await listHosts(tx)).find((one) => one.name === host);
        if (joined?.administers === false) {
          throw new BrambleError(
            'ERR_CONFLICT',
            `The host ${host} was invited without the database roles of administration services. Remove it and invite it ` +
              'again with `bramble host invite --administration`, or choose another host.',
          );
        }
        const { release } = await readDomain(tx);
        await setDesiredProcess(tx, { name, kind: 'administration', host, release, state: 'running', settings: {} });
        await recordEvent(tx, {
          kind: 'administration-added',
          subject: name,
          message: `${administrator} added ${name} on ${host}`,
        });
        return { name, host };
      });
    });

    serve(app, administrationServiceOperations.remove, async ({ params: { name }, administrator }) => {
      await write(context, async (tx) => {
        await lockDesiredProcesses(tx, 'administration');
        const all = (await listDesiredProcesses(tx)).filter(({ kind }) => kind === 'administration');
        if (!all.some((process) => process.name === name)) throw notFound('administration service', name);
        if (all.length === 1) {
          throw new BrambleError('ERR_CONFLICT', `${name} is the only administration service. Add another one first.`);
        }
        const atWork = (await listComponents(tx)).filter(({ kind, alive }) => kind === 'administration' && alive);
        if (atWork.length === 1 && atWork[0]?.name === name) {
          throw new BrambleError(
            'ERR_CONFLICT',
            `${name} is the only administration service at work. Wait until \`bramble status\` shows another one running.`,
          );
        }
        if ((await readOpenUpgrade(tx)) !== undefined) {
          throw new BrambleError(
            'ERR_CONFLICT',
            `${name} is part of the upgrade that is under way. Remove it once the upgrade is finalized or reversed.`,
          );
        }
        await forgetProcesses(tx, [name]);
        await recordEvent(tx, {
          kind: 'administration-removed',
          subject: name,
          message: `${administrator} removed ${name}`,
        });
      });
    });
  };
}

/** An upgrade that stops all administration services has noted which these are, and would neither stop nor start this one. */
async function assertNotHandedOver(tx: Transaction, name: string): Promise<void> {
  const step = (await lockOpenUpgrade(tx))?.progress.step;
  if (step?.at !== 'administrations-stopped') return;
  throw new BrambleError(
    'ERR_CONFLICT',
    `${name} is not added while an upgrade hands the administration over. Add it once \`bramble upgrade status\` shows that new instances ` +
      'are added.',
  );
}
