/** What is wanted of this host, and how its slots come to it: at each look at the database, and whenever a router can be started. */
import { type RoleCredentials, urlForRole } from '../../database/roles/role-credentials.ts';
import { databaseRoles } from '../../database/roles/role-rights.ts';
import type { Configuration } from '../../process/configuration.ts';
import { type Desired, watchDesired } from './desired-state.ts';
import type { OnEvent } from './events.ts';
import { assertAdmitted } from './host-admission.ts';
import { createHostReleases, type HostReleases } from './host-releases.ts';
import type { ListeningSocket } from './listening-socket.ts';
import type { ProcessSlot } from './process-slot.ts';
import { createRouterFiles, type RouterFiles } from './router-files.ts';
import { createRouterPorts, type RouterPorts } from './router-ports.ts';
import { signpostKind, withSignpost } from './signpost-place.ts';

interface DesiredParts {
  home: string;
  configuration: Configuration;
  credentials: RoleCredentials;
  release: string;
  postgresBinaries: string | null;
  sockets: ListeningSocket[];
  slots: ReadonlyMap<string, ProcessSlot>;
  newSlot: (name: string) => ProcessSlot;
  signal: AbortSignal;
  /** Opens the ports of routers. */
  bind: () => Promise<void>;
  openDatabase: Parameters<typeof watchDesired>[0]['openDatabase'];
}

/** Until the signal: what is wanted runs here, and nothing else. */
export async function followDesired(parts: DesiredParts, onEvent: OnEvent): Promise<void> {
  const {
    home,
    configuration,
    credentials,
    release,
    postgresBinaries,
    sockets,
    slots,
    newSlot,
    signal,
    bind,
    openDatabase,
  } = parts;
  const { host, balancers } = configuration;
  let again: () => void = () => undefined;
  const releases = createHostReleases({ home, host, release, onEvent });
  const routerFiles = createRouterFiles({ home, host, sockets, onReady: () => again(), onEvent });
  const ports = createRouterPorts({ sockets, onOpen: () => again(), onEvent, bind });
  const reconcile = reconciler(slots, newSlot, { credentials, balancers, releases, routerFiles, ports }, onEvent);
  await watchDesired({
    host,
    openDatabase,
    ownAddress: (url) => urlForRole(url, credentials.get('supervisor')),
    onDesired: ({ processes, unreadable, steeredFrom }, url) => {
      const all = withSignpost(processes, steeredFrom, { host, release });
      again = () => signal.aborted || reconcile({ processes: all, unreadable }, url);
      reconcile({ processes: all, unreadable }, url);
    },
    self: { host, release, postgresBinaries },
    assertAdmitted: async (sql) => await assertAdmitted(sql, home, host),
    onEvent,
    signal,
  });
}

/**
 * Applies one look at the wanted processes to the slots. A process whose row is gone is stopped, like one that is
 * marked as stopped.
 */
function reconciler(
  slots: ReadonlyMap<string, ProcessSlot>,
  newSlot: (name: string) => ProcessSlot,
  {
    credentials,
    balancers,
    releases,
    routerFiles,
    ports,
  }: {
    credentials: RoleCredentials;
    balancers: Configuration['balancers'];
    releases: HostReleases;
    routerFiles: RouterFiles;
    ports: RouterPorts;
  },
  onEvent: OnEvent,
) {
  const reported = new Set<string>();
  return ({ processes, unreadable }: Pick<Desired, 'processes' | 'unreadable'>, url: string): void => {
    const all = [...new Set(processes.map((process) => process.release))];
    const ownUrl = urlForRole(url, credentials.get('supervisor'));
    releases.look(ownUrl, all);
    const wanted = new Map(processes.filter(({ state }) => state === 'running').map((row) => [row.name, row]));
    const routers = [...wanted.values()].filter(({ kind }) => kind === 'router').map((row) => row.name);
    const canRoute = routers.length > 0 && ports.areOpen();
    if (canRoute) routerFiles.look(ownUrl, routers);
    for (const { name, kind, release, settings: own } of wanted.values()) {
      if (releases.awaits(release) || (kind === 'router' && !(canRoute && routerFiles.isThere(name)))) continue;
      const settings = kind === 'router' && balancers.length > 0 ? { ...Object(own), balancers } : own;
      const databaseUrl = withoutDatabase.includes(kind) ? null : addressFor(kind, url, credentials);
      (slots.get(name) ?? newSlot(name)).want({ name, kind, release, settings, databaseUrl });
    }
    for (const [name, slot] of slots) {
      if (!wanted.has(name) && !unreadable.includes(name)) {
        slot.want(null);
      }
    }
    if (routers.length === 0) ports.closeUnused(slots.values());
    for (const name of unreadable) {
      if (!reported.has(name)) {
        const message = `The desired process "${name}" has an invalid name, kind, release or state: correct it.`;
        onEvent({ type: 'refused', name, code: 'ERR_DESIRED_PROCESS', message });
      }
    }
    reported.clear();
    for (const name of unreadable) {
      reported.add(name);
    }
  };
}

const withoutDatabase: readonly string[] = ['router', signpostKind];

/** A kind without its own role gets the unchanged address. */
function addressFor(kind: string, url: string, credentials: RoleCredentials): string {
  const role = databaseRoles.find((name) => name === kind);
  return urlForRole(url, role && credentials.get(role));
}
