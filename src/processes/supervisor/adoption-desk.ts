/**
 * The supervisor's Unix socket in the home: processes without a supervisor report themselves there and are adopted, and
 * a supervisor that wants to take over asks there.
 *
 * Invariant: a supervisor starts nothing before every process that announced it can be adopted has reported itself, has
 * ended, or has run out of time and been killed. So no process is started beside one that is running. One that could
 * not announce itself (its disk was full, or it had just been started) is given a moment in any case, and is accepted
 * later if its name is still free.
 */
import { once } from 'node:events';
import { chmod, mkdir, readdir, rm } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { birthOf, isAlive, signalProcess } from '../../base/process-facts.ts';
import { socketPath } from '../../base/socket-path.ts';
import {
  adoptableFolder,
  handOverShape,
  type Orphan,
  offeringProcess,
  onLines,
  orphanShape,
  runFolder,
  sendLine,
  supervisorSocket,
} from '../../process/adoption-messages.ts';
import { endOthers, readAdoptable, untilReported } from './adoptable-processes.ts';
import { type AdoptedProcess, adoptProcess } from './adopted-process.ts';

export interface AdoptionDesk {
  /**
   * All that could be adopted, until the signal is aborted. Those that exist but did not report themselves in time are
   * killed and named.
   */
  gather(signal: AbortSignal): Promise<{ adopted: AdoptedProcess[]; killed: { name: string; pid: number }[] }>;
  /**
   * Stops the processes that were not adopted: SIGTERM, then SIGKILL after the time-out. Resolves when they have ended,
   * or cannot be ended.
   */
  endOthers(graceMs: number): Promise<void>;
  close(): Promise<void>;
}

interface DeskOptions {
  home: string;
  hungAfterMs: number;
  /** How long processes may take to report themselves. */
  gatherMs: number;
  /** Whether a process that reports itself after the gathering is adopted. */
  hasPlace: (orphan: Orphan) => boolean;
  /** It was. */
  onLate: (process: AdoptedProcess) => void;
  /** Another supervisor asks to take over. */
  onHandOver: (release: string) => void;
}

/** Processes without a supervisor look for one every 200 ms. */
const minGatherMs = 1000;

/** Only the holder of the home's lock may open it: it removes what another has left. */
export async function openAdoptionDesk(options: DeskOptions): Promise<AdoptionDesk> {
  const { home } = options;
  const folder = runFolder(home);
  const isFirst = (await mkdir(adoptableFolder(home), { recursive: true, mode: 0o700 })) !== undefined;
  await chmod(folder, 0o700);
  await rm(path.join(folder, supervisorSocket), { force: true });
  // To tidy up; whoever comes next does it again.
  await removeStaleOffers(folder).catch(() => undefined);
  const adopted = new Map<number, AdoptedProcess>();
  const connections = new Set<net.Socket>();
  const state = { gathering: true, handingOver: false };

  /** @returns the process that uses the connection from now on */
  async function receive(orphan: Orphan, connection: net.Socket): Promise<AdoptedProcess | undefined> {
    if ((await birthOf(orphan.pid)) !== orphan.birth) return void connection.destroy();
    const known = adopted.get(orphan.pid);
    known?.attach(connection);
    if (known !== undefined) return known;
    // It will ask again, and the next supervisor will answer.
    if (state.handingOver && !state.gathering) return void connection.destroy();
    if (!state.gathering && !options.hasPlace(orphan)) {
      return void (await signalProcess(orphan.pid, orphan.birth, 'SIGTERM'));
    }
    const process = adoptProcess(orphan, connection, options.hungAfterMs);
    adopted.set(orphan.pid, process);
    if (!state.gathering) options.onLate(process);
    return process;
  }

  async function take(message: unknown, connection: net.Socket): Promise<AdoptedProcess | undefined> {
    const orphan = orphanShape.safeParse(message);
    if (orphan.success) return await receive(orphan.data, connection);
    const order = handOverShape.safeParse(message);
    if (order.success) {
      sendLine(connection, { type: 'handing-over' });
      state.handingOver = true;
      options.onHandOver(order.data.release);
    }
    return undefined;
  }

  const server = net.createServer((connection) => {
    connections.add(connection);
    connection.once('close', () => connections.delete(connection));
    hear(connection, take);
  });
  const at = await socketPath(folder, supervisorSocket);
  server.listen(at.path);
  await once(server, 'listening');
  // A connection that is not accepted (no descriptors) is retried by its process.
  server.on('error', () => undefined);
  await chmod(path.join(folder, supervisorSocket), 0o600);

  return {
    gather: async (signal) => {
      const times = { minMs: isFirst ? 0 : minGatherMs, maxMs: options.gatherMs };
      const missing = await untilReported(home, adopted, times, signal);
      state.gathering = false;
      if (signal.aborted) return { adopted: [...adopted.values()], killed: [] };
      for (const { pid, birth } of missing) await signalProcess(pid, birth, 'SIGKILL');
      return { adopted: [...adopted.values()], killed: missing };
    },
    endOthers: async (graceMs) => await endOthers(home, adopted, graceMs),
    close: async () => {
      server.close();
      for (const connection of connections) connection.destroy();
      await at.close();
      // To tidy up; whoever comes next does it again.
      await readAdoptable(home).catch(() => undefined);
    },
  };
}

/** @param take handles a line until it names the process that speaks; that one handles the rest */
function hear(
  connection: net.Socket,
  take: (message: unknown, connection: net.Socket) => Promise<AdoptedProcess | undefined>,
): void {
  let speaker: AdoptedProcess | undefined;
  // One line at a time, even if the next arrives while a process is being checked.
  let turn = Promise.resolve();
  onLines(connection, (message) => {
    turn = turn
      .then(async () => {
        if (speaker === undefined) speaker = await take(message, connection);
        else speaker.take(message);
      })
      .catch(() => void connection.destroy());
  });
}

/** Removes what killed routers have left. If an id is in use again, the folder stays until next time. */
async function removeStaleOffers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const pid = offeringProcess(name);
    if (pid !== null && !(await isAlive(pid))) await rm(path.join(folder, name), { recursive: true, force: true });
  }
}
