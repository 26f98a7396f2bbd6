/**
 * `bramble up`: makes true on this host what the domain wants. Small and of no release: it knows how processes are
 * started, handed their sockets and stopped, and nothing of what they do. Each process gets the database's address with the
 * credential of its kind, as far as the home has one when the supervisor starts.
 *
 *   lock the home → bind the sockets → [ find or start PostgreSQL → look at what is wanted → start, stop, replace ]…
 *     … until the signal is aborted …
 *   → stop instances and services → stop routers → stop PostgreSQL (unless it is kept) → unlock
 */

import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../base/errors.ts';
import { startEmbedded, stopEmbedded } from '../database/embedded/server.ts';
import { addressAs, type RoleCredentials, readRoleCredentials } from '../database/roles/role-credentials.ts';
import { databaseRoles } from '../database/roles/role-rights.ts';
import { defaultLogLimits, type LogLimits, rotateLog } from './component-log.ts';
import { type Configuration, readConfiguration } from './configuration.ts';
import { type DesiredProcess, watchDesired } from './desired-state.ts';
import type { OnEvent } from './events.ts';
import { lockHome } from './home-lock.ts';
import { bindListeningSocket, type ListeningSocket } from './listening-socket.ts';
import { createSlot, type ProcessSlot } from './process-slot.ts';

export interface SupervisorOptions {
  /** BRAMBLE_HOME, with `config.json` and `releases/` in it. */
  home: string;
  /** Aborted when everything is to stop. */
  signal: AbortSignal;
  onEvent: OnEvent;
  /** Leaves the embedded PostgreSQL running. Default false. */
  keepDatabase?: boolean;
  /** Between SIGTERM and SIGKILL, default 10 s. */
  stopGraceMs?: number;
  /** How long a successor may take to serve, default 60 s. */
  successorReadyMs?: number;
  /** How long a process may be silent after a heartbeat until it is killed and started again, default 30 s. */
  hungAfterMs?: number;
  /** How long to wait for a listening port that is still in use, default 30 s. */
  portWaitMs?: number;
  logLimits?: LogLimits;
}

const logCheckMs = 1000;

/**
 * Supervises until the signal is aborted and all is stopped.
 * @throws BrambleError ERR_ALREADY_RUNNING, ERR_CONFIGURATION, ERR_ADDRESS_IN_USE, ERR_LISTEN; what goes wrong later is
 * reported as events and tried again.
 */
export async function runSupervisor(options: SupervisorOptions): Promise<void> {
  const home = path.resolve(options.home);
  const { signal, onEvent } = options;
  const configuration = await readConfiguration(home);
  const credentials = await readRoleCredentials(home);
  const lock = await lockHome(home);
  const sockets: ListeningSocket[] = [];
  const slots = new Map<string, ProcessSlot>();
  const logTimer = setInterval(logRotation(home, slots, options), logCheckMs);
  try {
    sockets.push(await bindReported('srp', configuration.srpPort, configuration, options));
    sockets.push(await bindReported('public', configuration.publicPort, configuration, options));
    await mkdir(path.join(home, 'logs'), { recursive: true, mode: 0o700 });
    const reconcile = reconciler(home, configuration, sockets, slots, credentials, options);
    await watchDesired({
      host: configuration.host,
      openDatabase: async (watchSignal) => await openDatabase(home, configuration, watchSignal),
      ownAddress: (url) => addressAs(url, credentials.get('supervisor')),
      onDesired: reconcile,
      onEvent,
      signal,
    });
  } catch (error) {
    if (!signal.aborted) {
      throw error;
    }
  } finally {
    await stopInOrder(slots);
    clearInterval(logTimer);
    for (const socket of sockets) {
      socket.close();
    }
    if ('embedded' in configuration.database && options.keepDatabase !== true) {
      await stopEmbedded({ folder: databaseFolder(home), mode: 'fast' });
    }
    await lock.release();
    onEvent({ type: 'stopped' });
  }
}

