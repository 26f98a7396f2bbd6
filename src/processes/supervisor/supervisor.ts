/**
 * `bramble up`: runs on this host what the domain wants. Small and independent of releases: it knows how to start
 * processes, pass them their sockets and stop them, and nothing about what they do. Each process gets the database's
 * address with the credential of its kind, if the home has one when the supervisor starts.
 *
 *   lock the home, perhaps from another supervisor → adopt what runs → inherit or bind the sockets → [ find or start PostgreSQL → look at what is wanted → start, stop, replace ]…
 *     … until the signal is aborted …
 *   → stop instances and services → stop routers → stop PostgreSQL (unless it is kept) → unlock
 *
 * Invariant: every adopted process has a slot from then on, so that it is handed on or stopped whenever this supervisor
 * ends.
 */

import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { isBrambleError, messageOf } from '../../base/errors.ts';
import { versionFor } from '../../database/embedded/binaries.ts';
import { startEmbedded, stopEmbedded } from '../../database/embedded/server.ts';
import { readRoleCredentials } from '../../database/roles/role-credentials.ts';
import { type Configuration, readConfiguration } from '../../process/configuration.ts';
import { thisRelease } from '../../release/this-release.ts';
import type { AdoptedProcess } from './adopted-process.ts';
import { type AdoptionDesk, openAdoptionDesk } from './adoption-desk.ts';
import { type BackupTimer, backupLog, startBackupTimer } from './backup-timer.ts';
import { defaultLogLimits, type LogLimits, rotateLog } from './component-log.ts';
import { createConsoleSocket } from './console-socket.ts';
import type { OnEvent } from './events.ts';
import type { ListeningSocket } from './listening-socket.ts';
import { openSockets } from './open-sockets.ts';
import { createSlot, type ProcessSlot } from './process-slot.ts';
import type { StartEnvironment, SupervisedProcess } from './supervised-process.ts';
import { claimHome } from './take-over.ts';
import { followDesired } from './wanted-processes.ts';

export interface SupervisorOptions {
  /** BRAMBLE_HOME, with `config.json` and `releases/` in it. */
  home: string;
  /** Aborted to stop everything. */
  signal: AbortSignal;
  onEvent: OnEvent;
  /** Leaves the embedded PostgreSQL running. Default false. */
  keepDatabase?: boolean;
  /** Takes over even from a running supervisor of the same or a later release. Default false. */
  takeOver?: boolean;
  /** Of this supervisor; default that of the program. */
  release?: string;
  /** How long processes without a supervisor may take to report themselves, default 15 s. */
  gatherMs?: number;
  /** How long routers are asked again for sockets that they do not pass on, default 10 s. */
  inheritMs?: number;
  /** Between SIGTERM and SIGKILL, default 10 s. */
  stopGraceMs?: number;
  /** How long a successor may take to serve, default 60 s. */
  successorReadyMs?: number;
  /** How long a process may be silent after a heartbeat before it is killed and restarted, default 30 s. */
  hungAfterMs?: number;
  /** How long to wait for a listening port that is still in use, default 30 s. */
  portWaitMs?: number;
  logLimits?: LogLimits;
  /** Arguments of Node.js for a scheduled backup; default those of this program. */
  backupCommand?: readonly string[];
}

const logCheckMs = 1000;
const defaultStopGraceMs = 10_000;

/**
 * Supervises until the signal is aborted and all is stopped.
 * @throws BrambleError ERR_ALREADY_RUNNING, ERR_TAKE_OVER_NEWER, ERR_TAKE_OVER_INTERRUPTS, ERR_TAKE_OVER_REFUSED,
 * ERR_DATABASE_MAJOR, ERR_CONFIGURATION, ERR_ADDRESS_IN_USE, ERR_LISTEN, ERR_HOST_REMOVED; later failures are reported as events and
 * retried.
 */
