/** The domain at work: administrators queue commands and devices hold tunnels open, before, during and after the upgrade. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { deviceCommandOperations } from '../../src/api/device-commands.ts';
import type { RunningDomain } from './domain.ts';
import type { RunningFleet } from './fleet.ts';

export interface Workload {
  /** Commands that the administration accepted, by CommandUUID. */
  readonly enqueued: ReadonlySet<string>;
  /** Opens no tunnels, and has none open, while `work` runs. */
  withoutTunnels(work: () => Promise<void>): Promise<void>;
  stop(): Promise<void>;
}

/** An internal host that echoes what it receives: the target of tunnels. */
export async function startInternalHost(): Promise<{ target: string; server: Server }> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { target: `127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

/** A command for some device every `commandIntervalMs`; `tunnels` tunnels, taken down and opened again all the time. */
export function startWorkload(
  domain: RunningDomain,
  fleet: RunningFleet,
  target: string,
  options: { commandIntervalMs: number; tunnels: number; tunnelMs: number },
): Workload {
  const ending = new AbortController();
  const pause = (durationMs: number) => delay(durationMs, undefined, { signal: ending.signal }).catch(() => {});
  const enqueued = new Set<string>();
  const commands = (async () => {
    for (let turn = 0; !ending.signal.aborted; turn++) {
      await queueCommand(domain, turn, enqueued);
      await pause(options.commandIntervalMs);
    }
  })();
  const openTunnels = async (until: AbortSignal) => {
    while (!until.aborted && options.tunnels > 0) {
      await fleet.tell({ do: 'tunnel', target, count: options.tunnels });
      await delay(options.tunnelMs, undefined, { signal: until }).catch(() => {});
      await fleet.tell({ do: 'close-tunnels' });
    }
  };
  let opening = new AbortController();
  let tunnels = openTunnels(opening.signal);
  return {
    enqueued,
    async withoutTunnels(work) {
      opening.abort();
      await tunnels;
      await work();
      opening = new AbortController();
      tunnels = openTunnels(opening.signal);
    },
    async stop() {
      ending.abort();
      opening.abort();
      await Promise.all([commands, tunnels]);
    },
  };
}

/** While the administration is fenced nobody can queue; whatever it did not confirm is not counted. */
async function queueCommand(domain: RunningDomain, turn: number, enqueued: Set<string>): Promise<void> {
  const requestType = turn % 2 === 0 ? 'ProfileList' : 'DeviceInformation';
  try {
    const devices = await domain.sql<{ id: string }[]>`select id from device where state = 'active' order by id`;
    const device = devices[turn % Math.max(1, devices.length)];
    if (!device) return;
    const request = { params: { id: device.id }, body: { requestType } } as const;
    const { commandUuid } = await domain.api.call(deviceCommandOperations.queue, request);
    enqueued.add(commandUuid.toLowerCase());
  } catch {
    // No administration service (or database) answers, or it exited during the request: nothing was confirmed.
  }
}
