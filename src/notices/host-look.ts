/** A host that is lost: its supervisor or all of its components are silent. One that joined is missed also while nothing is to run there. */
import { counted } from '../base/counted.ts';
import { timeText } from '../base/time-text.ts';
import type { Database } from '../database/connection.ts';
import { listUsableHosts } from '../hosts/hosts.ts';
import { listSilentHosts, type SilentHost } from '../registry/silent-hosts.ts';
import type { Look } from './conditions.ts';

/** A supervisor that is replaced, and a host that starts, are silent for a while. */
const confirmSeconds = 30;

export function hostLook(db: Database): Look {
  return {
    kind: 'host-lost',
    scope: '',
    confirmSeconds,
    look: async () =>
      (await listSilentHosts(db, await listUsableHosts(db))).map((silent) => ({
        subject: silent.host,
        message: silentText(silent),
      })),
  };
}

function silentText({ host, supervisorSeenAt, silentComponents }: SilentHost): string {
  const components =
    silentComponents === 0 ? [] : [`none of its ${counted(silentComponents, 'component')} shows a sign of life`];
  const supervisor =
    supervisorSeenAt === null ? [] : [`its supervisor has not reported since ${timeText(supervisorSeenAt)}`];
  const isUp =
    supervisorSeenAt === null ? 'Its supervisor reports: see its logs.' : 'Is it up, and does it reach the database?';
  return `the host ${host} is silent: ${[...supervisor, ...components].join(', and ')}. ${isUp}`;
}