export async function runSupervisor(options: SupervisorOptions): Promise<void> {
  const home = path.resolve(options.home);
  const { onEvent } = options;
  const configuration = await readConfiguration(home);
  const credentials = await readRoleCredentials(home);
  const release = options.release ?? thisRelease.release;
  const postgresBinaries = await embeddedVersion(home, configuration);
  const lock = await claimHome(home, { ...options, release, takeOver: options.takeOver === true });
  const handOver = new AbortController();
  const signal = AbortSignal.any([options.signal, handOver.signal]);
  const sockets: ListeningSocket[] = [];
  const consoleSocket = createConsoleSocket({ home, settings: configuration.console, signal, onEvent });
  const slots = new Map<string, ProcessSlot>();
  const logTimer = setInterval(logRotation(home, slots, options), logCheckMs);
  const newSlot = slotMaker(
    { home, host: configuration.host, sockets, handConsole: consoleSocket.sendTo },
    slots,
    options,
  );
  let desk: AdoptionDesk | undefined;
  let isRemoved = false;
  let backups: BackupTimer | undefined;
  try {
    desk = await openAdoptionDesk({
      ...{ home, hungAfterMs: options.hungAfterMs ?? 30_000, gatherMs: options.gatherMs ?? 15_000 },
      // A late router listens on sockets other than those now bound.
      hasPlace: ({ name, kind }) => !signal.aborted && kind !== 'router' && !slots.has(name),
      onLate: (process) => {
        newSlot(process.spec.name, process);
        consoleSocket.adopt(process);
      },
      onHandOver: (to) => {
        onEvent({ type: 'handing-over', release: to });
        handOver.abort(new Error('another supervisor is taking over'));
      },
    });
    await mkdir(path.join(home, 'logs'), { recursive: true, mode: 0o700 });
    const adopted = await gather(desk, options, signal);
    const routers = adoptAll(adopted, newSlot, options);
    for (const process of adopted) consoleSocket.adopt(process);
    const opening = {
      ...{ home, configuration, signal, onEvent },
      ...{ inheritMs: options.inheritMs ?? 10_000, portWaitMs: options.portWaitMs ?? 30_000 },
    };
    await openSockets(sockets, {
      ...{ ...opening, routers },
      stopRouters: () => {
        for (const { spec } of routers) slots.get(spec.name)?.want(null);
      },
    });
    // Everything needed to start a router is known even without a database.
    for (const { spec } of routers) slots.get(spec.name)?.want({ ...spec, credentialUnknown: false });
    backups = startBackupTimer({ home, command: options.backupCommand ?? ownBackupCommand(), onEvent });
    await followDesired(
      {
        ...{ home, configuration, credentials, release, postgresBinaries, sockets, slots, newSlot, signal },
        bind: async () => await openSockets(sockets, { ...opening, routers: [], stopRouters: () => undefined }),
        openDatabase: async (watchSignal) => await openDatabase(home, configuration, watchSignal, onEvent),
      },
      onEvent,
    );
  } catch (error) {
    isRemoved = isBrambleError(error, 'ERR_HOST_REMOVED');
    if (!signal.aborted) {
      throw error;
    }
  } finally {
    // If the end was requested, everything ends, even during a take-over, as it does on a host that was removed. After a
    // failure another supervisor may still come.
    const leaves = !options.signal.aborted && !isRemoved;
    if (leaves) await letGo({ slots, backups, desk });
    else await endAll({ slots, backups, desk }, options.stopGraceMs ?? defaultStopGraceMs);
    clearInterval(logTimer);
    for (const socket of [...sockets, consoleSocket]) socket.close();
    if ('embedded' in configuration.database && options.keepDatabase !== true && !leaves) {
      await stopEmbedded({ folder: databaseFolder(home), mode: 'fast' });
    }
    await lock.release();
    onEvent({ type: leaves && handOver.signal.aborted ? 'handed-over' : 'stopped' });
  }
}

interface Supervised {
  slots: ReadonlyMap<string, ProcessSlot>;
  backups: BackupTimer | undefined;
  desk: AdoptionDesk | undefined;
}

/** Everything goes on, for another supervisor to adopt. */
async function letGo({ slots, backups, desk }: Supervised): Promise<void> {
  backups?.letGo();
  await desk?.close();
  await Promise.all([...slots.values()].map(async (slot) => await slot.letGo()));
}

async function endAll({ slots, backups, desk }: Supervised, graceMs: number): Promise<void> {
  await Promise.all([stopInOrder(slots), backups?.end(graceMs)]);
  await desk?.endOthers(graceMs);
  await desk?.close();
}