/** A full disk, or a log that cannot be written, is reported once, and ends nothing. */
function logRotation(home: string, slots: ReadonlyMap<string, ProcessSlot>, options: SupervisorOptions): () => void {
  const troubled = new Set<string>();
  return () => {
    for (const name of slots.keys()) {
      try {
        rotateLog(home, name, options.logLimits ?? defaultLogLimits);
        troubled.delete(name);
      } catch (error) {
        if (!troubled.has(name)) {
          options.onEvent({ type: 'log-not-rotated', name, message: messageOf(error) });
        }
        troubled.add(name);
      }
    }
  };
}

/** Where the embedded PostgreSQL of a home lies. */
export function databaseFolder(home: string): string {
  return path.join(home, 'postgres');
}

async function openDatabase(home: string, configuration: Configuration, signal: AbortSignal) {
  const { database } = configuration;
  if ('url' in database) {
    return { url: database.url, adopted: true, pid: null };
  }
  return await startEmbedded({ folder: databaseFolder(home), settings: database.settings, signal });
}

async function bindReported(
  name: ListeningSocket['name'],
  port: number,
  configuration: Configuration,
  options: SupervisorOptions,
): Promise<ListeningSocket> {
  const socket = await bindListeningSocket(name, configuration.listenAddress, port, {
    waitMs: options.portWaitMs ?? 30_000,
    signal: options.signal,
    onWaiting: () => options.onEvent({ type: 'waiting-for-port', socket: name, port }),
  });
  options.onEvent({ type: 'listening', socket: name, port: socket.port });
  return socket;
}

/** Applies one look at the wanted processes to the slots. A row that is gone is stopped like one that says so. */
function reconciler(
  home: string,
  configuration: Configuration,
  sockets: readonly ListeningSocket[],
  slots: Map<string, ProcessSlot>,
  credentials: RoleCredentials,
  options: SupervisorOptions,
) {
  const reported = new Set<string>();
  const newSlot = (name: string): ProcessSlot => {
    const slot = createSlot({
      name,
      environment: { home, host: configuration.host, sockets, hungAfterMs: options.hungAfterMs ?? 30_000 },
      stopGraceMs: options.stopGraceMs ?? 10_000,
      successorReadyMs: options.successorReadyMs ?? 60_000,
      onEvent: options.onEvent,
    });
    slots.set(name, slot);
    return slot;
  };
  return (processes: readonly DesiredProcess[], unreadable: readonly string[], url: string): void => {
    const wanted = new Map(processes.filter(({ state }) => state === 'running').map((row) => [row.name, row]));
    for (const { name, kind, release, settings } of wanted.values()) {
      const databaseUrl = kind === 'router' ? null : addressFor(kind, url, credentials);
      (slots.get(name) ?? newSlot(name)).want({ name, kind, release, settings, databaseUrl });
    }
    for (const [name, slot] of slots) {
      if (!wanted.has(name) && !unreadable.includes(name)) {
        slot.want(null);
      }
    }
    for (const name of unreadable) {
      if (!reported.has(name)) {
        const message = `The desired process "${name}" has a name, kind, release or state that cannot be right: correct it.`;
        options.onEvent({ type: 'refused', name, code: 'ERR_DESIRED_PROCESS', message });
      }
    }
    reported.clear();
    for (const name of unreadable) {
      reported.add(name);
    }
  };
}

/** A kind without a role of its own gets the address as it is. */
function addressFor(kind: string, url: string, credentials: RoleCredentials): string {
  const role = databaseRoles.find((name) => name === kind);
  return addressAs(url, role && credentials.get(role));
}

/** Routers last: what the others still have to answer while they drain goes through them. */
async function stopInOrder(slots: ReadonlyMap<string, ProcessSlot>): Promise<void> {
  const all = [...slots.values()];
  const routers = all.filter((slot) => slot.kind() === 'router');
  await Promise.all(all.filter((slot) => !routers.includes(slot)).map(async (slot) => await slot.end()));
  await Promise.all(routers.map(async (slot) => await slot.end()));
}
