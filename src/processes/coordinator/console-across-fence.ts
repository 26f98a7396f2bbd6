/**
 * The console's socket while no administration service of this host is at work: between the end of the one of the release before
 * and the start of the one after, in either direction. The coordinator then answers who upgrades, and how far it is.
 *
 * Invariant: it accepts only while no administration service of the domain's release is registered here. For one look's time both
 * may, and each answers what it can.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { messageOf } from '../../base/errors.ts';
import type { ComponentContext } from '../../component/component-process.ts';
import type { ConsoleCertificate } from '../../component/console-certificate.ts';
import { serveConsole } from '../../component/console-listener.ts';
import type { ConsoleSettings } from '../../process/configuration.ts';
import { lacksAdministration } from '../../registry/absent-administration.ts';
import { consoleFolders } from '../../release/console-folders.ts';
import { createConsoleServer } from '../../rest/console-server.ts';

const lookAgainMs = 250;

/** Until the process is to end. */
export async function serveConsoleAcrossFence(context: ComponentContext<unknown>, app: FastifyInstance): Promise<void> {
  const { db, identity, environment, log, stopping } = context;
  const folders = () => consoleFolders(environment.home);
  const server = ({ names }: ConsoleSettings, certificate: ConsoleCertificate | null) =>
    createConsoleServer({ app, folders, names, certificate, servedBy: 'coordinator' });
  let serving: { end: AbortController; done: Promise<void> } | undefined;
  while (!stopping.aborted) {
    try {
      const entitled = await lacksAdministration(db, identity.host);
      if (entitled && serving === undefined) {
        const end = new AbortController();
        serving = { end, done: serveConsole(context, server, AbortSignal.any([end.signal, stopping])) };
      } else if (!entitled && serving !== undefined) {
        serving.end.abort(new Error('an administration service is at work'));
        await serving.done;
        serving = undefined;
      }
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'cannot see whether an administration service is at work; will look again');
    }
    await delay(lookAgainMs, undefined, { signal: stopping }).catch(() => undefined);
  }
  await serving?.done;
}