/** The program that runs, with the command for it. */
function ownBackupCommand(): string[] {
  return [process.argv[1] ?? '', 'backup', 'schedule', 'run', '--due'];
}

async function gather(desk: AdoptionDesk, options: SupervisorOptions, signal: AbortSignal): Promise<AdoptedProcess[]> {
  const { adopted, killed } = await desk.gather(signal);
  for (const { name, pid } of killed) {
    options.onEvent({ type: 'not-adopted', name, pid });
  }
  // Of two with the same name, a process and its successor, the one that serves is kept; if both do, the later: its link
  // has replaced the other's. It may have come this far since it introduced itself.
  const works = (adopted: AdoptedProcess) => Number(adopted.isServing());
  return adopted.sort((a, b) => works(b) - works(a) || b.startedAtMs - a.startedAtMs);
}

/** @returns the routers that are kept */
function adoptAll(
  processes: readonly AdoptedProcess[],
  newSlot: (name: string, adopted?: SupervisedProcess) => ProcessSlot,
  options: SupervisorOptions,
): AdoptedProcess[] {
  const names = new Set<string>();
  const routers: AdoptedProcess[] = [];
  for (const process of processes) {
    const { name } = process.spec;
    if (names.has(name)) {
      void process.stop(options.stopGraceMs ?? defaultStopGraceMs);
    } else {
      names.add(name);
      newSlot(name, process);
      if (process.spec.kind === 'router') routers.push(process);
    }
  }
  return routers;
}

/** A full disk, or a log that cannot be written, is reported once and stops nothing. */
function logRotation(home: string, slots: ReadonlyMap<string, ProcessSlot>, options: SupervisorOptions): () => void {
  const reported = new Set<string>();
  return () => {
    for (const name of [...slots.keys(), backupLog]) {
      try {
        rotateLog(home, name, options.logLimits ?? defaultLogLimits);
        reported.delete(name);
      } catch (error) {
        if (!reported.has(name)) {
          options.onEvent({ type: 'log-not-rotated', name, message: messageOf(error) });
        }
        reported.add(name);
      }
    }
  };
}

/** Where the embedded PostgreSQL of a home lies. */
export function databaseFolder(home: string): string {
  return path.join(home, 'postgres');
}

/**
 * What the embedded PostgreSQL is started from; null with an external one.
 * @throws BrambleError ERR_DATABASE_MAJOR, before anything is touched
 */
async function embeddedVersion(home: string, { database }: Configuration): Promise<string | null> {
  if ('url' in database) {
    return null;
  }
  try {
    return await versionFor(databaseFolder(home));
  } catch (error) {
    // It may still be running.
    if (isBrambleError(error, 'ERR_DATABASE_BINARIES')) {
      return null;
    }
    throw error;
  }
}

async function openDatabase(home: string, configuration: Configuration, signal: AbortSignal, onEvent: OnEvent) {
  const { database } = configuration;
  if ('url' in database) {
    return { url: database.url, adopted: true, pid: null };
  }
  return await startEmbedded({
    ...{ folder: databaseFolder(home), settings: database.settings, signal, ownBinaries: true },
    onReplacing: (version) => onEvent({ type: 'database-replacing', version }),
  });
}

function slotMaker(
  environment: Omit<StartEnvironment, 'hungAfterMs'>,
  slots: Map<string, ProcessSlot>,
  options: SupervisorOptions,
) {
  return (name: string, adopted?: SupervisedProcess): ProcessSlot => {
    const slot = createSlot({
      name,
      environment: { ...environment, hungAfterMs: options.hungAfterMs ?? 30_000 },
      stopGraceMs: options.stopGraceMs ?? defaultStopGraceMs,
      successorReadyMs: options.successorReadyMs ?? 60_000,
      onEvent: options.onEvent,
      ...(adopted === undefined ? {} : { adopted }),
    });
    slots.set(name, slot);
    return slot;
  };
}

/** Routers last: answers of the others, while they drain, go through them. */
async function stopInOrder(slots: ReadonlyMap<string, ProcessSlot>): Promise<void> {
  const all = [...slots.values()];
  const routers = all.filter((slot) => slot.kind() === 'router');
  await Promise.all(all.filter((slot) => !routers.includes(slot)).map(async (slot) => await slot.end()));
  await Promise.all(routers.map(async (slot) => await slot.end()));
}
