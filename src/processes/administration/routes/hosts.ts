/** Hosts: invited, joined, drained, removed. */
import type { FastifyPluginAsync } from 'fastify';
import { type HostView, hostOperations } from '../../../api/hosts.ts';
import { BrambleError } from '../../../base/errors.ts';
import { notFound } from '../../../base/not-found.ts';
import { forgetReports } from '../../../distribution/release-report-removal.ts';
import { recordEvent } from '../../../domain/events.ts';
import { readRestored } from '../../../domain/restored-domain.ts';
import { listInvitations, removeHost, setDraining } from '../../../hosts/host-store.ts';
import { listHosts, lockHost } from '../../../hosts/hosts.ts';
import { closeJoiningUnlessInvited, lockInvitations } from '../../../hosts/joining-role.ts';
import { listDesiredProcesses } from '../../../registry/desired-processes.ts';
import { forgetSupervisor } from '../../../registry/supervisor-removal.ts';
import { listSupervisors } from '../../../registry/supervisors.ts';
import { serve } from '../../../rest/serve.ts';
import { lockOpenUpgrade } from '../../../upgrade/state/upgrade-store.ts';
import { type AdministrationContext, write } from '../context.ts';
import { inviteHost } from '../host-invitation.ts';

export function hostRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, hostOperations.list, async () => ({ hosts: await viewHosts(context) }));

    serve(app, hostOperations.invite, async (request) => {
      return await write(context, (tx) => inviteHost(context, tx, request.body, request.administrator));
    });

    serve(app, hostOperations.drain, async (request) => {
      const { name } = request.params;
      const { draining } = request.body;
      return await write(context, async (tx) => {
        if (!(await setDraining(tx, name, draining))) throw notFound('host that joined', name);
        await recordEvent(tx, {
          kind: draining ? 'host-draining' : 'host-usable',
          subject: name,
          message: `${request.administrator} ${draining ? 'has nothing new placed' : 'lets processes be placed again'} on ${name}`,
        });
        return { processes: await processesOn(tx, name) };
      });
    });

    serve(app, hostOperations.remove, async (request) => {
      const { name } = request.params;
      await write(context, async (tx) => {
        // The coordinator of an upgrade adds instances while it holds the upgrade.
        await lockOpenUpgrade(tx);
        await lockInvitations(tx);
        await lockHost(tx, name);
        const processes = await processesOn(tx, name);
        if (processes.length > 0) {
          const names = processes.map((process) => process.name);
          throw new BrambleError(
            'ERR_HOST_IN_USE',
            `On the host ${name} ${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} to run. Move the accounts of its ` +
              'instances away and retire these first (`bramble move start`, `bramble instance retire`), and remove its router (`bramble ' +
              'router remove`).',
            { details: { processes: names } },
          );
        }
        const wasListed = await forgetSupervisor(tx, name);
        if (!(await removeHost(tx, name)) && !wasListed) throw notFound('host', name);
        await forgetReports(tx, [name]);
        await closeJoiningUnlessInvited(tx);
        await recordEvent(tx, {
          kind: 'host-removed',
          subject: name,
          message: `${request.administrator} removed ${name}`,
        });
      });
    });
  };
}

async function viewHosts({ db }: AdministrationContext): Promise<HostView[]> {
  const [joined, invited, supervisors, processes, restored] = await Promise.all([
    listHosts(db),
    listInvitations(db),
    listSupervisors(db),
    listDesiredProcesses(db),
    readRestored(db),
  ]);
  const names = new Set([...supervisors, ...processes, ...invited].map(({ host }) => host));
  for (const { name } of joined) names.add(name);
  return [...names].sort().map((name): HostView => {
    const host = joined.find((one) => one.name === name);
    const invitation = invited.find((one) => one.host === name);
    const supervisor = supervisors.find((one) => one.host === name);
    const isKnown = supervisor !== undefined || processes.some((process) => process.host === name);
    const isAwaited = restored?.joinedHosts.includes(name) === true;
    return {
      name,
      state:
        host === undefined ? notJoined({ isKnown, isAwaited, isInvited: invitation !== undefined }) : stateOf(host),
      atWork: supervisor?.atWork ?? false,
      release: supervisor?.release ?? null,
      seenAt: supervisor?.seenAt ?? null,
      processes: processes.filter((process) => process.host === name).map(({ name, kind }) => ({ name, kind })),
      invitedUntil: host === undefined ? (invitation?.expiresAt ?? null) : null,
    };
  });
}

function stateOf(host: { drainingSince: Date | null }): HostView['state'] {
  return host.drainingSince === null ? 'joined' : 'draining';
}

interface NotJoined {
  isKnown: boolean;
  isAwaited: boolean;
  isInvited: boolean;
}

function notJoined({ isKnown, isAwaited, isInvited }: NotJoined): HostView['state'] {
  if (isAwaited && !isInvited) return 'awaited';
  return isKnown && !isAwaited ? 'first' : 'invited';
}

async function processesOn(q: Parameters<typeof listDesiredProcesses>[0], host: string) {
  return (await listDesiredProcesses(q))
    .filter((process) => process.host === host)
    .map(({ name, kind }) => ({ name, kind }));
}
